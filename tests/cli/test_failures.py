"""Every exit code, from a process of its own, with one sentence and no traceback."""

import dataclasses
import pathlib
import subprocess
import sys
import time
import wave

import pytest

from jaxnvc.bitstream import StreamReader, describe
from tests.cli.conftest import (
    command,
    environment,
    is_one_line,
    leftovers,
    moving,
    write_video,
)


@pytest.fixture(scope="module")
def data(stream):
    return pathlib.Path(stream).read_bytes()


@pytest.fixture
def inputs(tmp_path):
    """Files that are no videos, by kind."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mkv").write_text("this is not a video\n" * 100)
    with wave.open(str(tmp_path / "audio.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    return tmp_path


@pytest.mark.parametrize("name", ["missing.mp4", "empty.mp4", "text.mkv", "audio.wav"])
def test_what_is_no_video_exits_with_3(cli, inputs, name):
    result = cli("encode", inputs / name, inputs / "o.nvc")
    assert result.code == 3
    assert is_one_line(result.err)
    assert name in result.err
    assert not (inputs / "o.nvc").exists()
    assert leftovers(inputs) == []


def test_a_missing_file_exits_with_3(shell, tmp_path):
    for args in (["encode", tmp_path / "no.mp4"], ["decode", tmp_path / "no.nvc"]):
        result = shell(
            *args, tmp_path / f"out{'.nvc' if 'mp4' in str(args) else '.y4m'}"
        )
        assert result.code == 3
        assert is_one_line(result.err)
        assert list(tmp_path.iterdir()) == []


def test_bad_options_exit_with_2(shell, cli, clip, tmp_path):
    out = tmp_path / "o.nvc"
    result = shell("encode", clip, out, "--qp", "64")
    assert result.code == 2
    assert "0 to 63, higher is better" in result.err
    for bad in (
        ["--qp", "3", "--bitrate", "800k"],
        ["--bitrate", "0"],
        ["--target-size", "ten"],
        ["--gop", "0"],
        ["--frames", "0"],
        ["--raw-depth", "8"],
        ["--stats", tmp_path / "s.txt"],
        ["-y", "-n"],
    ):
        assert cli("encode", clip, out, *bad).code == 2, bad
    assert cli("encode", clip, tmp_path / "o.mp4").code == 2
    assert cli("decode", clip, tmp_path / "o.avi").code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_stream_of_impossible_size_is_refused_at_once(shell, cli, data, tmp_path):
    side = 2**29
    header = dataclasses.replace(
        StreamReader(data).header,
        display_width=side,
        display_height=side,
        coded_width=side,
        coded_height=side,
    )
    bad = tmp_path / "huge.nvc"
    bad.write_bytes(header.pack() + bytes(100))
    begin = time.monotonic()
    for name in ("info", "verify"):
        result = cli(name, bad)
        assert result.code == 4
        assert "536870912x536870912" in result.err
    assert time.monotonic() - begin < 1.0
    result = shell("decode", bad, tmp_path / "o.y4m")
    assert result.code == 4
    assert is_one_line(result.err)


def test_an_unknown_version_is_named(cli, data, tmp_path):
    bad = tmp_path / "future.nvc"
    bad.write_bytes(data[:4] + b"\x09" + data[5:])
    result = cli("decode", bad, tmp_path / "o.y4m")
    assert result.code == 4
    assert "version 9" in result.err
    assert cli("verify", bad).code == 4


def test_a_video_is_not_taken_for_a_stream(cli, clip, tmp_path):
    assert cli("decode", clip, tmp_path / "o.y4m").code == 4
    assert cli("info", clip).code == 4


def test_the_model_that_a_stream_needs_is_named(shell, cli, stream, data, tmp_path):
    out = tmp_path / "o.y4m"
    result = shell("decode", stream, out)
    assert result.code == 5
    assert is_one_line(result.err)
    assert "'tiny'" in result.err
    assert cli("encode", stream, tmp_path / "o.nvc", "--model", "no").code == 3
    assert not out.exists()


def test_another_model_than_the_streams_is_refused(cli, data, model, clip, tmp_path):
    header = dataclasses.replace(StreamReader(data).header, model_id=bytes(16))
    bad = tmp_path / "other.nvc"
    bad.write_bytes(header.pack() + data[len(header.pack()) :])
    assert cli("decode", bad, tmp_path / "o.y4m", *model).code == 5
    assert cli("verify", bad, *model).code == 5
    missing = cli("encode", clip, tmp_path / "o.nvc", "--model", tmp_path / "no.nvcm")
    assert missing.code == 5
    text = tmp_path / "text.nvcm"
    text.write_text("no bundle")
    assert cli("encode", clip, tmp_path / "o.nvc", "--model", text).code == 5
    assert not (tmp_path / "o.nvc").exists()


def test_a_device_that_is_not_there_exits_with_6(shell, clip, model, tmp_path):
    env = {"JAX_PLATFORMS": "nonesuch"}
    result = shell("encode", clip, tmp_path / "o.nvc", *model, env=env)
    assert result.code == 6
    assert is_one_line(result.err)
    assert list(tmp_path.iterdir()) == []


def test_memory_that_runs_out_exits_with_6(cli, stream, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("jaxnvc.cli.info.describe", fail)
    assert cli("info", stream).code == 6


def test_a_failed_verification_exits_with_7(shell, data, model, tmp_path):
    bad = tmp_path / "bad.nvc"
    # Cut in the first packet, so that there is nothing to compile for.
    bad.write_bytes(data[: StreamReader(data).header_bytes + 30])
    result = shell("verify", bad, *model)
    assert result.code == 7
    assert "damaged in 1 place" in result.err


def test_a_bug_exits_with_1_and_one_sentence(shell, tmp_path, stream):
    program = (
        "import sys, jaxnvc.cli.info as info\n"
        "info.describe = lambda *_: 1 // 0\n"
        "from jaxnvc.cli.main import main\n"
        f"sys.exit(main(['info', {stream!r}]))\n"
    )
    for variable, marks in (("0", 0), ("1", 1)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env=environment(JAXNVC_TRACEBACK=variable),
            check=False,
        )
        text = done.stderr.decode()
        assert done.returncode == 1
        assert "ZeroDivisionError" in text
        assert "JAXNVC_TRACEBACK=1" in text
        assert text.count("Traceback") == marks


def test_a_full_disk_leaves_no_file(shell, cli, clip, stream, model, tmp_path):
    limit = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (2000, 2000))"
    out = tmp_path / "o.nvc"
    result = shell("encode", clip, out, *model, "--quiet", before=limit)
    assert result.code == 3
    assert "cannot be written" in result.err
    assert list(tmp_path.iterdir()) == []
    full = cli("encode", clip, "/dev/full", "--quiet", *model)
    assert full.code == 3
    assert "no space left" in full.err


def test_an_output_folder_that_is_missing_exits_with_3(
    cli, clip, stream, model, tmp_path
):
    nowhere = tmp_path / "no" / "such"
    assert cli("encode", clip, nowhere / "o.nvc", *model).code == 3
    assert cli("decode", stream, nowhere / "o.y4m", *model).code == 3


def test_frames_before_damage_in_the_input_are_encoded(cli, model, tmp_path):
    whole = write_video(tmp_path / "whole.mkv", moving(8))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(pathlib.Path(whole).read_bytes()[:-1500])
    out = tmp_path / "o.nvc"
    result = cli("encode", cut, out, "--quiet", "--gop", "4", *model)
    assert result.code == 3
    assert "truncated" in result.err
    found = describe(out)
    assert found["complete"]
    assert found["damages"] == []
    assert 1 <= found["frames"] < 8


def test_help_says_what_higher_qp_means(cli):
    result = cli("encode", "--help")
    assert result.code == 0
    assert "HIGHER IS BETTER QUALITY AND MORE BITS" in result.out
    assert cli("--version").out.startswith("jaxnvc ")
    assert cli().code == 2


def test_info_help_and_version_do_not_import_jax(stream):
    program = (
        "import sys\nfrom jaxnvc.cli.main import main\n"
        f"for args in (['info', {stream!r}], ['info', {stream!r}, '--json'], "
        "['--version'], ['--help'], ['encode', '--help'], ['decode', '--help']):\n"
        "    assert main(args) == 0, args\n"
        "    assert 'jax' not in sys.modules, args\n"
        "    assert 'av' not in sys.modules, args\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_command_is_the_module(shell):
    assert command("info")[1:] == ["-m", "jaxnvc", "info"]
    assert b"jaxnvc" in shell("--version").out
