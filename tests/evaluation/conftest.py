"""A run over one small clip, measured once for all tests of it."""

import dataclasses
import json
import pathlib

import pytest

from jaxnvc.cli.main import main
from tests.cli.conftest import moving, write_video
from tests.conftest import CACHE

FRAMES = 5
QPS, RATES = (0, 20, 40, 63), (20, 28, 36, 44)


@dataclasses.dataclass(frozen=True)
class Measured:
    """A run's folder and what it holds."""

    folder: pathlib.Path
    clip: str
    model: str
    code: int

    @property
    def lines(self):
        text = (self.folder / "results.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def of(self, codec):
        return [line for line in self.lines if line["codec"] == codec]


@pytest.fixture(scope="session")
def programs():
    """Programs compiled by the tests serve the processes of a run too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXNVC_CACHE", str(CACHE))
        yield


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Path of a y4m file of 12 frames of 64x48."""
    return write_video(tmp_path_factory.mktemp("eval") / "waves.y4m", moving())


def rates_of(*tools):
    text = ",".join(map(str, RATES))
    return [word for tool in tools for word in ("--rates", f"{tool}={text}")]


@pytest.fixture(scope="session")
def measured(programs, clip, chunked_bundle_path, tmp_path_factory):
    """The clip measured with a small model and two encoders."""
    folder = tmp_path_factory.mktemp("run")
    codecs = f"{chunked_bundle_path},x264,x265"
    qps = ",".join(map(str, QPS))
    what = ["--codecs", codecs, "--qps", qps, *rates_of("x264", "x265")]
    short = ["--summary", str(folder / "short.json")]
    place = ["--frames", str(FRAMES), "--out", str(folder), "--rgb", "--quiet"]
    code = main(["eval", clip, *what, *place, *short])
    return Measured(folder, clip, chunked_bundle_path, code)
