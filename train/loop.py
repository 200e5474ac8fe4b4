"""The training loop: batches in, checkpoints and metrics out."""

import functools
import json
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs import registry
from jaxnvc.errors import UsageError
from train import checkpoint
from train.config import TrainConfig
from train.data.batches import Windows, prefetched
from train.step import Models, initial_state, qp_sample, train_step


def build_models(config: TrainConfig) -> Models:
    """Builds the modules a configuration names."""
    return Models(
        intra=registry.build(config.intra), inter=registry.build(config.inter)
    )


def graft(params: dict, init: dict) -> dict:
    """Replaces parameters by those of the same name and shape in another model.

    Where the model has grown, the new parts keep their first values; they are made
    such that a new block is nearly the identity.

    Raises:
      UsageError: nothing fits.
    """
    known = dict(jax.tree_util.tree_leaves_with_path(init))

    def chosen(path, value):
        other = known.get(path)
        return value if other is None or other.shape != value.shape else other

    grafted = jax.tree_util.tree_map_with_path(chosen, params)
    pairs = zip(jax.tree.leaves(grafted), jax.tree.leaves(params), strict=True)
    fitting = sum(new is not old for new, old in pairs)
    if not fitting:
        raise UsageError(
            "the bundle to start from shares no parameter with the configured model; "
            "give one of the same family."
        )
    print(f"start: {fitting} of {len(jax.tree.leaves(params))} arrays", file=sys.stderr)
    return grafted


def run(config: TrainConfig, folder: str, *, init=None, until_s: float | None = None):
    """Trains until the curriculum ends, resuming from the folder's checkpoint.

    Args:
      config: the run.
      folder: where checkpoints and `metrics.jsonl` go.
      init: parameters {"intra", "inter"} to start from when there is no checkpoint,
        as far as they fit.
      until_s: stops, with a checkpoint, after this many seconds.

    Returns:
      The last `TrainState`.
    """
    models = build_models(config)
    state = initial_state(models, config)
    if init is not None:
        params = graft(state.params, init)
        averaged = jax.tree.map(jnp.copy, params)
        state = state.replace(params=params, averaged=averaged)
    manager = checkpoint.manager(folder, config.save_every)
    state = checkpoint.restore(manager, state)
    step_fn = jax.jit(functools.partial(train_step, models, config), donate_argnums=0)
    log = Log(config, pathlib.Path(folder) / "metrics.jsonl", int(state.step))
    started = time.monotonic()
    for step, batch in prefetched(Windows(config), config, int(state.step)):
        rng = np.random.default_rng([config.seed, step, 1])
        clip = jnp.asarray(batch).astype(jnp.float32) / 255
        qp = jnp.asarray(qp_sample(rng, len(batch)))
        boost = jnp.asarray(
            rng.integers(0, config.most_boost + 1, len(batch)), jnp.int32
        )
        phase = jnp.int32(rng.integers(4))
        state, metrics = step_fn(state, clip, qp, boost, phase)
        log.add(step, metrics, batch)
        checkpoint.save(manager, state)
        if until_s is not None and time.monotonic() - started > until_s:
            break
    checkpoint.save(manager, state, force=True)
    manager.wait_until_finished()
    return state


class Log:
    """Averages metrics between lines; one JSON object per line on disk."""

    def __init__(self, config: TrainConfig, path: pathlib.Path, step: int):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._config, self._file = config, path.open("a")
        self._pending, self._frames = [], 0
        self._since, self._first = time.monotonic(), step

    def add(self, step: int, metrics: dict, batch: np.ndarray):
        """Adds a step; prints and writes every `log_every` steps."""
        self._pending.append(metrics)
        self._frames += batch.shape[0] * batch.shape[1]
        if (step + 1) % self._config.log_every:
            return
        seconds = time.monotonic() - self._since
        mean = {key: float(np.mean([m[key] for m in self._pending])) for key in metrics}
        stage, _ = self._config.stage_at(step)
        line = {
            "step": step + 1,
            "stage": stage.name,
            "seconds": round(seconds, 3),
            "frames_per_s": round(self._frames / seconds, 2),
            **{key: round(value, 5) for key, value in mean.items()},
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        left = (self._config.total_steps - step - 1) * seconds / len(self._pending)
        print(
            f"step={step + 1} {stage.name} "
            f"I {mean['bpp_intra']:.3f}bpp {mean['psnr_intra']:.2f}dB "
            f"P {mean['bpp_inter']:.4f}bpp {mean['psnr_inter']:.2f}dB "
            f"logJ {mean['log_j_intra']:.3f} {mean['log_j_inter']:.3f} "
            f"{self._frames / seconds:.1f}fps eta={left / 60:.0f}min",
            file=sys.stderr,
            flush=True,
        )
        self._pending, self._frames = [], 0
        self._since = time.monotonic()
