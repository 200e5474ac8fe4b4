"""The jitted programs of models that are not portable; see `coding.joint`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxnvc.codecs.protocol import Cond, State
from jaxnvc.coding.joint import Request, capacity_of, code_unit, lanes_of
from jaxnvc.coding.programs import (
    Decoded,
    Encoded,
    Pair,
    Programs,
    Size,
    coded_size,
    last_frame,
    packed,
    programs_of,
    restart,
    unit_pixels,
)
from jaxnvc.coding.unit import Payload
from jaxnvc.ops.frame import PACKED_CHANNELS, to_planes


class Task(struct.PyTreeNode):
    """What differs between encoding and decoding; see `joint.Request`."""

    encoding: jax.Array
    planes: tuple[jax.Array, jax.Array, jax.Array]
    x_previous: jax.Array
    words: jax.Array
    num_words: jax.Array


class Joint(struct.PyTreeNode):
    """What either task leaves behind; see `Encoded` and `Decoded`."""

    payload: Payload
    state: State
    x: jax.Array
    planes: tuple[jax.Array, jax.Array, jax.Array]
    sound: jax.Array

    def encoded(self) -> Encoded:
        """Returns the part that an encoder wants."""
        return Encoded(
            payload=self.payload, state=self.state, x=self.x, planes=self.planes
        )

    def decoded(self) -> Decoded:
        """Returns the part that a decoder wants."""
        return Decoded(
            state=self.state,
            planes=self.planes,
            sound=self.sound,
            check=self.payload.check,
        )


def _request(task: Task, x: jax.Array) -> Request:
    return Request(task.encoding, x, task.x_previous, task.words, task.num_words)


def _lanes(pair: Pair, size: Size) -> int:
    return lanes_of(unit_pixels(pair, size))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _intra(pair: Pair, size: Size, params, task: Task, cond: Cond) -> Joint:
    x = packed(pair, size, task.planes)
    codec = pair.intra.bind({"params": params["intra"]})
    # Only its size matters, and it must not differ between the tasks.
    blank = codec.reset(jnp.zeros_like(x), cond)
    unit = code_unit(
        pair.intra,
        params["intra"],
        blank,
        _request(task, x),
        _lanes(pair, size),
        cond,
    )
    state = restart(pair, params, unit.x_hat, cond)
    return Joint(unit.payload, state, x, to_planes(unit.x_hat, *size), unit.sound)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(3,))
def _inter(pair: Pair, size: Size, params, state, task: Task, cond: Cond) -> Joint:
    x = packed(pair, size, task.planes)
    unit = code_unit(
        pair.inter,
        params["inter"],
        state,
        _request(task, x),
        _lanes(pair, size),
        cond,
    )
    planes = to_planes(unit.x_hat, *size)
    x = last_frame(pair.inter, x)
    return Joint(unit.payload, unit.state, x, planes, unit.sound)


def joint_programs(pair: Pair, size: Size) -> Programs:
    """Returns the programs of a model that is not portable."""
    height, width = coded_size(pair, size.height, size.width)
    capacity = capacity_of(unit_pixels(pair, size))

    def encoding(planes, x_previous=None) -> Task:
        batch = planes[0].shape[0]
        shape = (batch, height // 2, width // 2, PACKED_CHANNELS)
        return Task(
            encoding=jnp.bool_(True),
            planes=tuple(planes),
            x_previous=jnp.zeros(shape) if x_previous is None else x_previous,
            words=jnp.zeros((batch, capacity), jnp.uint16),
            num_words=jnp.zeros(batch, jnp.int32),
        )

    def decoding(words, num_words, frames_per_unit=1) -> Task:
        batch = words.shape[0]
        return Task(
            encoding=jnp.bool_(False),
            planes=_blank_planes(size, batch, frames_per_unit),
            x_previous=jnp.zeros((batch, height // 2, width // 2, PACKED_CHANNELS)),
            words=jnp.asarray(words),
            num_words=jnp.asarray(num_words),
        )

    def encode_intra(params, planes, cond):
        return _intra(pair, size, params, encoding(planes), cond).encoded()

    def encode_inter(params, state, x_previous, planes, cond):
        task = encoding(planes, x_previous)
        return _inter(pair, size, params, state, task, cond).encoded()

    def decode_intra(lanes, params, words, num_words, cond):
        task = decoding(words, num_words)
        return _intra(pair, size, params, task, cond).decoded()

    def decode_inter(lanes, params, state, words, num_words, cond):
        task = decoding(words, num_words, pair.inter.frames_per_unit)
        return _inter(pair, size, params, state, task, cond).decoded()

    return Programs(
        encode_intra=encode_intra,
        encode_inter=encode_inter,
        decode_intra=decode_intra,
        decode_inter=decode_inter,
        capacities=(capacity,),
        lane_choices=(_lanes(pair, size),),
    )


def _blank_planes(size: Size, batch: int, frames_per_unit: int):
    dtype = np.uint8 if size.bit_depth == 8 else np.uint16
    rows, columns = -(-size.height // 2), -(-size.width // 2)
    shapes = ((size.height, size.width), (rows, columns), (rows, columns))
    lead = (batch,) if frames_per_unit == 1 else (batch, frames_per_unit)
    return tuple(jnp.zeros((*lead, *shape), dtype) for shape in shapes)


def choose_programs(pair: Pair, size: Size) -> Programs:
    """Returns a model's programs, joint ones unless it is portable."""
    portable = pair.intra.portable and pair.inter.portable
    return (programs_of if portable else joint_programs)(pair, size)
