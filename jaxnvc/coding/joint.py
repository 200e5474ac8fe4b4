"""One program that both encodes and decodes: for models that are not portable.

Where scale indices come from floats, one rounding difference between two programs
desynchronises a stream. Here encoder and decoder run the very same executable: the
contexts and distributions are computed by the same instructions, and only where the
symbols come from (the source, or the payload) hangs on a runtime flag.

Source: tier A of the specification of AVS-EEM (section 13.4): the same compiled
blocks on both sides, never a fused variant of the encoder's own.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from jaxnvc.codecs.protocol import Cond, State, UnitCodec
from jaxnvc.coding.unit import Payload, combine, encode_stages, flat
from jaxnvc.entropy import rans

_FEW_PIXELS = 1 << 19


class Request(struct.PyTreeNode):
    """A unit to encode or to decode; what the task does not need is zero.

    Attributes:
      encoding: bool [], the task.
      x: source, shaped as a unit.
      x_previous: the source frame before it [B, H/2, W/2, 6].
      words: uint16 [B, capacity], payloads.
      num_words: int32 [B].
    """

    encoding: jax.Array
    x: jax.Array
    x_previous: jax.Array
    words: jax.Array
    num_words: jax.Array


class Result(struct.PyTreeNode):
    """A coded unit.

    Attributes:
      payload: of an encoded unit; zero of a decoded one, but for its check.
      state: the next decoded buffer.
      x_hat: reconstruction, shaped as a unit.
      sound: bool [B], whether a decoded payload ended as its encoder left it.
    """

    payload: Payload
    state: State
    x_hat: jax.Array
    sound: jax.Array


def lanes_of(pixels: int) -> int:
    """Returns the rANS lanes for pictures of so many luma samples.

    Fixed by size, because lanes shape the program. 16 of them cost 48 bytes.
    """
    return 1 if pixels < _FEW_PIXELS else 16


def capacity_of(pixels: int) -> int:
    """Returns the words that the payload of a unit of so many luma samples may take."""
    return max(pixels * 4, 8192)


def code_unit(
    model: UnitCodec, params, state: State, request: Request, lanes: int, cond: Cond
) -> Result:
    """Encodes or decodes a unit.

    Args:
      model: a family's module (static under jit).
      params: its parameters.
      state: decoded buffer.
      request: the task.
      lanes: rANS lanes (static under jit).
      cond: conditions.
    """
    codec = model.bind({"params": params})
    start = jax.vmap(lambda words, num: rans.start(words, num, lanes))
    decoder = start(request.words, request.num_words)
    work = codec.begin(state, cond)
    source = _only_if(
        request.encoding,
        lambda x, previous: codec.analyse(x, previous, cond),
        request.x,
        request.x_previous,
    )
    stages, checks = [], []
    for stage in range(model.num_stages):
        prior, work = codec.prior(work, cond, stage)
        # A fence: neither task may fuse its part into what both share.
        prior, work = lax.optimization_barrier((prior, work))
        index, active = flat(*prior.table())
        symbols, source, decoder = _symbols(
            codec, request.encoding, work, source, prior, decoder, cond, stage
        )
        stages.append((*flat(symbols.astype(jnp.int32)), index, active))
        checks.append(jax.vmap(rans.checksum)(*stages[-1]))
        work = codec.absorb(work, prior, symbols, cond, stage)
    state, x_hat = codec.finish(work, cond)
    packet = _only_if(
        request.encoding,
        lambda *stages: encode_stages(stages, (lanes,), request.words.shape[1]),
        *stages,
    )
    payload = Payload(
        words=packet.words,
        num_words=packet.num_words,
        lanes=packet.lanes,
        check=combine(checks),
    )
    return Result(payload, state, x_hat, jax.vmap(rans.finish)(decoder))


def _symbols(codec, encoding, work, source, prior, decoder, cond: Cond, stage: int):
    """Chooses a stage's symbols, or reads them; returns them, source and decoder."""

    def chosen(work, source, prior):
        residual, source = codec.residual(work, source, cond, stage)
        return prior.quantise(residual), source

    def read(decoder, index, active):
        decoder, symbols = lax.map(lambda a: rans.pop(*a), (decoder, index, active))
        return symbols.reshape(prior.index.shape).astype(jnp.float32), decoder

    def nothing(decoder, index, active):
        return jnp.zeros(prior.index.shape), decoder

    ours, source = _only_if(encoding, chosen, work, source, prior)
    stage_input = (decoder, *flat(*prior.table()))
    theirs, decoder = lax.cond(encoding, nothing, read, *stage_input)
    return lax.optimization_barrier(ours + theirs), source, decoder


def _only_if(wanted: jax.Array, function, *args):
    """Runs a function if it is wanted; else its result is zeros."""
    shape = jax.eval_shape(function, *args)

    def zeros(*_):
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shape)

    return lax.cond(wanted, function, zeros, *args)
