"""A run: clips x codecs x settings, kept line by line, so that it can go on later.

The folder of a run holds `results.jsonl`, one JSON object per measurement; `frames/`,
a CSV per measurement; `streams/`, the files that were decoded; `crops/`, for the
report; and `run.json`, what was asked for last. A measurement that is there and was
made with the same parameters is not made again; failures are tried again.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from jaxnvc.errors import JaxnvcError, ModelError
from jaxnvc.evaluation.coders import Coder, missing_reason
from jaxnvc.evaluation.measure import PART, Clip, Extras, Pair, measure, probe
from jaxnvc.evaluation.suite import Suite
from jaxnvc.evaluation.worker import Worker
from jaxnvc.models.bundle import identify

RESULTS, ASKED = "results.jsonl", "run.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
      suite: the clips.
      coders: the codecs.
      frames: frames of each clip, None for all.
      extras: what is measured besides PSNR and MS-SSIM of the planes.
      jobs: measurements at a time.
      environment: variables for the processes that encode and decode.
    """

    suite: Suite
    coders: tuple[Coder, ...]
    frames: int | None = None
    extras: Extras = Extras()
    jobs: int = 1
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Step:
    """How far a run is, after one more result.

    Attributes:
      done: measurements there, those of earlier runs included.
      total: measurements in all.
      failed: how many of those done failed.
      line: the result just made.
      eta_s: seconds to go; None if nothing tells yet.
    """

    done: int
    total: int
    failed: int
    line: dict
    eta_s: float | None


class Results:
    """The lines of a run, on disk and in memory; the last one of a key counts."""

    def __init__(self, folder: pathlib.Path):
        """Reads what is there; a line that a kill cut short is dropped."""
        self._path, self._lock = folder / RESULTS, threading.Lock()
        self.lines: dict[tuple, dict] = {}
        whole = []
        if self._path.exists():
            for text in self._path.read_text().splitlines(keepends=True):
                with contextlib.suppress(ValueError):
                    line = json.loads(text)
                    self.lines[_key(line)] = line
                    whole.append(text if text.endswith("\n") else text + "\n")
            self._path.write_text("".join(whole))

    def add(self, line: dict) -> None:
        """Appends a line, so that a kill right after does not lose it."""
        with self._lock, self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
            self.lines[_key(line)] = line

    def have(self, line: dict) -> bool:
        """Whether a result with this key and these parameters is there, and whole."""
        known = self.lines.get(_key(line), {"status": None})
        names = ("frames", "parameters", "source", "with_vmaf", "with_rgb")
        # A result that says nothing of an extra was made without it.
        is_same = all(known.get(name, False) == line[name] for name in names)
        return known["status"] == "ok" and is_same


def _key(line: dict) -> tuple:
    return line["clip"], line["codec"], line["rate"]


