"""Progress lines for people, JSON lines and TensorBoard events for programs."""

import json
import resource
import sys
import time

import jax
import numpy as np
from etils import epath

from jaxnvc.errors import UsageError
from train.config import FLOW_OBJECTIVES, Stage, TrainConfig
from train.losses import LEVELS
from train.throughput import Program, peak_flops

_LEVEL_KEYS = tuple(f"psnr_{name}" for name in LEVELS)


class Log:
    """Averages metrics between lines; one JSON object per line on disk.

    Lines are appended to a local file. Objects of a bucket cannot grow, so there the
    whole file is written anew.
    """

    def __init__(
        self,
        config: TrainConfig,
        path: epath.Path,
        devices: int,
        tensorboard: bool = False,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._config, self._path = config, path
        writes_events = tensorboard and jax.process_index() == 0
        self._events = _event_writer(path.parent) if writes_events else None
        self._remote = "://" in str(path)
        self._text = path.read_text() if self._remote and path.exists() else ""
        self._peak_flops = devices * peak_flops()
        self._restart()

    def close(self):
        """Finishes the event file."""
        if self._events:
            self._events.close()

    def _restart(self):
        self._pending, self._waited = [], 0.0
        self._since = time.monotonic()

    def stage(self, stage: Stage, program: Program):
        """Tells of a stage's program before its first step; its time starts here."""
        self._stage, self._program = stage, program
        _say(f"stage {stage.name}: a step is {program}")
        self._restart()

    def add(self, step: int, metrics: dict, waited_s: float):
        """Adds a step; prints and writes every `log_every` steps.

        Args:
          step: its number, from 0.
          metrics: arrays of the step; read only when a line is due, so that the
            device is not waited for.
          waited_s: seconds the step waited for its data.
        """
        self._pending.append(metrics)
        self._waited += waited_s
        if (step + 1) % self._config.log_every:
            return
        mean = _mean(self._pending)
        seconds = time.monotonic() - self._since
        steps = len(self._pending)
        rate = steps * self._stage.batch * self._stage.frames / seconds
        flops = steps * self._program.flops / seconds
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        line = {
            "step": step + 1,
            "stage": self._stage.name,
            "seconds": round(seconds, 3),
            "frames_per_s": round(rate, 2),
            "gflops": round(flops / 1e9, 2),
            "flop_utilisation": round(flops / self._peak_flops, 4),
            "input_wait_share": round(self._waited / seconds, 4),
            "peak_memory_mib": round(
                peak / (2**20 if sys.platform == "darwin" else 2**10)
            ),
            **{key: round(value, 5) for key, value in mean.items()},
        }
        self.write(line)
        left = (self._config.total_steps - step - 1) * seconds / steps
        _say(
            f"step={step + 1} {self._stage.name} {_said(self._stage, mean)} "
            f"{rate:.1f}fps {100 * flops / self._peak_flops:.0f}% of peak "
            f"wait {100 * self._waited / seconds:.0f}% eta={left / 60:.0f}min",
        )
        self._restart()

    def write(self, line: dict):
        """Appends a JSON line to the metrics file, and its numbers to the events."""
        text = json.dumps(line) + "\n"
        if self._remote:
            self._text += text
            self._path.write_text(self._text)
        else:
            with self._path.open("a") as file:
                file.write(text)
        if self._events:
            prefix = "validation" if "validation" in line else "train"
            step = line.get("step", line.get("validation"))
            for key, value in line.items():
                if isinstance(value, int | float):
                    self._events.add_scalar(f"{prefix}/{key}", value, step)


def _mean(steps: list[dict]) -> dict[str, float]:
    """Averages metrics; those of a quality level over the steps that had it."""
    mean = {}
    for key in steps[0]:
        values = np.array([metrics[key] for metrics in steps], float)
        if key in _LEVEL_KEYS:
            values = values[~np.isnan(values)]
        if values.size:
            mean[key] = float(values.mean())
    return mean


def _said(stage: Stage, mean: dict[str, float]) -> str:
    """Tells the metrics that a stage is about."""
    if stage.objective in FLOW_OBJECTIVES:
        return " ".join(f"{key} {value:.3f}" for key, value in mean.items())
    levels = [
        f"{key.removeprefix('psnr_')} {mean[key]:.2f}"
        for key in _LEVEL_KEYS
        if key in mean
    ]
    by_level = f" ({', '.join(levels)})" if levels else ""
    text = [f"I {mean['bpp_intra']:.3f}bpp {mean['psnr_intra']:.2f}dB"]
    costs = f"logJ {mean['log_j_intra']:.3f}"
    if "bpp_inter" in mean:  # not where the intra codec is trained alone
        rate, quality = mean["bpp_inter"], mean["psnr_inter"]
        text.append(f"P {rate:.4f}bpp {quality:.2f}dB{by_level}")
        costs += f" {mean['log_j_inter']:.3f}"
    return " ".join([*text, costs])


def _event_writer(folder: epath.Path):
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--tensorboard needs the package tensorboardX; install 'jaxnvc[train]'."
        ) from error
    return SummaryWriter(str(folder))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
