"""What may be overwritten, and that an input never is."""

import io
import os
import pathlib
import sys

import pytest

from jaxnvc.cli.outputs import StreamFile, settle
from jaxnvc.errors import UsageError
from tests.cli.conftest import leftovers


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "kept.nvc"
    path.write_text("precious")
    return str(path)


def test_an_existing_output_is_kept_unless_y_is_given(cli, shell, clip, kept, model):
    for options in (["-n"], []):
        result = cli("encode", clip, kept, *options, *model)
        assert result.code == 2
        assert "already exists" in result.err
    assert "-y" in shell("encode", clip, kept).err
    assert pathlib.Path(kept).read_text() == "precious"
    done = cli("encode", clip, kept, "-y", "--frames", "1", "--quiet", *model)
    assert done.code == 0
    assert pathlib.Path(kept).read_bytes() != b"precious"


def test_a_failure_keeps_the_output_that_was_there(cli, kept, model, tmp_path):
    assert cli("encode", tmp_path / "none.y4m", kept, "-y", *model).code == 3
    assert pathlib.Path(kept).read_text() == "precious"


def test_the_input_is_never_overwritten(cli, stream, model, tmp_path):
    source = tmp_path / "in.nvc"
    source.write_bytes(pathlib.Path(stream).read_bytes())
    linked = tmp_path / "linked.y4m"
    os.link(source, linked)
    before = source.read_bytes()
    for args in (
        ["encode", source, source],
        ["decode", source, linked],
        ["decode", source, tmp_path / "o.y4m", "--framemd5", source],
    ):
        result = cli(*args, "-y", *model)
        assert result.code == 2
        assert "both input and output" in result.err
    assert source.read_bytes() == before


def test_two_outputs_of_one_name_are_refused(tmp_path):
    with pytest.raises(UsageError, match="two outputs"):
        settle([], [str(tmp_path / "a"), f"{tmp_path}/./a"], None)
    with pytest.raises(UsageError, match="only one output"):
        settle([], ["-", "-"], None)
    settle([], ["/dev/null", "/dev/null", None], None)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_asked(kept, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    settle(["in"], [kept], None)
    assert f"File '{kept}' already exists. Overwrite? [y/N]" in capsys.readouterr().err
    for answer in ("\n", "n\n", ""):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        with pytest.raises(UsageError):
            settle(["in"], [kept], None)
    # Standard input holds video here, not answers.
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    with pytest.raises(UsageError, match="-y"):
        settle(["-"], [kept], None)


@pytest.mark.parametrize(("mode", "seeks"), [("w", True), ("a", False)])
def test_a_redirected_stream_is_corrected_only_where_that_is_possible(
    tmp_path, monkeypatch, mode, seeks
):
    with open(tmp_path / "out", mode) as redirected:
        monkeypatch.setattr(sys, "stdout", redirected)
        with StreamFile("-") as out:
            assert bool(getattr(out.file, "seekable", lambda: False)()) == seeks
            out.file.write(b"bytes")
    assert (tmp_path / "out").read_bytes() == b"bytes"


def test_a_stream_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "o.nvc"
    with StreamFile(str(path)) as out:
        out.file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    with pytest.raises(ZeroDivisionError), StreamFile(str(path)) as out:
        out.file.write(bytes(1 // 0))
    assert path.read_bytes() == b"whole"
    assert leftovers(tmp_path) == []