class Run:
    """Measures a plan into a folder.

    Attributes:
      failures: lines that failed in this run.
      left_out: codecs that cannot be measured here, and why.
    """

    def __init__(
        self,
        plan: Plan,
        folder: str | os.PathLike,
        on_step: Callable[[Step], None] = lambda step: None,
    ):
        """Prepares the folder and what was measured before.

        No other run may use the folder meanwhile: see `run_lock`.

        Args:
          plan: what to measure.
          folder: made if it is not there.
          on_step: called after each result, one at a time.
        """
        self._plan, self._folder = plan, pathlib.Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._results, self._on_step = Results(self._folder), on_step
        reasons = {coder.name: missing_reason(coder) for coder in plan.coders}
        self.left_out = {name: why for name, why in reasons.items() if why}
        self.coders = [c for c in plan.coders if c.name not in self.left_out]
        self.failures: list[dict] = []
        self._stop, self._lock, self._pairs = threading.Event(), threading.Lock(), []
        self._done = self._total = 0
        self._speeds: dict[str, list[float]] = {}
        self._todo: list[tuple[str, int]] = []
        self._base = {"environment": environment(), **dataclasses.asdict(plan.extras)}

    @property
    def results(self) -> list[dict]:
        """The lines of this plan that went well, clip by clip and codec by codec."""
        lines = self._results.lines
        return [
            lines[clip.name, coder.name, rate]
            for clip in self._plan.suite.sequences
            for coder in self.coders
            for rate in coder.rates
            if lines.get((clip.name, coder.name, rate), {}).get("status") == "ok"
        ]

    @property
    def exit_code(self) -> int:
        """That of the first failure, 0 if there was none."""
        return self.failures[0]["exit_code"] if self.failures else 0

    def measure(self) -> None:
        """Measures what is missing.

        Raises:
          KeyboardInterrupt: interrupted; what was measured is kept.
        """
        self._write_asked()
        for pattern in (f"streams/*/{PART}*", "decoded/*/*"):
            for left in self._folder.glob(pattern):  # by a run that was killed
                left.unlink()
        groups = []
        for sequence in self._plan.suite.sequences:
            if sequence.path is None and self._plan.suite.optional:
                continue
            try:
                clip = probe(sequence, self._plan.frames)
            except JaxnvcError as error:
                self._fail({"clip": sequence.name, "codec": None, "rate": None}, error)
                continue
            for coder in self.coders:
                groups.append((clip, coder, self._missing(clip, coder)))
        self._todo = [(c.name, clip.pixels) for clip, c, rates in groups for _ in rates]
        with concurrent.futures.ThreadPoolExecutor(self._plan.jobs) as pool:
            waiting = [pool.submit(self._group, *group) for group in groups if group[2]]
            try:
                for future in concurrent.futures.as_completed(waiting):
                    future.result()
            except BaseException:
                self._stop.set()
                for future in waiting:
                    future.cancel()
                for worker in list(self._pairs):
                    worker.close()
                raise

    def _missing(self, clip: Clip, coder: Coder) -> list[int]:
        """The settings of a codec that were not measured yet on a clip."""
        self._total += len(coder.rates)
        rates = [
            rate
            for rate in coder.rates
            if not self._results.have(self._start(clip, coder, rate))
        ]
        self._done += len(coder.rates) - len(rates)
        return rates

    def _start(self, clip: Clip, coder: Coder, rate: int) -> dict:
        """What is known of a result before it is measured."""
        return {
            "clip": clip.name,
            "class": clip.sequence.group,
            "codec": coder.name,
            "rate": rate,
            "setting": f"{coder.rate_name}={rate}",
            "frames": clip.frames,
            "source": pathlib.Path(clip.sequence.path).name,
            "parameters": parameters(coder, rate, clip),
            **self._base,
        }

    def _group(self, clip: Clip, coder: Coder, rates: Sequence[int]) -> None:
        """Measures one codec on one clip, in processes of its own."""
        encoder, decoder = (Worker(self._plan.environment) for _ in range(2))
        self._pairs += [encoder, decoder]
        with encoder, decoder:
            for rate in rates:
                if self._stop.is_set():
                    return
                self._one(Pair(encoder, decoder), clip, coder, rate)

    def _one(self, pair: Pair, clip: Clip, coder: Coder, rate: int) -> None:
        line, began = self._start(clip, coder, rate), time.monotonic()
        try:
            extras = self._plan.extras
            line |= measure(pair, coder, rate, clip, self._folder, extras)
        except JaxnvcError as error:
            if not self._stop.is_set():
                self._fail(line, error, pixels=clip.pixels)
            return
        # What compiling took says nothing of the settings to come.
        first_use = line["encode_first_use_seconds"] + line["decode_first_use_seconds"]
        seconds = time.monotonic() - began - first_use
        self._add({**line, "status": "ok"}, seconds=seconds, pixels=clip.pixels)

    def _fail(self, line: dict, error: JaxnvcError, pixels: int | None = None) -> None:
        line |= {
            "status": "failed",
            "reason": str(error),
            "exit_code": error.exit_code,
        }
        self.failures.append(line)
        self._add(line, pixels=pixels)

    def _add(self, line: dict, *, seconds: float = 0.0, pixels: int | None) -> None:
        """Keeps a line and tells how far the run is."""
        with self._lock:
            self._results.add(line)
            if pixels is not None:
                self._done += 1
                self._todo.remove((line["codec"], pixels))
            if seconds:
                self._speeds.setdefault(line["codec"], []).append(seconds / pixels)
            self._on_step(
                Step(self._done, self._total, len(self.failures), line, self._eta())
            )

    def _eta(self) -> float | None:
        """Seconds to go, from the seconds per pixel each codec took so far."""
        every = [s for speeds in self._speeds.values() for s in speeds]
        if not every:
            return None
        mean = sum(every) / len(every)
        per_codec = {name: sum(s) / len(s) for name, s in self._speeds.items()}
        seconds = sum(n * per_codec.get(name, mean) for name, n in self._todo)
        return seconds / self._plan.jobs

    def _write_asked(self) -> None:
        """Writes what this run was asked for."""
        asked = {
            "command": shlex.join(["jaxnvc", *sys.argv[1:]]),
            "suite": self._plan.suite.name,
            "source": self._plan.suite.source,
            "missing": self._plan.suite.missing,
            "frames": self._plan.frames,
            "codecs": [dataclasses.asdict(coder) for coder in self.coders],
            "left_out": self.left_out,
            "environment": self._base["environment"],
        }
        (self._folder / ASKED).write_text(json.dumps(asked, indent=1) + "\n")


def parameters(coder: Coder, rate: int, clip: Clip) -> str:
    """Everything a codec is told: a command, or a model's identity and settings."""
    if coder.tool:
        name = pathlib.Path(clip.sequence.path).name
        words = coder.command(rate, name, f"OUT{coder.suffix}", clip.frames)
        return shlex.join(["ffmpeg", *words])
    identity = "unknown"
    with contextlib.suppress(ModelError, OSError):  # encoding says what is wrong
        identity = identify(coder.model).hex()
    return f"model={coder.name} id={identity} qp={rate} gop={coder.gop}"


def environment() -> dict[str, str | None]:
    """Versions and machine, as far as they decide what comes out."""
    import av
    import jax

    import jaxnvc

    return {
        "jaxnvc": jaxnvc.__version__,
        "commit": _commit(),
        "jax": jax.__version__,
        "av": av.__version__,
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "processor": _processor(),
        "cpus": os.cpu_count(),
    }


def _commit() -> str | None:
    """The commit of this code, None outside a repository."""
    git = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = pathlib.Path(__file__).parent
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        done = subprocess.run(
            git, cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()
    return None


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        named = (line for line in lines if line.startswith("model name"))
        return next(named).split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
