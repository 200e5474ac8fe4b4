"""Pipes, readers that go away, and Ctrl-C, in real processes."""

import io
import signal
import subprocess

import pytest

from jaxnvc.bitstream import describe
from jaxnvc.cli.interrupts import Interrupts
from jaxnvc.video import VideoFrame
from jaxnvc.video.y4m import Y4mReader, Y4mWriter
from tests.cli.conftest import (
    INFO,
    command,
    environment,
    leftovers,
    moving,
    prepared,
)


def start(*args, **options):
    return subprocess.Popen(command(*args), env=environment(), **options)


def test_encode_to_decode_through_pipes(clip, recon, model):
    pipe = subprocess.PIPE
    with open(clip, "rb") as source:
        encoder = start(
            "encode", "-", "-", "--gop", 4, "--quiet", *model, stdin=source, stdout=pipe
        )
        decoder = start(
            "decode", "-", "-", "--quiet", *model, stdin=encoder.stdout, stdout=pipe
        )
        encoder.stdout.close()
        shown, _ = decoder.communicate(timeout=300)
    assert (encoder.wait(), decoder.returncode) == (0, 0)
    reader = Y4mReader(io.BytesIO(shown), "pipe")
    for picture in recon:
        assert reader.read().planes.same_pixels(picture)
    assert reader.read() is None


def test_a_reader_that_goes_away_is_no_error(stream, model):
    pipe = subprocess.PIPE
    decoder = start("decode", stream, "-", "--quiet", *model, stdout=pipe, stderr=pipe)
    assert decoder.stdout.read(9) == b"YUV4MPEG2"
    decoder.stdout.close()
    assert decoder.wait(timeout=300) == 0
    assert decoder.stderr.read() == b""
    decoder.stderr.close()


def test_an_interrupted_encode_leaves_a_valid_file(cli, model, tmp_path):
    out = tmp_path / "o.nvc"
    # Background jobs of a shell ignore Ctrl-C, and so would their children.
    heed = "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)"
    encoder = subprocess.Popen(
        prepared(heed, command("encode", "-", out, "--progress", "json", *model)),
        env=environment(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    sink, pictures = Y4mWriter(encoder.stdin, INFO), moving()
    for _ in range(3):
        sink.write(VideoFrame(next(pictures)))
    encoder.stdin.flush()
    while not encoder.stderr.readline().startswith(b"{"):
        assert encoder.poll() is None
    encoder.send_signal(signal.SIGINT)
    assert b"interrupted" in encoder.stderr.readline()
    for picture in pictures:
        try:
            sink.write(VideoFrame(picture))
            encoder.stdin.flush()
        except BrokenPipeError:
            break
    encoder.communicate(timeout=300)
    assert encoder.returncode == 130
    found = describe(out)
    assert found["complete"]
    assert found["damages"] == []
    # Two were under way when the first was reported.
    assert 2 <= found["frames"] < 12
    assert found["header"]["frame_count"] == found["frames"]
    assert leftovers(tmp_path) == []
    assert cli("verify", out, *model).code == 0


class InterruptedSoon(Interrupts):
    """As if Ctrl-C came after a few frames."""

    def __init__(self):
        super().__init__()
        self._asked = 0

    @property
    def requested(self):
        self._asked += 1
        return self._asked > 3

    @requested.setter
    def requested(self, value):
        pass


def test_an_interrupted_decode_keeps_its_frames(
    cli, stream, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("jaxnvc.cli.decode.Interrupts", InterruptedSoon)
    out = tmp_path / "o.y4m"
    assert cli("decode", stream, out, "--quiet", *model).code == 130
    with out.open("rb") as file:
        reader = Y4mReader(file, "o")
        assert sum(1 for _ in iter(reader.read, None)) == 4
    assert leftovers(tmp_path) == []


def test_an_interrupt_before_the_first_frame_leaves_nothing(
    cli, clip, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("jaxnvc.cli.encode.Interrupts", lambda: _Stopped())
    assert cli("encode", clip, tmp_path / "o.nvc", *model).code == 130
    assert list(tmp_path.iterdir()) == []


class _Stopped(Interrupts):
    def __init__(self):
        super().__init__()
        self.requested = True


def test_the_second_interrupt_gives_up(capsys):
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "interrupt again" in capsys.readouterr().err
