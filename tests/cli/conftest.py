"""One small clip, its stream of three groups of four frames, and ways to call."""

import dataclasses
import os
import pathlib
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from jaxnvc.cli.main import main
from jaxnvc.video import VideoFrame, VideoInfo, Yuv420, create_video, open_video
from tests.conftest import CACHE

ROOT = pathlib.Path(__file__).parents[2]
WIDTH, HEIGHT = 64, 48
NUM_FRAMES, GOP = 12, 4
INFO = VideoInfo(
    width=WIDTH, height=HEIGHT, frame_rate=Fraction(25), time_base=Fraction(1, 25)
)


def moving(count=NUM_FRAMES):
    """Waves that drift; smooth, so that payloads are small."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for t in range(count):
        wave = np.sin((columns + 3 * t) / 7) + np.cos((rows - 2 * t) / 5)
        y = (128 + 50 * wave).astype(np.uint8)
        yield Yuv420(y, y[::2, ::2].copy(), 255 - y[::2, ::2])


def write_video(path, pictures, info=INFO, times=None):
    with create_video(str(path), info) as writer:
        for number, picture in enumerate(pictures):
            writer.write(VideoFrame(picture, times[number] if times else number))
    return str(path)


def read_video(path):
    with open_video(str(path)) as reader:
        return list(reader)


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True, scope="session")
def _shared_cache():
    # Programs compiled by one test serve all others, subprocesses included.
    before = os.environ.get("JAXNVC_CACHE")
    os.environ["JAXNVC_CACHE"] = str(CACHE)
    yield
    os.environ.pop("JAXNVC_CACHE")
    if before is not None:
        os.environ["JAXNVC_CACHE"] = before


@pytest.fixture
def cli(capsys):
    """Runs a command in this process."""

    def run(*args):
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Result(code, *capsys.readouterr())

    return run


def command(*args):
    return [sys.executable, "-m", "jaxnvc", *map(str, args)]


def prepared(statement, arguments):
    """The command in a process that first runs a Python statement.

    Instead of `preexec_fn`, which runs in a fork of a process with JAX's threads.
    """
    program = f"import os, sys\n{statement}\nos.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", program, *arguments]


def environment(**changes):
    return os.environ | {"PYTHONPATH": str(ROOT)} | changes


@pytest.fixture
def shell():
    """Runs a command in a process of its own."""

    def run(*args, input=b"", env=None, before=None):
        arguments = command(*args)
        done = subprocess.run(
            prepared(before, arguments) if before else arguments,
            input=input,
            capture_output=True,
            env=environment(**(env or {})),
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="session")
def clip(folder):
    """Path of a y4m file of 12 frames."""
    return write_video(folder / "clip.y4m", moving())


@pytest.fixture(scope="session")
def encoded(folder, clip, tiny_bundle_path):
    """Folder with `clip.nvc`, its reconstruction `recon.y4m` and `stats.json`."""
    out = [folder / name for name in ("clip.nvc", "recon.y4m", "stats.json")]
    options = ["--recon", out[1], "--stats", out[2], "--model", tiny_bundle_path]
    args = ["encode", clip, out[0], "--gop", GOP, "--quiet", *options]
    assert main([str(arg) for arg in args]) == 0
    return folder


@pytest.fixture(scope="session")
def stream(encoded):
    """Path of the clip's stream."""
    return str(encoded / "clip.nvc")


@pytest.fixture(scope="session")
def recon(encoded):
    """Frames that decoding the stream must show."""
    return [frame.planes for frame in read_video(encoded / "recon.y4m")]


@pytest.fixture
def model(tiny_bundle_path):
    """The options that name the model."""
    return ["--model", tiny_bundle_path]


def is_one_line(text):
    """Whether a message is a single sentence of the command."""
    return text.startswith("jaxnvc: ") and text.count("\n") == 1


def leftovers(folder):
    """Temporary files that were not cleaned up."""
    return [path.name for path in pathlib.Path(folder).glob(".*.part")]
