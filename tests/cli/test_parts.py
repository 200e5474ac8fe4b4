"""The parts that need no process and no stream: options, progress, rate, listing."""

import argparse
import json
import pathlib
from dataclasses import replace
from fractions import Fraction

import jax
import numpy as np
import pytest

from jaxnvc.cli import models, options
from jaxnvc.cli.device import cache_folder
from jaxnvc.cli.progress import Progress, Style
from jaxnvc.cli.rate import first_true
from jaxnvc.cli.source import is_constant
from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import first_params
from jaxnvc.evaluation.bench_codec import synthetic_frames
from jaxnvc.models import presets
from jaxnvc.models.bundle import Bundle, load_bundle
from tests.cli.conftest import INFO, moving, write_video
from tests.toy import Toy


def test_rates_and_sizes_are_read_as_people_write_them():
    assert options.bitrate("800k") == 800_000
    assert options.bitrate("1.5M") == 1_500_000
    assert options.bitrate("64000") == 64_000
    assert options.bitrate("2Mbps") == 2_000_000
    assert options.size("10MB") == 10_000_000
    assert options.size("2MiB") == 2 << 20
    assert options.size("4096") == 4096
    assert options.frame_rate("30000/1001") == Fraction(30000, 1001)
    assert options.dimensions("416x240") == (416, 240)
    assert options.gop("-1") == -1


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (options.bitrate, "fast"),
        (options.bitrate, "-3k"),
        (options.size, "0"),
        (options.size, "10 MBit"),
        (options.frame_rate, "1/0"),
        (options.dimensions, "416"),
        (options.gop, "0"),
        (options.gop, "-2"),
        (options.qp, "64"),
        (options.qp, "1.5"),
        (options.decibels, "nan"),
        (options.decibels, "loud"),
        (options.count, "0"),
    ],
)
def test_nonsense_is_refused(parse, text):
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)


def test_bisection_finds_the_first_true_of_every_step():
    for step in range(65):
        asked: list[int] = []

        def reached(qp, step=step, asked=asked):
            asked.append(qp)
            return qp >= step

        assert first_true(reached) == step
        assert len(asked) <= 7
        assert len(set(asked)) == len(asked)


class Watch:
    count = 0


def test_compilation_is_kept_out_of_the_speed():
    times = iter([0.0, 30.0, 30.5, 31.0, 31.5])
    watch = Watch()
    progress = Progress(
        Style.QUIET,
        watch,
        total=8,
        frame_rate=Fraction(25),
        clock=lambda: next(times),
    )
    watch.count = 2
    progress.update(37, 1024)
    assert (progress.fps, progress.compile_s, progress.eta_s) == (None, 30.0, None)
    for num_bytes in (2048, 3072, 4096):
        progress.update(37, num_bytes)
    assert (progress.fps, progress.compile_s, progress.eta_s) == (2.0, 30.0, 2.0)
    # 4 KiB in 4 frames at 25 frames per second.
    assert progress.bitrate_bps == 8 * 4096 * 25 / 4
    assert progress.line() == (
        "frame=   4 fps=2.0 qp=37 size=4KiB bitrate=204.8kb/s eta=0:02"
    )


def test_progress_speaks_at_most_four_times_a_second(capsys):
    now = [0.0]
    progress = Progress(Style.JSON, Watch(), clock=lambda: now[0])
    for step in range(1, 101):
        now[0] = step / 100
        progress.update(10, step)
    progress.finish(200)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert 3 <= len(lines) <= 5
    assert (lines[-1]["done"], lines[-1]["bytes"], lines[-1]["frame"]) == (
        True,
        200,
        100,
    )


def test_a_grid_rounded_to_ticks_is_constant():
    rate = Fraction(30000, 1001)
    info = replace(INFO, frame_rate=rate, time_base=Fraction(1, 1000))
    rounded = [round(1000 * n / rate) for n in range(3000)]
    assert is_constant(rounded, info)
    assert is_constant([7 + time for time in rounded], info)
    assert not is_constant([*rounded[:50], *rounded[51:]], info)
    # A rate that is slightly wrong shows only after a while.
    assert not is_constant(rounded, replace(info, frame_rate=Fraction(30)))


def test_the_cache_folder_follows_option_environment_platform(monkeypatch):
    monkeypatch.setenv("JAXNVC_CACHE", "/from/environment")
    assert str(cache_folder("/from/option")) == "/from/option"
    assert str(cache_folder(None)) == "/from/environment"
    assert cache_folder("none") is None
    monkeypatch.delenv("JAXNVC_CACHE")
    assert "jaxnvc" in cache_folder(None).parts


def test_a_cache_that_cannot_be_written_only_warns(cli, clip, stream, model):
    result = cli("verify", stream, "--cache-dir", "/dev/null/no", *model)
    assert result.code == 0
    assert "warning: compiled programs cannot be kept" in result.err


@pytest.fixture(scope="module")
def short(folder, clip):
    return write_video(folder / "short.y4m", moving(3))


