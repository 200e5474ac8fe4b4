"""Progress lines for people, JSON lines for programs."""

import json
import resource
import sys
import time

import numpy as np
from etils import epath

from train.config import TrainConfig


class Log:
    """Averages metrics between lines; one JSON object per line on disk.

    Lines are appended to a local file. Objects of a bucket cannot grow, so there the
    whole file is written anew.
    """

    def __init__(self, config: TrainConfig, path: epath.Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._config, self._path = config, path
        self._remote = "://" in str(path)
        self._text = path.read_text() if self._remote and path.exists() else ""
        self._restart()

    def _restart(self):
        self._pending, self._frames, self._waited = [], 0, 0.0
        self._since = time.monotonic()

    def add(self, step: int, metrics: dict, frames: int, waited_s: float):
        """Adds a step; prints and writes every `log_every` steps.

        Args:
          step: its number, from 0.
          metrics: arrays of the step; read only when a line is due, so that the
            device is not waited for.
          frames: frames trained on.
          waited_s: seconds the step waited for its data.
        """
        self._pending.append(metrics)
        self._frames += frames
        self._waited += waited_s
        if (step + 1) % self._config.log_every:
            return
        mean = {key: float(np.mean([m[key] for m in self._pending])) for key in metrics}
        seconds = time.monotonic() - self._since
        stage, _ = self._config.stage_at(step)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        line = {
            "step": step + 1,
            "stage": stage.name,
            "seconds": round(seconds, 3),
            "frames_per_s": round(self._frames / seconds, 2),
            "input_wait_share": round(self._waited / seconds, 4),
            "peak_memory_mib": round(
                peak / (2**20 if sys.platform == "darwin" else 2**10)
            ),
            **{key: round(value, 5) for key, value in mean.items()},
        }
        self.write(line)
        left = (self._config.total_steps - step - 1) * seconds / len(self._pending)
        print(
            f"step={step + 1} {stage.name} "
            f"I {mean['bpp_intra']:.3f}bpp {mean['psnr_intra']:.2f}dB "
            f"P {mean['bpp_inter']:.4f}bpp {mean['psnr_inter']:.2f}dB "
            f"logJ {mean['log_j_intra']:.3f} {mean['log_j_inter']:.3f} "
            f"{self._frames / seconds:.1f}fps wait {100 * self._waited / seconds:.0f}% "
            f"eta={left / 60:.0f}min",
            file=sys.stderr,
            flush=True,
        )
        self._restart()

    def write(self, line: dict):
        """Appends a JSON line to the metrics file."""
        text = json.dumps(line) + "\n"
        if self._remote:
            self._text += text
            self._path.write_text(self._text)
        else:
            with self._path.open("a") as file:
                file.write(text)
