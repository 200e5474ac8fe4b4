"""Validation on fixed clips: what a model costs where it was not trained."""

import functools
import json
import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from jaxnvc.errors import UsageError
from train.config import TrainConfig
from train.data.clips import VIDEO_SUFFIXES, Clip, load_folder
from train.data.transforms import packed
from train.export import export
from train.sheet import save_sheet
from train.state import Models, TrainState
from train.window import Window, intra_costs, metrics_of, rd_points, window_costs

_QPS = (8, 24, 40, 56)


class Validation:
    """Codes the middle of every clip of a folder with the averaged weights.

    Symbols are whole numbers here as in coding, so this is the codec's own cost. The
    best model so far is exported to `best.nvcm` in the run's folder.
    """

    def __init__(self, config: TrainConfig, models: Models, folder: str):
        self._config, self._models = config, models
        self._folder = epath.Path(folder)
        frames, side = config.validation_frames, config.validation_crop
        clips = load_folder(config.validation, VIDEO_SUFFIXES)
        self._clips = [
            (clip.name, middle(clip, frames, side))
            for clip in clips
            if len(clip.y) >= frames and min(clip.y.shape[1:]) >= side
        ]
        if not self._clips:
            raise UsageError(
                f"no clip of {config.validation!r} has {frames} frames of {side}x{side}"
                "; set validation_frames or validation_crop lower."
            )
        self._program = jax.jit(self._measure)

    def _measure(self, params, clip):
        """Codes one clip at every qp of the list, as a batch."""
        batch = jnp.broadcast_to(clip[None], (len(_QPS), *clip.shape))
        window = Window.of(batch.astype(jnp.float32) / 255, jnp.array(_QPS))
        weight = self._config.intra_weight
        costs = window_costs(self._models, params, window, weight)
        return metrics_of(*costs), rd_points(*costs)

    def __call__(self, state: TrainState) -> dict:
        """Returns a line for the metrics file; keeps the model if it is the best."""
        params = jax.tree.map(lambda a: a.addressable_data(0), state.averaged)
        results, points = zip(
            *[self._program(params, clip) for _, clip in self._clips], strict=True
        )
        mean = {
            key: float(np.mean([metrics[key] for metrics in results]))
            for key in results[0]
        }
        rates, qualities = np.mean(points, 0).round(4).tolist()
        score = (mean["log_j_intra"] + mean["log_j_inter"]) / 2
        line = {
            "validation": int(state.step),
            "score": round(score, 5),
            **{key: round(value, 5) for key, value in mean.items()},
            "rd": [
                {"qp": qp, "bpp": bpp, "psnr": psnr}
                for qp, bpp, psnr in zip(_QPS, rates, qualities, strict=True)
            ],
        }
        print(
            f"validation step={int(state.step)} score {score:.4f} "
            f"I {mean['bpp_intra']:.3f}bpp {mean['psnr_intra']:.2f}dB "
            f"P {mean['bpp_inter']:.4f}bpp {mean['psnr_inter']:.2f}dB",
            file=sys.stderr,
            flush=True,
        )
        if jax.process_index() == 0:
            self._keep(state, params, score)
        return line

    def _keep(self, state: TrainState, params: dict, score: float) -> None:
        with tempfile.TemporaryDirectory() as folder:
            # Made here and copied whole: the run's folder may be in a bucket.
            made = epath.Path(folder)
            pictures = self._pictures(params, self._clips[0][1])
            save_sheet(str(made / "validation.png"), *pictures)
            sheet = made / "validation.png"
            sheet.copy(self._folder / sheet.name, overwrite=True)
            record = self._folder / "best.json"
            if record.exists() and json.loads(record.read_text())["score"] <= score:
                return
            bundle = made / "best.nvcm"
            export(self._config, state.replace(averaged=params), str(bundle))
            bundle.copy(self._folder / bundle.name, overwrite=True)
            record.write_text(json.dumps({"score": score, "step": int(state.step)}))

    @functools.cached_property
    def _intra(self):
        def code(params, clip):
            batch = jnp.broadcast_to(clip[None], (len(_QPS), *clip.shape))
            window = Window.of(batch.astype(jnp.float32) / 255, jnp.array(_QPS))
            costs = intra_costs(self._models.intra, params["intra"], window, 1.0)
            return window.clip[:, 0], costs[1]

        return jax.jit(code)

    def _pictures(self, params, clip):
        x, x_hat = self._intra(params, clip[:1])
        return np.asarray(x), np.asarray(x_hat)


def middle(clip: Clip, frames: int, side: int) -> np.ndarray:
    """Returns the first frames of a clip's middle, packed uint8 [T, s/2, s/2, 6]."""
    height, width = clip.y.shape[1:]
    top, left = (height - side) // 4 * 2, (width - side) // 4 * 2
    y = clip.y[:frames, top : top + side, left : left + side]
    half = slice(top // 2, (top + side) // 2)
    uv = clip.uv[:frames, half, left // 2 : (left + side) // 2]
    return packed(y, uv)
