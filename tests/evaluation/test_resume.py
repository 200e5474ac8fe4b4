"""What is measured stays measured; what fails is said, and the rest goes on."""

import json
import os
import signal
import subprocess
import time

import pytest

from jaxnvc.cli.main import main
from jaxnvc.evaluation import coders, plots, run
from jaxnvc.evaluation.run_lock import locked
from jaxnvc.evaluation.suite import open_suite
from tests.cli.conftest import command, environment, moving, write_video
from tests.evaluation.conftest import rates_of


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch):
    # They take longer than the measurements here, and are tested with another run.
    monkeypatch.setattr(plots, "write_plots", lambda lines, folder: [])


def evaluate(clips, out, *codecs, extra=()):
    names = ["--codecs", ",".join(codecs), *rates_of("x264", "x265")]
    return main(["eval", *clips, *names, "--out", str(out), "--quiet", *extra])


def lines(out):
    return [json.loads(x) for x in (out / "results.jsonl").read_text().splitlines()]


def test_a_line_that_a_kill_cut_short_is_measured_again_and_no_other(clip, tmp_path):
    assert evaluate([clip], tmp_path, "x264", extra=["--frames", "3"]) == 0
    path = tmp_path / "results.jsonl"
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:2]) + whole[2][:50])
    assert evaluate([clip], tmp_path, "x264", extra=["--frames", "3"]) == 0
    again = path.read_text().splitlines(keepends=True)
    assert again[:2] == whole[:2]
    pairs = zip(whole, again, strict=True)
    assert all(json.loads(a)["sha256"] == json.loads(b)["sha256"] for a, b in pairs)


def test_other_parameters_are_measured_again(clip, tmp_path):
    assert evaluate([clip], tmp_path, "x264", extra=["--frames", "3"]) == 0
    assert evaluate([clip], tmp_path, "x264", extra=["--frames", "4"]) == 0
    assert [line["frames"] for line in lines(tmp_path)] == [3] * 4 + [4] * 4


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_where_it_was(number, clip, tmp_path):
    args = ["eval", clip, "--codecs", "x264,x265", "--frames", "3", "--out", tmp_path]
    first = subprocess.Popen(
        command(*args), env=environment(), stderr=subprocess.DEVNULL
    )
    results, until = tmp_path / "results.jsonl", time.monotonic() + 300
    while not (results.exists() and results.read_text().count("\n")):
        assert time.monotonic() < until
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(number)
    assert first.wait(120) == (130 if number == signal.SIGINT else -number)
    kept = results.read_text().splitlines()[0]
    done = subprocess.run(
        command(*args), env=environment(), capture_output=True, timeout=600, check=False
    )
    assert done.returncode == 0
    after = results.read_text().splitlines()
    assert after[0] == kept
    assert len({(x["codec"], x["rate"]) for x in map(json.loads, after)}) == 14
    assert len(after) == 14
    assert not list(tmp_path.glob("streams/*/part-*"))


def test_a_folder_in_use_is_refused_until_it_is_free(clip, tmp_path, capsys):
    motion = ["robustness", "motion", clip, "--codecs", "x264", "--out", str(tmp_path)]
    with locked(tmp_path):
        assert evaluate([clip], tmp_path, "x264") == 2
        assert main(motion) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(f"in use by another run (process {os.getpid()})" in s for s in said)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with locked(tmp_path):
        pass


def test_a_folder_that_is_a_file_is_refused(clip, tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert evaluate([clip], tmp_path / "out", "x264") == 3
    assert "cannot be made" in capsys.readouterr().err


def test_clips_that_cannot_be_measured_are_recorded_and_the_rest_goes_on(
    clip, tmp_path, capsys
):
    short = write_video(tmp_path / "short.y4m", moving(2))
    wrong = str(tmp_path / "nowhere.y4m")
    options = ["--frames", "3", "--jobs", "2"]
    code = evaluate([wrong, short, clip], tmp_path / "out", "x264", extra=options)
    said = capsys.readouterr().err
    assert code == 3
    failed = [line for line in lines(tmp_path / "out") if line["status"] == "failed"]
    assert {line["clip"] for line in failed} == {"nowhere", "short"}
    assert "has 2 frames and 3 were asked for" in said
    assert "does not exist" in said
    good = [line for line in lines(tmp_path / "out") if line["status"] == "ok"]
    assert len(good) == 4
    assert "Failed: short" in (tmp_path / "out" / "tables.md").read_text()


def test_a_codec_that_fails_is_recorded_and_the_others_go_on(clip, tmp_path):
    names = ["x264-nonsense", "no-such-model", "x264"]
    code = evaluate([clip], tmp_path, *names, extra=["--frames", "3", "--qps", "1"])
    assert code == 2
    kinds = {(line["codec"], line["status"]) for line in lines(tmp_path)}
    assert kinds == {
        ("x264-ld-nonsense", "failed"),
        ("no-such-model", "failed"),
        ("x264-ld-medium", "ok"),
    }


def test_nothing_measured_is_a_failure(tmp_path, capsys):
    assert evaluate([str(tmp_path / "no.y4m")], tmp_path / "out", "x264") == 3
    assert "nothing was measured" in capsys.readouterr().err


def test_an_absent_tool_leaves_its_column_out_with_the_reason(clip, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coders, "ffmpeg_program", lambda: None)
        patch.setattr(coders, "ffmpeg_lists", lambda what: frozenset())
        chosen = tuple(coders.parse(name) for name in ("vvenc", "x264"))
        evaluation = run.Run(run.Plan(open_suite([clip]), chosen), tmp_path)
    assert [coder.name for coder in evaluation.coders] == ["x264-ld-medium"]
    assert "ffmpeg program" in evaluation.left_out["vvenc-ld-faster"]


@pytest.mark.parametrize(
    "words",
    [
        ["--codecs", "x264-ld-ra"],
        ["--codecs", "jpeg-ra"],
        ["--codecs", "x264,x264-ld-medium"],
        ["--codecs", "eem-lite", "--qps", "5,99"],
        ["--rates", "x264=high"],
        ["--codecs", "x264", "--summary", "no/such/folder/short.json"],
    ],
)
def test_what_makes_no_sense_is_refused_at_once(words, clip, tmp_path, capsys):
    assert main(["eval", clip, *words, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("jaxnvc: ")
    assert not (tmp_path / "out").exists()