def test_a_target_size_is_not_exceeded_and_nearly_used(cli, short, model, tmp_path):
    sizes = {}
    for qp in (20, 21):
        out = tmp_path / f"{qp}.nvc"
        assert cli("encode", short, out, "--qp", qp, "--quiet", *model).code == 0
        sizes[qp] = out.stat().st_size
    out = tmp_path / "o.nvc"
    target = ["--target-size", max(sizes.values()), "--progress", "json"]
    result = cli("encode", short, out, *target, *model)
    assert result.code == 0
    assert out.stat().st_size <= max(sizes.values())
    too_small = cli("encode", short, out, "-y", "--target-size", "10", *model)
    assert too_small.code == 0
    assert "even qp 0" in too_small.err


def test_a_target_psnr_is_reached(cli, short, model, tmp_path):
    out, stats = tmp_path / "o.nvc", tmp_path / "s.json"
    args = ["encode", short, out, "--target-psnr", "30", "--stats", stats, *model]
    assert cli(*args).code == 0
    assert json.loads(stats.read_text())["psnr_yuv"] >= 30


def test_models_tell_what_the_bundle_holds(cli, tiny, tiny_bundle_path, monkeypatch):
    path = pathlib.Path(tiny_bundle_path)
    monkeypatch.setattr("jaxnvc.models.bundle.released", lambda: {"tiny": path})
    (card,) = json.loads(cli("models", "--json").out)
    assert card == models.card(path)
    sizes = [array.size for array in jax.tree.leaves(tiny.params)]
    assert card["parameters"] == sum(sizes)
    assert card["bytes"] == path.stat().st_size
    assert card["portable"] is True
    assert "tiny: avs_eem" in cli("models").out


def test_bench_prints_what_was_measured(cli, monkeypatch):
    result = {"jax": "1", "device": "d", "rounds": 1, "peer": {}, "latents": {}}
    monkeypatch.setattr("jaxnvc.evaluation.bench_rans.bench_rans", lambda quick: result)
    found = cli("bench", "rans", "--json", "--quick")
    assert (found.code, json.loads(found.out)) == (0, result)


def test_bench_codec_knows_presets_and_refuses_what_cannot_be_timed(cli):
    few = cli("bench", "codec", "--units", "3")
    assert few.code == 2
    assert "3 units are too few" in few.err
    unknown = cli("bench", "codec", "--model", "dcvc_uf/xl")
    assert unknown.code == 5
    assert "dcvc_uf/xl" in unknown.err


def test_bench_train_needs_a_run(cli):
    found = cli("bench", "train")
    assert found.code == 2
    assert "give a file of configs/ with --config" in found.err


def test_bench_codec_times_streams_and_their_parts(cli, clip, monkeypatch):
    toy = Toy()
    model = Bundle(
        name="toy",
        family="toy",
        intra=toy,
        inter=toy,
        params=dict.fromkeys(("intra", "inter"), first_params(toy, jax.random.key(0))),
        model_id=bytes(16),
        portable=True,
        info={"skip_thresholds": [0, 0, 0]},
    )
    weights = {"intra": "untrained", "inter": "untrained"}
    monkeypatch.setattr(presets, "open_model", lambda name: (model, weights))
    options = ("--model", "toy", "--size", "64x48", "--units", "4", "--stages")
    found = cli("bench", "codec", *options, "--clip", clip, "--json")
    assert found.code == 0
    report = json.loads(found.out)
    assert report["weights"] == weights
    assert (report["dtype"], report["frames"]) == ("float32", "clip")
    assert report["process_peak_mib"] > 50
    (run,) = report["runs"]
    assert (run["num_frames"], run["width"], run["height"]) == (5, 64, 48)
    assert run["bpp"] == 8 * run["num_bytes"] / (5 * 64 * 48)
    for way in ("encode", "decode"):
        row = run[way]
        assert row["fps"] > 0
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert 0 < row["compile_s"] < row["first_use_s"]
        assert set(row["parts_ms"]) == {"to_device", "networks", "rans", "to_host"}
        assert all(0 < x["p50"] <= x["p95"] for x in row["parts_ms"].values())
    assert run["stages_ms"]["finish"] > 0


def test_synthetic_frames_move_and_have_the_size_asked_for():
    first, second = synthetic_frames(33, 19, 2)
    assert [p.shape for p in first.planes] == [(19, 33), (10, 17), (10, 17)]
    np.testing.assert_array_equal(second.y[1:, 2:], first.y[:-1, :-2])
    assert first.y.std() > 10


@pytest.mark.parametrize("preset", registry.PRESETS)
def test_every_preset_is_a_pair_that_can_be_measured(preset, monkeypatch):
    def none(model):
        return presets.UNTRAINED, {}

    monkeypatch.setattr(presets, "weights_of", none)
    bundle, weights = presets.open_model(preset)
    assert weights == {"intra": "untrained", "inter": "untrained"}
    assert bundle.inter == registry.build(preset)
    assert bundle.intra.frames_per_unit == 1
    alone = preset.split("/")[1].startswith("intra") or preset.startswith("intra/")
    assert (bundle.intra == bundle.inter) == alone


def test_a_preset_has_its_released_weights():
    bundle, weights = presets.open_model("avs_eem/lite")
    assert weights == {"intra": "eem-lite", "inter": "eem-lite"}
    assert bundle.skip_thresholds == load_bundle("eem-lite").skip_thresholds
