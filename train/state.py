"""What a training run carries from step to step, and its first value."""

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import UnitCodec, first_params
from train.config import TrainConfig, whole_units
from train.flow.teacher import build_teacher, first_teacher_params
from train.optim import optimiser


class TrainState(struct.PyTreeNode):
    """What a checkpoint holds.

    Attributes:
      step: int32, steps taken.
      params: {"intra": .., "inter": ..}, and "teacher" where a run has one.
      averaged: exponential moving average of `params`.
      opt_state: optimiser state.
    """

    step: jax.Array
    params: dict
    averaged: dict
    opt_state: optax.OptState


@dataclasses.dataclass(frozen=True)
class Models:
    """The two modules of a model, and the teacher of its flow network."""

    intra: UnitCodec
    inter: UnitCodec
    teacher: nn.Module | None = None


def fitted(config: TrainConfig) -> tuple[Models, TrainConfig]:
    """Returns the modules of a run, and the run with windows of their whole units."""
    models = build_models(config)
    return models, whole_units(config, models.inter.frames_per_unit)


def build_models(config: TrainConfig) -> Models:
    """Builds the modules a configuration names."""
    return Models(
        intra=registry.build(config.intra),
        inter=registry.build(config.inter),
        teacher=build_teacher(config.teacher) if config.teacher else None,
    )


def initial_state(models: Models, config: TrainConfig) -> TrainState:
    """Initialises parameters and optimiser."""
    starts = _starts(models).items()
    return _state_of(
        config, {name: _once(start)(config.seed) for name, start in starts}
    )


def abstract_state(models: Models, config: TrainConfig) -> TrainState:
    """Returns shapes and types of `initial_state`, without computing it."""

    def state():
        starts = _starts(models).items()
        return _state_of(config, {name: start(config.seed) for name, start in starts})

    return jax.eval_shape(state)


def _starts(models: Models) -> dict[str, Callable]:
    """Returns what makes the first parameters of each module from a seed."""
    starts = {
        name: functools.partial(_seeded, first_params, getattr(models, name))
        for name in ("intra", "inter")
    }
    if models.teacher:
        teacher = functools.partial(_seeded, first_teacher_params, models.teacher)
        starts["teacher"] = teacher
    return starts


def _seeded(first: Callable, model, seed: int) -> dict:
    return first(model, jax.random.key(seed))


def _state_of(config: TrainConfig, params: dict) -> TrainState:
    return TrainState(
        step=jnp.int32(0),
        params=params,
        # A copy: donated buffers must not be shared between fields.
        averaged=jax.tree.map(jnp.copy, params),
        opt_state=optimiser(config).init(params),
    )


def initial_params(model: UnitCodec, seed: int):
    """Returns freshly initialised parameters of a family's module."""
    return _once(functools.partial(_seeded, first_params, model))(seed)


def _once(function: Callable) -> Callable:
    """Compiles what runs once: a third of the time without optimisation."""
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(function, compiler_options=options)
