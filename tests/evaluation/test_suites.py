"""Suites name what to download, and check what was."""

import hashlib
import json
import pathlib

import pytest

from jaxnvc.cli.main import main
from jaxnvc.errors import InputError, UsageError
from jaxnvc.evaluation.measure import probe
from jaxnvc.evaluation.stored_anchors import stored_points
from jaxnvc.evaluation.suite import built_in, open_suite
from tests.cli.conftest import moving


def suite_file(folder, **fields):
    path = folder / "mine.json"
    path.write_text(json.dumps({"sequences": [{"file": "a_64x48.yuv", **fields}]}))
    return str(path)


@pytest.fixture
def raw(tmp_path):
    data = b"".join(frame.tobytes() for frame in moving(3))
    (tmp_path / "a_64x48.yuv").write_bytes(data)
    return data


@pytest.mark.parametrize("name", sorted(built_in()))
def test_every_suite_lists_what_it_misses_by_file_name(name, tmp_path):
    with pytest.raises(InputError, match="no sequence of") as caught:
        open_suite([name], str(tmp_path))
    sequences = json.loads(built_in()[name].read_text())["sequences"]
    for one in sequences:
        assert one["file"] in str(caught.value)
        assert one["width"] > 0
        assert one["bit_depth"] in (8, 10)


def test_the_standard_suites_have_their_sequences():
    counts = {
        n: len(json.loads(p.read_text())["sequences"]) for n, p in built_in().items()
    }
    assert counts["uvg"] == 7
    assert counts["mcl-jcv"] == 30
    assert [counts[f"hevc-{c}"] for c in "bcde"] == [5, 4, 4, 3]
    assert counts["avs-eem"] == 12


def test_stored_results_of_vtm_fit_every_sequence_of_its_suites():
    for name in ("uvg", "mcl-jcv", "hevc-b", "hevc-c", "hevc-d", "hevc-e"):
        for one in json.loads(built_in()[name].read_text())["sequences"]:
            stored = stored_points({"source": one["file"], "frames": one["frames"]})
            points = stored["VTM-17.0-LDB"]
            assert len(points) == 10
            assert all(
                0.0001 < p["bpp"] < 3 and 20 < p["psnr_yuv"] < 60 for p in points
            )


def test_stored_results_are_refused_for_a_part_of_the_sequence():
    name = "Beauty_1920x1080_120fps_420_8bit_YUV.yuv"
    stored = stored_points({"source": name, "frames": 96})["VTM-17.0-LDB"]
    assert isinstance(stored, UsageError)
    assert "all 600 frames" in str(stored)
    assert stored_points({"source": "other.yuv", "frames": 96}) == {}


def test_sequences_are_found_under_the_root_and_checked(tmp_path, raw):
    md5 = hashlib.md5(raw).hexdigest()
    known = {"width": 64, "height": 48, "frames": 3, "fps": "30000/1001", "md5": md5}
    suite = open_suite([suite_file(tmp_path, **known)])
    clip = probe(suite.sequences[0])
    assert (clip.width, clip.height, clip.frames) == (64, 48, 3)
    assert clip.fps.denominator == 1001


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 4}, "bytes 13824, but the suite says 18432"),
        ({"width": 32}, "bytes"),
        ({"md5": "0" * 32}, "MD5"),
    ],
)
def test_a_file_that_is_not_the_original_is_refused(wrong, message, tmp_path, raw):
    known = {"width": 64, "height": 48, "frames": 3} | wrong
    suite = open_suite([suite_file(tmp_path, **known)])
    with pytest.raises(InputError, match=message):
        probe(suite.sequences[0])


def test_other_sizes_than_the_suite_s_are_refused(tmp_path, clip):
    path = tmp_path / "s.json"
    known = {"file": "waves.y4m", "width": 128, "height": 48}
    path.write_text(json.dumps({"sequences": [known]}))
    root = clip.rsplit("/", 1)[0]
    with pytest.raises(InputError, match="width 64, but the suite says 128"):
        probe(open_suite([str(path)], root).sequences[0])


def test_a_suite_that_is_none_is_refused(tmp_path, capsys):
    path = tmp_path / "s.json"
    path.write_text('{"clips": []}')
    assert main(["eval", str(path), "--out", str(tmp_path / "out")]) == 3
    assert "is not a suite" in capsys.readouterr().err
    assert main(["eval", "uvg", "x.y4m", "--out", str(tmp_path / "out")]) == 2
    assert main(["eval", "a/x.y4m", "b/x.y4m", "--out", str(tmp_path / "out")]) == 2


def test_the_smoke_suite_measures_what_is_there(tmp_path, capsys):
    root = pathlib.Path(__file__).parents[2] / "examples"
    codec = ["--codecs", "x264-ultrafast", "--rates", "x264=26,40", "--frames", "3"]
    words = ["eval", "smoke", "--root", str(root), *codec, "--out", str(tmp_path)]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "missing: road_1280x720_24f.mkv" in said
    assert "done=2/2" in said
    text = (tmp_path / "results.jsonl").read_text().splitlines()
    better, worse = (json.loads(line) for line in text)
    assert better["clip"] == "example_cars"
    assert 1 > better["ms_ssim"] > worse["ms_ssim"] > 0.8
