"""Hard cases are what they are called, and are measured as everything else."""

import json

import numpy as np
import pytest

from jaxnvc.cli.main import main
from jaxnvc.errors import UsageError
from jaxnvc.evaluation import plots
from jaxnvc.evaluation.blank_frame import recoveries, with_blank
from jaxnvc.evaluation.drift import looped
from jaxnvc.evaluation.motion_patterns import PATTERNS, moving_still
from jaxnvc.metrics import psnr_yuv
from jaxnvc.video import open_video
from tests.metrics.pictures import flat, textured

STILL = np.random.default_rng(0).integers(30, 220, (32, 48, 3), np.uint8)
STILL = np.repeat(np.repeat(STILL, 2, 0), 2, 1)


def lumas(pattern, frames=32):
    return [p.y.astype(float) for p in moving_still(STILL, pattern, frames)]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_motion_begins_with_the_still_and_leaves_it(pattern):
    first, *rest = lumas(pattern)
    start = next(moving_still(STILL, "pulse", 1)).y
    assert np.array_equal(first, start)
    assert len(rest) == 31
    assert np.abs(rest[-1] - first).mean() > 2


def test_motions_do_what_they_are_called():
    detail = {p: [np.abs(np.diff(y)).mean() for y in lumas(p)] for p in PATTERNS}
    assert detail["sharpen"][-1] > 1.3 * detail["sharpen"][0]
    assert detail["blur"][-1] < 0.5 * detail["blur"][0]
    assert detail["zoom"][-1] < 0.8 * detail["zoom"][0]
    assert lumas("lighten")[-1].mean() > 1.2 * lumas("lighten")[0].mean()
    assert lumas("darken")[-1].mean() < 0.4 * lumas("darken")[0].mean()
    pulse = lumas("pulse")
    assert np.array_equal(pulse[2], pulse[0])
    assert np.array_equal(pulse[3], pulse[1])
    fade = lumas("fade")
    assert np.abs(fade[-1] - fade[0][:, ::-1]).max() <= 2


def test_shaking_repeats_with_its_seed_and_shifts_by_whole_samples():
    once, again = lumas("shake", 4), lumas("shake", 4)
    assert all(map(np.array_equal, once, again))
    values = set(np.unique(once[0]))
    assert set(np.unique(once[2])) <= values


def test_a_blank_frame_holds_nothing_and_the_others_stay():
    frames = [textured(16, 16, 10, seed) for seed in range(12)]
    blanked = with_blank(frames)
    assert {int(v) for plane in blanked[10].planes for v in plane.flat} == {512}
    assert blanked[9] is frames[9]
    assert blanked[11] is frames[11]
    with pytest.raises(UsageError, match="at least 12"):
        with_blank(frames[:11])


def test_recovery_counts_the_frames_that_are_worse(tmp_path):
    lines = []
    for clip, psnr in (("a", [40] * 15), ("a_blank", [40] * 11 + [30, 39, 39.8, 40])):
        stream = f"streams/{clip}/x_qp1.nvc"
        table = tmp_path / "frames" / clip / "x_qp1.csv"
        table.parent.mkdir(parents=True)
        table.write_text("psnr_yuv\n" + "\n".join(map(str, psnr)) + "\n")
        lines.append({"clip": clip, "codec": "x", "setting": "qp=1", "stream": stream})
    (found,) = recoveries(lines, tmp_path)
    assert found["loss_db"] == 10
    assert found["recovery_frames"] == 2


def test_a_loop_runs_forth_and_back():
    frames = [flat(value, 4, 4) for value in range(4)]
    values = [int(frame.y[0, 0]) for frame in looped(frames, 6, 9)]
    assert values == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_the_commands_measure_and_draw(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "write_plots", lambda lines, folder: [])
    quick = ["--codecs", "x264-ultrafast", "--rates", "x264=30,40", "--quiet"]
    out = tmp_path / "motion"
    assert (
        main(["robustness", "motion", clip, "--frames", "3", "--out", str(out), *quick])
        == 0
    )
    lines = [json.loads(x) for x in (out / "results.jsonl").read_text().splitlines()]
    assert [line["class"] for line in lines[::2]] == list(PATTERNS)
    out = tmp_path / "blank"
    assert main(["robustness", "blank", clip, "--out", str(out), *quick]) == 0
    found = json.loads((out / "blank.json").read_text())
    assert [one["setting"] for one in found] == ["crf=30", "crf=40"]
    assert len(found[0]["psnr_blank"]) == 12
    assert (out / "blank.png").stat().st_size > 1000


def test_drift_needs_one_model_and_one_clip(clip, tmp_path, capsys):
    two = ["--codecs", "a,b", "--out", str(tmp_path)]
    assert main(["robustness", "drift", clip, *two]) == 2
    assert "one of each" in capsys.readouterr().err


def test_drift_reports_every_span_of_a_loop(
    programs, clip, chunked_bundle_path, chunked, tmp_path, capsys
):
    study = ["robustness", "drift", clip, "--codecs", chunked_bundle_path]
    place = ["--span", "6", "--qps", "24", "--out", str(tmp_path)]
    assert main([*study, *place, "--frames", "6"]) == 2
    assert "ask for 7 or more" in capsys.readouterr().err
    assert main([*study, *place, "--frames", "14", "--quiet"]) == 0
    assert not capsys.readouterr().err
    report = json.loads((tmp_path / "drift.json").read_text())
    assert report["model_id"] == chunked.bundle.model_id.hex()
    assert (tmp_path / "drift.png").stat().st_size > 1000

    with open_video(clip, frames=4) as reader:
        a, b, c, d = (frame.planes for frame in reader)
    frames = [a, b, c, d, c, b] * 2 + [a, b]
    stream = chunked.encode(frames, qp=24)
    shown = chunked.decode(stream).frames
    first, second = report["spans_by_qp"]["24"]
    for span, start in ((first, 1), (second, 7)):
        part = slice(start, start + 6)
        expected = psnr_yuv(frames[part], shown[part])
        assert span["first"] == start
        assert span["psnr_yuv"] == pytest.approx(expected["yuv"], abs=0.01)
        assert 0 < 6 * span["bytes_per_frame"] < len(stream)
