"""One unit of any family: estimated for training, encoded, decoded.

Loops over stages that estimate or code are here alone. Each is traceable and pure:
a unit's networks, quantiser and entropy coder form one jitted program whose
outputs are a payload, its length and the next state.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from jaxnvc.codecs.protocol import Cond, MotionCodec, Source, State, UnitCodec
from jaxnvc.entropy import rans


class Estimate(struct.PyTreeNode):
    """A unit as training sees it.

    Attributes:
      state: next decoded buffer.
      x_hat: reconstruction, shaped as a unit.
      bits: estimated bits of each stage [B, stages].
    """

    state: State
    x_hat: jax.Array
    bits: jax.Array


class Payload(struct.PyTreeNode):
    """A unit's entropy-coded words, for each clip of the batch.

    Attributes:
      words: uint16 [B, capacity]; the payload is words[:num_words].
      num_words: int32 [B].
      lanes: int32 [B], rANS lanes.
      check: uint32 [B], checksum of the symbols and their scale indices.
    """

    words: jax.Array
    num_words: jax.Array
    lanes: jax.Array
    check: jax.Array


def estimate_unit(
    model: UnitCodec, params, state: State, source: Source, cond: Cond
) -> Estimate:
    """Runs a unit with quantisation but no coder; differentiable.

    Args:
      model: a family's module.
      params: its parameters.
      state: decoded buffer.
      source: `model.analyse` of the source frames; it needs no decoded state, so
        that a training scan can prepare all its frames at once.
      cond: conditions.
    """
    codec = model.bind({"params": params})
    work, bits = _estimate_stages(codec, state, source, cond, model.num_stages)
    state, x_hat = codec.finish(work, cond)
    return Estimate(state=state, x_hat=x_hat, bits=bits)


def estimate_motion(
    model: MotionCodec, params, state: State, source: Source, cond: Cond
) -> Estimate:
    """Runs a unit's motion stages alone, with the arguments of `estimate_unit`.

    Returns:
      What motion predicts as `x_hat`, no bits for the other stages, and the state as
      it was: the unit is not whole.
    """
    codec = model.bind({"params": params})
    count = model.num_motion_stages
    work, bits = _estimate_stages(codec, state, source, cond, count)
    bits = jnp.pad(bits, ((0, 0), (0, model.num_stages - count)))
    return Estimate(state=state, x_hat=codec.prediction(work, cond), bits=bits)


def _estimate_stages(codec: UnitCodec, state: State, source: Source, cond, count: int):
    """Runs the first stages; returns the work and the bits of each [B, count]."""
    work = codec.begin(state, cond)
    bits = []
    for stage in range(count):
        prior, work = codec.prior(work, cond, stage)
        residual, source = codec.residual(work, source, cond, stage)
        work = work if residual.work is None else residual.work
        symbols = prior.quantise(residual)
        stage_bits = prior.bits(symbols, residual.value)
        bits.append(stage_bits.sum(tuple(range(1, stage_bits.ndim))))
        work = codec.absorb(work, prior, symbols, cond, stage)
    return work, jnp.stack(bits, -1)


def encode_unit(
    model: UnitCodec, params, state: State, x, x_previous, cond: Cond
) -> tuple[Payload, State, jax.Array]:
    """Encodes a unit.

    Args:
      model: a family's module (static under jit).
      params: its parameters.
      state: decoded buffer.
      x: source, shaped as a unit.
      x_previous: the source frame before it [B, H/2, W/2, 6].
      cond: conditions.

    Returns:
      The payload, the next decoded buffer and the reconstruction.
    """
    stages, state, x_hat = choose_symbols(model, params, state, x, x_previous, cond)
    packet = encode_stages(stages)
    payload = Payload(
        words=packet.words,
        num_words=packet.num_words,
        lanes=packet.lanes,
        check=combine([jax.vmap(rans.checksum)(*stage) for stage in stages]),
    )
    return payload, state, x_hat


def choose_symbols(
    model: UnitCodec, params, state: State, x, x_previous, cond: Cond
) -> tuple[list[tuple[jax.Array, ...]], State, jax.Array]:
    """Runs the encoder's networks; takes what `encode_unit` does.

    Returns:
      (symbols, index, active) of each stage, each [B, n], the next decoded buffer and
      the reconstruction.
    """
    codec = model.bind({"params": params})
    work = codec.begin(state, cond)
    source = codec.analyse(x, x_previous, cond)
    stages = []
    for stage in range(model.num_stages):
        prior, work = codec.prior(work, cond, stage)
        residual, source = codec.residual(work, source, cond, stage)
        work = work if residual.work is None else residual.work
        symbols = prior.quantise(residual)
        work = codec.absorb(work, prior, symbols, cond, stage)
        stages.append(flat(symbols.astype(jnp.int32), *prior.table()))
    return stages, *codec.finish(work, cond)


def flat(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Flattens all axes but the first."""
    return tuple(array.reshape(array.shape[0], -1) for array in arrays)


def encode_stages(
    stages, lane_choices=rans.LANE_CHOICES, most: int | None = None
) -> rans.Packet:
    """Codes the stages (symbols, index, active), each [B, n], of every clip.

    One clip at a time: the coder's branch over lane counts and its loop over active
    rows stay real branches and loops.
    """
    return lax.map(lambda s: rans.encode(s, lane_choices, most=most), stages)


def combine(checks) -> jax.Array:
    """Folds the stages' checksums into one, in order."""
    return functools.reduce(
        lambda total, check: total * jnp.uint32(0x01000193) + check,
        checks,
        jnp.uint32(0x811C9DC5),
    )


def decode_unit(
    model: UnitCodec, params, state: State, words, num_words, lanes: int, cond: Cond
) -> tuple[State, jax.Array, jax.Array, jax.Array]:
    """Decodes a unit; networks and rANS pops alternate inside one program.

    Args:
      model: a family's module (static under jit).
      params: its parameters.
      state: decoded buffer.
      words: uint16 [B, capacity], anything past the payload.
      num_words: int32 [B].
      lanes: rANS lanes of every clip (static under jit).
      cond: conditions.

    Returns:
      The next decoded buffer, the reconstruction, whether each payload was sound
      [B] and the checksum of its symbols [B].
    """
    decoder = jax.vmap(lambda w, n: rans.start(w, n, lanes))(words, num_words)
    checks = []

    def read(stage: int, index, active):
        nonlocal decoder
        decoder, symbols = lax.map(lambda a: rans.pop(*a), (decoder, index, active))
        checks.append(jax.vmap(rans.checksum)(symbols, index, active))
        return symbols

    state, x_hat = rebuild(model, params, state, read, cond)
    return state, x_hat, jax.vmap(rans.finish)(decoder), combine(checks)


def rebuild(
    model: UnitCodec, params, state: State, symbols_of: Callable, cond: Cond
) -> tuple[State, jax.Array]:
    """Runs the decoder's networks.

    Args:
      model: a family's module (static under jit).
      params: its parameters.
      state: decoded buffer.
      symbols_of: (stage, index, active) -> symbols, all [B, n]; called once for each
        stage, in order.
      cond: conditions.

    Returns:
      The next decoded buffer and the reconstruction.
    """
    codec = model.bind({"params": params})
    work = codec.begin(state, cond)
    for stage in range(model.num_stages):
        prior, work = codec.prior(work, cond, stage)
        symbols = symbols_of(stage, *flat(*prior.table()))
        symbols = symbols.reshape(prior.index.shape).astype(jnp.float32)
        work = codec.absorb(work, prior, symbols, cond, stage)
    return codec.finish(work, cond)
