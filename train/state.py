"""What a training run carries from step to step, and its first value."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import UnitCodec, first_params
from train.config import TrainConfig, whole_units
from train.optim import optimiser


class TrainState(struct.PyTreeNode):
    """What a checkpoint holds.

    Attributes:
      step: int32, steps taken.
      params: {"intra": .., "inter": ..}.
      averaged: exponential moving average of `params`.
      opt_state: optimiser state.
    """

    step: jax.Array
    params: dict
    averaged: dict
    opt_state: optax.OptState


@dataclasses.dataclass(frozen=True)
class Models:
    """The two modules of a model."""

    intra: UnitCodec
    inter: UnitCodec


def fitted(config: TrainConfig) -> tuple[Models, TrainConfig]:
    """Returns the modules of a run, and the run with windows of their whole units."""
    models = build_models(config)
    return models, whole_units(config, models.inter.frames_per_unit)


def build_models(config: TrainConfig) -> Models:
    """Builds the modules a configuration names."""
    return Models(
        intra=registry.build(config.intra), inter=registry.build(config.inter)
    )


def initial_state(models: Models, config: TrainConfig) -> TrainState:
    """Initialises parameters and optimiser."""
    return _state_of(
        config,
        {
            name: initial_params(getattr(models, name), config.seed)
            for name in ("intra", "inter")
        },
    )


def abstract_state(models: Models, config: TrainConfig) -> TrainState:
    """Returns shapes and types of `initial_state`, without computing it."""

    def state():
        key = jax.random.key(config.seed)
        params = {
            name: first_params(getattr(models, name), key)
            for name in ("intra", "inter")
        }
        return _state_of(config, params)

    return jax.eval_shape(state)


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
    # Run once, it is all compile time: a third of it without optimisation.
    init = jax.jit(
        functools.partial(first_params, model),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    return init(jax.random.key(seed))
