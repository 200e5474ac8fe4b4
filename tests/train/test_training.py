"""A run learns, resumes exactly, and exports a model that codes video."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time

import av
import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnvc
from jaxnvc.errors import InputError, UsageError
from jaxnvc.video import VideoInfo, create_video
from tests.conftest import CACHE
from tests.toy import register
from train import checkpoint, losses
from train.config import Stage, TrainConfig, with_settings
from train.data.batches import Windows
from train.data.clips import VIDEO_SUFFIXES, load_folder
from train.export import export
from train.loop import run
from train.state import TrainState, abstract_state, build_models, initial_state
from train.validate import Validation
from train.window import Window, window_metrics

STEPS = 12
# What is tested is the program's meaning, not its speed: compile it quickly.
QUICK = "--xla_backend_optimization_level=0"


@pytest.fixture(scope="module")
def config(cars, tmp_path_factory) -> TrainConfig:
    """A few steps of the smallest model on the example clip."""
    from jaxnvc.video import VideoFrame

    folder = tmp_path_factory.mktemp("clips")
    info = VideoInfo(width=cars[0].width, height=cars[0].height)
    with create_video(str(folder / "cars.y4m"), info) as writer:
        for number, planes in enumerate(cars[:8]):
            writer.write(VideoFrame(planes, number))
    stage = Stage(
        name="smoke",
        steps=STEPS,
        frames=4,
        batch=8,
        crop=32,
        learning_rate=2e-3,
        final_learning_rate=1e-3,
    )
    return TrainConfig(
        name="smoke",
        intra="intra/tiny",
        inter="dcvc_uf/tiny",
        stages=(stage,),
        clips=str(folder),
        save_every=5,
        log_every=1,
    )


def _lines(folder) -> dict[int, dict]:
    """Returns the metrics of every step, the last ones written if it ran twice."""
    lines = map(json.loads, (folder / "metrics.jsonl").open())
    return {line["step"]: line for line in lines}


def _start(config, folder, *arguments, devices=1):
    """Trains in a process of its own."""
    file = folder.parent / f"{folder.name}.py"
    file.write_text(
        "from tests.toy import register\n"
        "from train.config import Objective, Stage, TrainConfig\n"
        "register()\n"
        f"def get_config():\n    return {config!r}\n"
    )
    command = [sys.executable, "-m", "train.main", "--config", str(file)]
    command += ["--out", str(folder), "--cache", str(CACHE), *arguments]
    flags = f"{QUICK} --xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def uninterrupted(config, tmp_path_factory):
    """The run in one go: its folder and last state."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    _finish(_start(config, folder))
    return folder, _restored(config, folder)


@pytest.fixture(scope="module")
def quick_config(config) -> TrainConfig:
    """The run with the smallest family there can be, to start it many times."""
    intra, inter = register()
    return dataclasses.replace(config, intra=intra, inter=inter)


@pytest.fixture(scope="module")
def quick_run(quick_config, tmp_path_factory):
    """The quick run in one go: its folder and last state."""
    folder = tmp_path_factory.mktemp("quick") / "run"
    _finish(_start(quick_config, folder))
    return folder, _restored(quick_config, folder)


def _restored(config, folder) -> TrainState:
    """Returns the newest checkpoint of a run."""
    like = abstract_state(build_models(config), config)
    return checkpoint.restore(checkpoint.manager(str(folder), 1), like)


def _finish(process):
    try:
        _, said = process.communicate(timeout=500)
    finally:
        process.kill()
    assert process.returncode == 0, said


def test_a_run_writes_one_line_of_metrics_per_interval(uninterrupted):
    folder, _ = uninterrupted
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert all(line["bpp_inter"] > 0 and line["frames_per_s"] > 0 for line in lines)
    assert all(0 < line["flop_utilisation"] < 1.5 for line in lines)


def test_training_lowers_the_intra_cost_of_a_fixed_batch(config, uninterrupted):
    models = build_models(config)
    clip = jnp.asarray(
        Windows(config).rows(99, config.stages[0], range(2)) / np.float32(255)
    )
    window = Window.of(clip, jnp.array([12, 36]))

    @jax.jit
    def cost(params):
        return window_metrics(models, params, window, 1.8)["log_j_intra"]

    before = cost(initial_state(models, config).params)
    assert cost(uninterrupted[1].params) < before


def test_windows_of_one_frame_train_the_intra_codec_alone(quick_config, tmp_path):
    stage = dataclasses.replace(quick_config.stages[0], frames=1)
    # Steps of windows first: their momentum must not move the inter codec either.
    both = dataclasses.replace(quick_config.stages[0], steps=2)
    config = dataclasses.replace(quick_config, stages=(both, stage), log_every=2)
    short = dataclasses.replace(config, stages=(both,))
    before = run(short, str(tmp_path / "run"))
    after = run(config, str(tmp_path / "run"))
    chex.assert_trees_all_equal(after.params["inter"], before.params["inter"])
    assert int(after.step) == 2 + STEPS
    lines = _lines(tmp_path / "run")
    assert lines[2 + STEPS]["log_j_intra"] < lines[4]["log_j_intra"]
    assert "bpp_inter" not in lines[4]


