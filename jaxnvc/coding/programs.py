"""The jitted programs: one per unit kind and direction, shapes as the only keys.

Each takes and gives device arrays; integer planes go in and come out, so that
conversion, networks, quantiser and entropy coder are one program.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxnvc.codecs.protocol import Cond, State, UnitCodec
from jaxnvc.coding.unit import Payload, decode_unit, encode_unit
from jaxnvc.entropy import rans
from jaxnvc.ops.frame import PACKED_CHANNELS, from_planes, to_planes
from jaxnvc.ops.spatial import ceil_to


class Pair(NamedTuple):
    """The modules of a model; static under jit."""

    intra: UnitCodec
    inter: UnitCodec


class Size(NamedTuple):
    """Geometry of the frames; static under jit.

    Attributes:
      height: display height in luma samples.
      width: display width.
      bit_depth: bits of a sample.
    """

    height: int
    width: int
    bit_depth: int


class Encoded(struct.PyTreeNode):
    """What encoding a unit leaves behind.

    Attributes:
      payload: its words.
      state: the decoded buffer.
      x: the last packed source frame, the next unit's predecessor.
      planes: reconstruction y, u, v as integers, [B, rows, columns] of one frame and
        [B, N, rows, columns] of a chunk.
    """

    payload: Payload
    state: State
    x: jax.Array
    planes: tuple[jax.Array, jax.Array, jax.Array]


class Decoded(struct.PyTreeNode):
    """What decoding a unit leaves behind.

    Attributes:
      state: the decoded buffer.
      planes: reconstruction y, u, v as integers.
      sound: bool [B], the payload ended as its encoder left it.
      check: uint32 [B], checksum of the symbols.
    """

    state: State
    planes: tuple[jax.Array, jax.Array, jax.Array]
    sound: jax.Array
    check: jax.Array


def size_multiple(pair: Pair) -> int:
    """Returns what the coded size is a multiple of."""
    return max(pair.intra.size_multiple, pair.inter.size_multiple)


def coded_size(pair: Pair, height: int, width: int) -> tuple[int, int]:
    """Returns the padded height and width that the networks see."""
    multiple = size_multiple(pair)
    return ceil_to(height, multiple), ceil_to(width, multiple)


def packed(pair: Pair, size: Size, planes) -> jax.Array:
    """Packs and pads integer planes."""
    return from_planes(*planes, multiple=size_multiple(pair), bit_depth=size.bit_depth)


def restart(pair: Pair, params, x_hat, cond: Cond) -> State:
    """Returns the inter codec's buffer after an intra unit."""
    codec = pair.inter.bind({"params": params["inter"]})
    return codec.reset(x_hat, cond)


def last_frame(model: UnitCodec, x: jax.Array) -> jax.Array:
    """Returns the last frame [B, H/2, W/2, 6] of a unit."""
    return x if model.frames_per_unit == 1 else x[:, -1]


def encode_intra(pair: Pair, size: Size, params, planes, cond: Cond) -> Encoded:
    """Encodes intra frames, planes integer [B, H, W] and [B, H/2, W/2]."""
    x = packed(pair, size, planes)
    codec = pair.intra.bind({"params": params["intra"]})
    payload, _, x_hat = encode_unit(
        pair.intra, params["intra"], codec.reset(x, cond), x, x, cond
    )
    return Encoded(
        payload=payload,
        state=restart(pair, params, x_hat, cond),
        x=x,
        planes=to_planes(x_hat, *size),
    )


def encode_inter(
    pair: Pair, size: Size, params, state, x_previous, planes, cond: Cond
) -> Encoded:
    """Encodes inter units after `state`; `x_previous` is the source before them."""
    x = packed(pair, size, planes)
    payload, state, x_hat = encode_unit(
        pair.inter, params["inter"], state, x, x_previous, cond
    )
    return Encoded(
        payload=payload,
        state=state,
        x=last_frame(pair.inter, x),
        planes=to_planes(x_hat, *size),
    )


def decode_intra(
    pair: Pair, size: Size, lanes: int, params, words, num_words, cond: Cond
) -> Decoded:
    """Decodes intra payloads, uint16 [B, capacity]."""
    height, width = coded_size(pair, size.height, size.width)
    shape = (words.shape[0], height // 2, width // 2, PACKED_CHANNELS)
    codec = pair.intra.bind({"params": params["intra"]})
    blank = codec.reset(jnp.zeros(shape), cond)
    _, x_hat, sound, check = decode_unit(
        pair.intra, params["intra"], blank, words, num_words, lanes, cond
    )
    return Decoded(
        state=restart(pair, params, x_hat, cond),
        planes=to_planes(x_hat, *size),
        sound=sound,
        check=check,
    )


def decode_inter(
    pair: Pair, size: Size, lanes: int, params, state, words, num_words, cond: Cond
) -> Decoded:
    """Decodes inter payloads after `state`."""
    state, x_hat, sound, check = decode_unit(
        pair.inter, params["inter"], state, words, num_words, lanes, cond
    )
    return Decoded(
        state=state, planes=to_planes(x_hat, *size), sound=sound, check=check
    )


jit_encode_intra = jax.jit(encode_intra, static_argnums=(0, 1))
jit_encode_inter = functools.partial(
    jax.jit, static_argnums=(0, 1), donate_argnums=(3,)
)(encode_inter)
jit_decode_intra = jax.jit(decode_intra, static_argnums=(0, 1, 2))
jit_decode_inter = functools.partial(
    jax.jit, static_argnums=(0, 1, 2), donate_argnums=(4,)
)(decode_inter)


class Programs(NamedTuple):
    """The four jitted programs of a model at a size.

    Attributes:
      encode_intra: (params, planes, cond) -> Encoded.
      encode_inter: (params, state, x_previous, planes, cond) -> Encoded; the state is
        donated.
      decode_intra: (lanes, params, words, num_words, cond) -> Decoded.
      decode_inter: (lanes, params, state, words, num_words, cond) -> Decoded; the
        state is donated.
      capacities: rising word counts that `words` of a payload are padded to.
      lane_choices: rANS lanes that can be decoded.
    """

    encode_intra: Callable[..., Encoded]
    encode_inter: Callable[..., Encoded]
    decode_intra: Callable[..., Decoded]
    decode_inter: Callable[..., Decoded]
    capacities: tuple[int, ...]
    lane_choices: tuple[int, ...]


def unit_pixels(pair: Pair, size: Size) -> int:
    """Returns the luma samples of the largest unit."""
    height, width = coded_size(pair, size.height, size.width)
    return height * width * pair.inter.frames_per_unit


def programs_of(pair: Pair, size: Size) -> Programs:
    """Returns the programs of a portable model."""
    pixels = unit_pixels(pair, size)
    return Programs(
        encode_intra=functools.partial(jit_encode_intra, pair, size),
        encode_inter=functools.partial(jit_encode_inter, pair, size),
        decode_intra=functools.partial(jit_decode_intra, pair, size),
        decode_inter=functools.partial(jit_decode_inter, pair, size),
        # Nearly every payload fits an eighth of a word per pixel; few shapes mean
        # few compiled programs.
        capacities=(max(pixels // 8, 1024), max(pixels * 4, 8192)),
        lane_choices=rans.LANE_CHOICES,
    )
