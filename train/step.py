"""One optimiser step over windows of frames, pure and jittable."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from train.config import FLOW_OBJECTIVES, Stage, TrainConfig
from train.flow.objectives import flow_grads
from train.optim import only_trainable, optimiser
from train.state import Models, TrainState
from train.window import Window, window_grads


def train_step(
    models: Models, config: TrainConfig, stage: Stage, state: TrainState, window: Window
):
    """Takes one step.

    Args:
      models: the modules (static).
      config: the run (static).
      stage: its present stage (static).
      state: the run so far.
      window: a batch; clips as floats in [0, 1], or as unsigned integers over the
        whole range of their type.

    Returns:
      The next state and metrics.
    """
    clip = window.clip
    if jnp.issubdtype(clip.dtype, jnp.unsignedinteger):
        clip = clip.astype(jnp.float32) / jnp.iinfo(clip.dtype).max
    if stage.objective in FLOW_OBJECTIVES:
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        grads, metrics = flow_grads(models, state.params, clip, stage.objective, key)
    else:
        grads, metrics = window_grads(
            models,
            state.params,
            window.replace(clip=clip),
            config.intra_weight,
            tuple(size // models.inter.frames_per_unit for size in stage.groups),
            repeated=stage.most_repeats > 0,
            objective=stage.objective,
        )
    trainable = stage.trainable
    if stage.frames == 1:
        trainable = trainable or ("^intra/",)
    grads = only_trainable(grads, trainable)
    updates, opt_state = optimiser(config).update(grads, state.opt_state, state.params)
    updates = only_trainable(updates, trainable)
    params = optax.apply_updates(state.params, updates)
    # The average starts short, so that early checkpoints are usable too.
    decay = jnp.minimum(config.ema, (1.0 + state.step) / (10.0 + state.step))
    averaged = jax.tree.map(
        lambda old, new: old * decay + new * (1 - decay), state.averaged, params
    )
    metrics["grad_norm"] = jnp.linalg.norm(ravel_pytree(grads)[0])
    return TrainState(state.step + 1, params, averaged, opt_state), metrics


def draw(config: TrainConfig, stage: Stage, step: int) -> dict[str, np.ndarray]:
    """Draws how a step's windows are coded, from the seed and the step alone.

    Returns:
      The fields of `Window` but its clip.
    """
    rng = np.random.default_rng([config.seed, step, 1])
    repeats = 0
    if rng.random() < stage.repeat_share:
        repeats = int(rng.integers(1, stage.most_repeats + 1))
    return {
        "qp": qp_sample(rng, stage.batch),
        "boost": rng.integers(0, config.most_boost + 1, stage.batch).astype(np.int32),
        "phase": np.int32(rng.integers(4)),
        "repeats": np.int32(repeats),
        # Half of the sequences that have run for a while start over by a refresh.
        "refresh": np.bool_(repeats > 0 and rng.random() < 0.5),
    }


def qp_sample(rng: np.random.Generator, batch: int) -> np.ndarray:
    """Draws qp stratified over the batch, lower ones a little more often."""
    uniform = (np.arange(batch) + rng.random(batch)) / batch
    return (64 * uniform**1.3).astype(np.int32)
