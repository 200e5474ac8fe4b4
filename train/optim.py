"""The optimiser: schedule, strides, and which parameters a stage may move."""

import re

import jax
import jax.numpy as jnp
import optax

from jaxnvc.errors import UsageError
from train.config import TrainConfig

# Integer biases and tables are counted in activation or index steps, where the
# weights are of order one: they need a longer stride.
_TABLE_STRIDE = 30.0


def schedule(config: TrainConfig) -> optax.Schedule:
    """Joins the cosine of each stage, after a linear rise at the very start."""
    parts, bounds, total = [], [], 0
    for stage in config.stages:
        ratio = stage.final_learning_rate / stage.learning_rate
        parts.append(
            optax.cosine_decay_schedule(stage.learning_rate, stage.steps, ratio)
        )
        total += stage.steps
        bounds.append(total)
    joined = optax.join_schedules(parts, bounds[:-1])
    rise = max(config.warmup_steps, 1)
    return lambda step: joined(step) * jnp.minimum((step + 1) / rise, 1.0)


def optimiser(config: TrainConfig) -> optax.GradientTransformation:
    """Returns Adam with clipped gradients and longer strides for tables."""
    adam = optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.zero_nans(),
        optax.scale_by_adam(b1=0.9, b2=0.99),
        optax.scale_by_learning_rate(schedule(config)),
    )
    # As one vector: hundreds of small arrays would each be compiled for themselves.
    return optax.chain(optax.flatten(adam), optax.stateless(_with_strides))


def _with_strides(updates, _):
    def longer(path, update):
        name = jax.tree_util.keystr(path[-1:], simple=True)
        table = name in ("integer_bias", "integer_level_bias")
        return update * _TABLE_STRIDE if table else update

    return jax.tree_util.tree_map_with_path(longer, updates)


def only_trainable(tree: dict, patterns: tuple[str, ...]) -> dict:
    """Zeroes what a stage must not move: of its gradients before the optimiser, and
    of the updates after it, whose momentum goes on.

    Args:
      tree: arrays of the parameters' structure.
      patterns: regular expressions searched for in paths such as
        `inter/motion_encoder/out/kernel`; none stands for all parameters.

    Raises:
      UsageError: the patterns match no parameter.
    """
    if not patterns:
        return tree
    matched = False

    def kept(path, value):
        nonlocal matched
        trains = is_named(path, patterns)
        matched = matched or trains
        return value if trains else jnp.zeros_like(value)

    result = jax.tree_util.tree_map_with_path(kept, tree)
    if not matched:
        raise UsageError(
            f"Stage.trainable {list(patterns)} matches no parameter; patterns are "
            "searched for in paths such as 'inter/motion_encoder/out/kernel'."
        )
    return result


def is_named(path: tuple, patterns: tuple[str, ...]) -> bool:
    """Tells whether one of the patterns is found in a parameter's path."""
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    return any(re.search(pattern, name) for pattern in patterns)
