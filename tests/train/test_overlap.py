"""No test clip is among the training data, by what their pictures look like."""

import json
import pathlib

import numpy as np
import pytest

from jaxnvc.video import VideoFrame, VideoInfo, create_video
from jaxnvc.video.frames import Yuv420
from train.data.overlap import SAME, difference_hash, distances, main, nearest

CARD = pathlib.Path(__file__).parents[2] / "docs" / "models" / "eem-lite.data.json"


def _half(luma: np.ndarray) -> np.ndarray:
    height, width = (side // 2 for side in luma.shape)
    return luma.reshape(height, 2, width, 2).mean((1, 3))


def _noisy(luma: np.ndarray) -> np.ndarray:
    return luma + np.random.default_rng(0).normal(0, 6, luma.shape)


CHANGES = {
    "smaller": _half,
    "darker": lambda luma: 0.7 * luma,
    "noisy": _noisy,
    "cut": lambda luma: luma[2:-2, 2:-2],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_frame_is_known_again(cars, change):
    luma = cars[0].y
    found = distances([difference_hash(luma)], [difference_hash(change(luma))])
    assert found < SAME


def test_another_picture_is_told_apart(cars):
    luma = cars[0].y
    others = [luma[:, ::-1], luma[::-1], luma[:108, :192], 255 - luma]
    found = distances([difference_hash(luma)], [difference_hash(x) for x in others])
    assert found.shape == (1, 4)
    assert found.min() > 2 * SAME


def _clip(path: pathlib.Path, frames) -> str:
    info = VideoInfo(width=frames[0].width, height=frames[0].height)
    path.parent.mkdir(exist_ok=True)
    with create_video(str(path), info) as video:
        for frame in frames:
            video.write(VideoFrame(frame))
    return str(path.parent)


def test_a_test_frame_among_training_clips_is_found(tmp_path, cars, capsys):
    mirrored = [Yuv420(*(plane[:, ::-1].copy() for plane in f.planes)) for f in cars]
    test = _clip(tmp_path / "test" / "a.mkv", cars[4:7])
    clean = _clip(tmp_path / "clean" / "b.mkv", mirrored[:3])
    dirty = _clip(tmp_path / "dirty" / "c.mkv", [*mirrored[:2], cars[6]])
    out = tmp_path / "report.json"
    command = ["--test", test, "--out", str(out), "--train", clean]
    assert main(command) == 0
    assert main([*command, "--train", dirty]) == 1
    found = json.loads(out.read_text())["nearest"]
    assert (found["test"], found["train"]) == (["a.mkv", 2], ["c.mkv", 2])
    assert found["bits"] == 0
    (tmp_path / "empty").mkdir()
    assert main([*command, "--train", str(tmp_path / "empty")]) == 3
    assert "holds no readable" in capsys.readouterr().err


def test_the_released_model_has_not_seen_what_it_is_tested_on(cars):
    """By the hashes of its training data, and by the example clip's own pictures."""
    card = json.loads(CARD.read_text())
    assert sum(file["file"].endswith(".mp4") for file in card["train"]) == 75
    assert len(card["test"]) == 8
    assert card["nearest"]["bits"] >= SAME
    assert nearest(card["train"], card["test"])["bits"] >= SAME
    seen = [h for file in card["train"] for h in file["frames"]]
    shown = [difference_hash(frame.y) for frame in cars]
    assert distances(shown, seen).min() >= SAME
    # The same hashes: the example is a part of a test clip.
    listed = [h for file in card["test"] for h in file["frames"]]
    assert distances(shown, listed).min() < SAME
