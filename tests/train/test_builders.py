"""Data sets are built from local downloads and read back, without TensorFlow."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxnvc.errors import InputError
from jaxnvc.video import VideoFrame, VideoInfo, create_video, rgb_to_yuv420
from train.config import Stage, TrainConfig
from train.data.batches import Windows
from train.data.build import main as build

HEIGHT, WIDTH = 64, 96


def _crops(cars, count):
    """Real frames, small."""
    return [
        type(p)(
            p.y[:HEIGHT, :WIDTH],
            p.u[: HEIGHT // 2, : WIDTH // 2],
            p.v[: HEIGHT // 2, : WIDTH // 2],
        )
        for p in cars[:count]
    ]


def _write_video(path, frames):
    with create_video(str(path), VideoInfo(width=WIDTH, height=HEIGHT)) as writer:
        for number, planes in enumerate(frames):
            writer.write(VideoFrame(planes, number))


def _examples(folder, split="train"):
    import tensorflow_datasets as tfds

    source = tfds.builder_from_directory(folder).as_data_source(split=split)
    examples = [source[i] for i in range(len(source))]
    return sorted(examples, key=lambda e: (e["name"], int(e["start"])))


def _config(folder, **changes) -> TrainConfig:
    stage = Stage(
        name="s",
        steps=9,
        frames=3,
        batch=2,
        crop=64,
        learning_rate=1e-3,
        final_learning_rate=1e-4,
    )
    config = {"intra": "intra/tiny", "inter": "avs_eem/tiny", "clips": str(folder)}
    return TrainConfig(name="c", stages=(stage,), **config | changes)


@pytest.fixture(scope="module")
def septuplets(tmp_path_factory):
    """A Vimeo-90k layout: one whole, one lacking a frame, one damaged, one test."""
    root = tmp_path_factory.mktemp("vimeo")
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (7, HEIGHT, WIDTH, 3), np.uint8)
    for name in ("00001/0001", "00001/0002", "00001/0003", "00002/0001"):
        folder = root / "sequences" / name
        folder.mkdir(parents=True)
        for i, picture in enumerate(pictures, 1):
            Image.fromarray(picture).save(folder / f"im{i}.png")
    (root / "sequences/00001/0002/im4.png").unlink()
    (root / "sequences/00001/0003/im2.png").write_bytes(b"no picture")
    (root / "sep_trainlist.txt").write_text("00001/0001\n00001/0002\n00001/0003\n")
    (root / "sep_testlist.txt").write_text("00002/0001\n")
    return root, pictures


def test_septuplets_become_planes_and_broken_ones_are_listed(
    septuplets, tmp_path, capsys
):
    root, pictures = septuplets
    assert build(["vimeo", "--source", str(root), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "00001/0002: im4.png missing" in said.err
    assert "00001/0003: im2.png is no readable image" in said.err
    folder = tmp_path / "vimeo_septuplet" / "1.0.0"
    (example,) = _examples(folder)
    assert len(_examples(folder, "test")) == 1
    planes = rgb_to_yuv420(pictures)
    np.testing.assert_array_equal(example["y"], [p.y for p in planes])
    np.testing.assert_array_equal(example["uv"][..., 1], [p.v for p in planes])
    assert int(example["bit_depth"]) == 8


def test_bvi_clips_of_8_and_10_bits_keep_their_samples(cars, tmp_path):
    frames = _crops(cars, 5)
    source = tmp_path / "bvi"
    source.mkdir()
    _write_video(source / "DCarsBVI.mkv", frames)
    with (source / "DDeepBVI_96x64_120fps_10bit_420.yuv").open("wb") as raw:
        for planes in frames:
            for plane in planes.planes:
                raw.write((plane.astype("<u2") * 4 + 3).tobytes())
    (source / "DBroken_96x64_120fps_10bit_420.yuv").write_bytes(b"x" * 999)
    out = str(tmp_path / "out")
    assert build(["bvi", "--source", str(source), "--out", out]) == 0
    eight, ten = _examples(tmp_path / "out" / "bvi_dvc" / "1.0.0")
    assert (int(eight["bit_depth"]), int(ten["bit_depth"])) == (8, 10)
    np.testing.assert_array_equal(ten["y"], [4 * p.y.astype(int) + 3 for p in frames])
    assert eight["y"].shape == ten["y"].shape == (5, HEIGHT, WIDTH)


def test_long_videos_are_cut_into_examples(cars, tmp_path, monkeypatch):
    from train.data.builders import VideoClips

    monkeypatch.setattr(VideoClips, "longest", 4)
    frames = _crops(cars, 9)
    (tmp_path / "in").mkdir()
    _write_video(tmp_path / "in" / "a.y4m", frames)
    out = str(tmp_path / "out")
    assert build(["clips", "--source", str(tmp_path / "in"), "--out", out]) == 0
    examples = _examples(tmp_path / "out" / "video_clips" / "1.0.0")
    # The ninth frame alone is too short an example.
    assert [int(e["start"]) for e in examples] == [0, 4]
    np.testing.assert_array_equal(examples[1]["y"], [p.y for p in frames[4:8]])


@pytest.mark.parametrize("dataset", ["vimeo", "bvi", "clips"])
def test_a_wrong_folder_is_refused_with_what_it_should_hold(dataset, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    out = str(tmp_path / "out")
    assert build([dataset, "--source", str(tmp_path / "in"), "--out", out]) == 3
    assert "holds nothing to build from: give" in capsys.readouterr().err


@pytest.fixture(scope="module")
def dataset(cars, tmp_path_factory):
    """A built data set of real clips and one too small to train on."""
    root = tmp_path_factory.mktemp("clips")
    (root / "in").mkdir()
    for number in range(3):
        _write_video(root / "in" / f"{number}.y4m", _crops(cars[number:], 6))
    with create_video(
        str(root / "in" / "small.y4m"), VideoInfo(width=32, height=32)
    ) as writer:
        for number, p in enumerate(cars[:4]):
            small = type(p)(p.y[:32, :32], p.u[:16, :16], p.v[:16, :16])
            writer.write(VideoFrame(small, number))
    build(["clips", "--source", str(root / "in"), "--out", str(root / "out")])
    return root / "out" / "video_clips" / "1.0.0"


def test_windows_of_a_data_set_depend_on_seed_step_and_row_alone(dataset):
    config = _config(dataset)
    windows, stage = Windows(config), config.stages[0]
    both = windows.rows(5, stage, range(2))
    assert both.shape == (2, 3, 32, 32, 6)
    assert both.dtype == np.uint16
    again = Windows(config)
    np.testing.assert_array_equal(again.rows(5, stage, [1])[0], both[1])
    np.testing.assert_array_equal(again.rows(5, stage, [0])[0], both[0])
    assert not np.array_equal(again.rows(6, stage, range(2)), both)
    other = Windows(_config(dataset, seed=1))
    assert not np.array_equal(other.rows(5, stage, range(2)), both)


def test_every_large_enough_clip_is_drawn_within_an_epoch(dataset):
    config = _config(dataset)
    windows, stage = Windows(config), config.stages[0]
    drawn = np.concatenate([windows.rows(step, stage, range(2)) for step in range(6)])
    assert len(np.unique(drawn.reshape(12, -1), axis=0)) > 6


def test_stills_stand_beside_a_data_set(dataset, tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "still.png")
    config = _config(dataset, stills=str(tmp_path), still_share=0.5)
    stage = config.stages[0]
    drawn = Windows(config).rows(0, stage, range(8))
    videos = Windows(_config(dataset)).rows(0, stage, range(8))
    assert drawn.dtype == videos.dtype
    kept = [np.array_equal(a, b) for a, b in zip(drawn, videos, strict=True)]
    # A window is a still's or a video's; all use the range of their type alike.
    assert 0 < sum(kept) < 8
    assert drawn.max() > 200 * 257


def test_a_window_that_no_clip_holds_is_refused(dataset):
    windows = Windows(_config(dataset))
    stage = _config(dataset).stages[0]
    long = Stage(**{**vars(stage), "frames": 30})
    with pytest.raises(InputError, match="no clip has 30 frames"):
        windows.rows(0, long, [0])


def test_neither_building_nor_reading_imports_tensorflow(dataset):
    program = (
        "import sys, json\n"
        "import train.data.build, train.data.builders, train.data.records\n"
        "import tensorflow_datasets as tfds\n"
        f"s = tfds.builder_from_directory({str(dataset)!r}).as_data_source('train')\n"
        "s[0]\n"
        "print(json.dumps('tensorflow' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) is False