def _wait_for_step(process, folder, step: int):
    deadline = time.monotonic() + 300
    metrics = folder / "metrics.jsonl"
    while not (metrics.exists() and step in _lines(folder)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_that_is_terminated_and_then_killed_resumes_exactly(
    quick_config, quick_run, tmp_path
):
    folder = tmp_path / "run"
    first = _start(quick_config, folder)
    _wait_for_step(first, folder, 1)
    first.send_signal(signal.SIGTERM)
    # SIGTERM: the step is finished and saved, the exit is clean.
    assert first.wait(60) == 0, first.stderr.read()
    saved = max(_lines(folder))
    assert saved < STEPS
    assert (folder / "checkpoints" / str(saved)).is_dir()
    second = _start(quick_config, folder)
    _wait_for_step(second, folder, saved + 1)
    second.kill()
    second.wait(60)
    _finish(_start(quick_config, folder))
    ours, theirs = _restored(quick_config, folder), quick_run[1]
    assert int(ours.step) == STEPS
    chex.assert_trees_all_equal(ours, theirs)
    whole, resumed = _lines(quick_run[0]), _lines(folder)
    for step in whole:
        assert whole[step]["log_j_inter"] == resumed[step]["log_j_inter"]


def test_eight_devices_of_two_processes_train_as_one_and_save_together(
    quick_config, quick_run, tmp_path
):
    folder = tmp_path / "run"
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    joined = ["--tensorboard", "--coordinator", address, "--processes", "2"]
    processes = [
        _start(quick_config, folder, *joined, "--process", str(index), devices=4)
        for index in range(2)
    ]
    for process in processes:
        _finish(process)
    whole, shared = _lines(quick_run[0]), _lines(folder)
    assert list(whole) == list(shared)
    for step, line in list(whole.items())[:4]:
        for key in ("log_j_intra", "log_j_inter"):
            # Sums are rounded in another order; steps of training amplify it.
            assert shared[step][key] == pytest.approx(line[key], abs=0.02)
    assert (folder / "checkpoints" / str(STEPS)).is_dir()
    (events,) = folder.glob("events.out.tfevents.*")
    assert b"train/log_j_inter" in events.read_bytes()


def test_resuming_can_be_refused(quick_config, quick_run):
    folder, _ = quick_run
    process = _start(quick_config, folder, "--resume", "never")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "holds checkpoints and --resume never was given" in said


def test_an_exported_run_encodes_and_decodes(config, uninterrupted, tmp_path, cars):
    path = str(tmp_path / "smoke.nvcm")
    export(config, uninterrupted[1], path)
    codec = jaxnvc.load(path)
    video = codec.decode(codec.encode([f for f in cars[:2]], qp=40))
    assert not video.damages
    error = video.frames[1].y.astype(float) - cars[1].y
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 28


def test_validation_keeps_the_best_model_and_shows_pictures(
    config, uninterrupted, tmp_path
):
    models = build_models(config)
    chosen = dataclasses.replace(
        config, validation=config.clips, validation_frames=4, validation_crop=64
    )
    validation = Validation(chosen, models, str(tmp_path))
    trained = uninterrupted[1]
    good = validation(trained)
    best = (tmp_path / "best.nvcm").read_bytes()
    first = initial_state(models, config)
    bad = validation(trained.replace(averaged=first.params))
    assert good["score"] < bad["score"]
    # A curve: every quality costs more and is better than the one before.
    for key in ("bpp", "psnr"):
        values = [point[key] for point in good["rd"]]
        assert values == sorted(values)
    assert (tmp_path / "best.nvcm").read_bytes() == best
    assert json.loads((tmp_path / "best.json").read_text())["step"] == STEPS
    jaxnvc.load(str(tmp_path / "best.nvcm"))
    with av.open(str(tmp_path / "validation.png")) as picture:
        # A row of source, reconstruction and difference for each of four qualities.
        assert (picture.streams.video[0].width, picture.streams.video[0].height) == (
            3 * 64,
            4 * 64,
        )


def test_validation_on_clips_that_are_too_small_is_refused(config, tmp_path):
    chosen = dataclasses.replace(config, validation=config.clips, validation_frames=99)
    with pytest.raises(UsageError, match="no clip of .* has 99 frames"):
        Validation(chosen, build_models(config), str(tmp_path))


def test_batches_depend_on_seed_and_step_alone(config):
    windows, stage = Windows(config), config.stages[0]
    both = windows.rows(3, stage, range(2))
    np.testing.assert_array_equal(both, Windows(config).rows(3, stage, range(2)))
    # A row is the same whichever process draws it.
    np.testing.assert_array_equal(both[1:], windows.rows(3, stage, [1]))
    assert not np.array_equal(both, windows.rows(4, stage, range(2)))
    other = Windows(dataclasses.replace(config, seed=1))
    assert not np.array_equal(both, other.rows(3, stage, range(2)))


def test_a_broken_clip_is_reported_and_the_rest_is_used(config, tmp_path, capsys):
    import shutil

    shutil.copytree(config.clips, tmp_path / "clips")
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"not a video")
    clips = load_folder(str(tmp_path / "clips"), VIDEO_SUFFIXES)
    assert [clip.name for clip in clips] == ["cars.y4m"]
    assert "broken.mp4" in capsys.readouterr().err


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no readable"):
        load_folder(str(tmp_path), VIDEO_SUFFIXES)


def test_settings_are_typed_by_their_field(config):
    changed = with_settings(config, ["seed=7", "clip_norm=0.5"])
    assert changed.seed == 7
    assert changed.clip_norm == 0.5
    with pytest.raises(UsageError, match="not a int"):
        with_settings(config, ["seed=x"])
    with pytest.raises(UsageError, match="FIELD=VALUE"):
        with_settings(config, ["speed=1"])


def test_lam_is_log_spaced_over_the_quality_levels():
    ratios = np.diff(np.log(losses.lam_table()))
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-3)
    assert ratios[0] > 0
