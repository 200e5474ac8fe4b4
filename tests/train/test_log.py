"""A progress line tells what its stage is about."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from etils.epath.testing import mock_epath

from tests.train.test_stages import make_stage
from train.config import Objective, TrainConfig
from train.log import Log
from train.losses import psnr_by_level, psnr_db
from train.throughput import Program

CODING = {
    "bpp_intra": 1.0,
    "psnr_intra": 40.0,
    "bpp_inter": 0.1,
    "psnr_inter": 36.0,
    "log_j_intra": 0.5,
    "log_j_inter": 0.25,
}


@pytest.fixture
def log_of(tmp_path):
    """Returns a log of a stage that tells every two steps, and its file."""

    def make(folder=tmp_path, **changes):
        stage = make_stage(**changes)
        config = TrainConfig(
            name="c",
            intra="",
            inter="",
            clips="",
            stages=(stage,),
            teacher="pwc-tiny",
            log_every=2,
        )
        log = Log(config, epath.Path(folder) / "metrics.jsonl", devices=1)
        log.stage(stage, Program(print, flops=1e9, memory_mib=None, compile_s=0.0))
        return log, tmp_path / "metrics.jsonl"

    return make


def test_psnr_is_told_by_quality_level(log_of, capsys):
    log, path = log_of()
    # The second window has no key frame.
    log.add(0, CODING | {"psnr_key": 38.0, "psnr_middle": 35.0, "psnr_odd": 33.0}, 0.0)
    missing = {"psnr_key": np.nan, "psnr_middle": 36.0, "psnr_odd": 34.0}
    log.add(1, CODING | missing, 0.0)
    assert "36.00dB (key 38.00, middle 35.50, odd 33.50)" in capsys.readouterr().err
    assert json.loads(path.read_text())["psnr_key"] == 38.0


def test_a_level_that_no_window_had_is_left_out(log_of, capsys):
    log, path = log_of()
    for step in range(2):
        log.add(step, CODING | {"psnr_key": np.nan, "psnr_odd": 33.0}, 0.0)
    assert "36.00dB (odd 33.00)" in capsys.readouterr().err
    assert "psnr_key" not in json.loads(path.read_text())


def test_a_stage_of_flow_tells_errors_of_vectors(log_of, capsys):
    log, _ = log_of(objective=Objective.TEACHER)
    for step in range(2):
        log.add(step, {"epe": 1.5, "epe_still": 4.0}, 0.0)
    assert "epe 1.500 epe_still 4.000" in capsys.readouterr().err


@pytest.fixture
def bucket(tmp_path) -> str:
    """A bucket whose objects lie in a folder and cannot be appended to."""

    def inside(path):
        return str(tmp_path / str(path).rpartition("bucket/")[2])

    def open_whole(original, path, mode):
        assert mode[0] in "rw", "objects of a bucket are read or written whole"
        return original(inside(path), mode)

    with mock_epath(
        open=open_whole,
        exists=lambda original, path: original(inside(path)),
        makedirs=lambda *_, **__: None,
    ):
        yield "gs://bucket"


def test_a_resumed_run_goes_on_with_its_metrics_in_a_bucket(log_of, bucket):
    for attempt in range(2):
        log, path = log_of(folder=bucket)
        log.write({"step": attempt})
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps == [0, 1]


def test_units_are_averaged_by_their_level():
    mse = jnp.asarray([[1e-3, 1e-4], [1e-4, 1e-4], [1e-5, 1e-5]])
    found = jax.tree.map(float, psnr_by_level(mse, jnp.asarray([2, 1, 2])))
    assert np.isnan(found["psnr_key"])
    assert found["psnr_middle"] == pytest.approx(40.0)
    assert found["psnr_odd"] == pytest.approx(float(psnr_db(mse[::2]).mean()))
