"""Vectorised range asymmetric numeral systems (rANS) in pure JAX.

N lanes, each a uint32 state in [2^16, 2^32), share one stream of 16-bit words:

    payload = [state of lane 0: high, low] ... [lane N-1] [words ->] [<- escapes]

The active symbols of a stage, in their natural order, fill rows of N: symbol k goes
to row k // N, lane k % N; every stage starts a fresh row, its states carried on. The
decoder pops row after row; after each, the lanes whose state fell below 2^16 take
one word each, in lane order. A magnitude the table does not list costs the escape
slot and one raw word (the signed symbol), counted from the end of the payload
backwards, so that no count is needed. Every lane starts at 2^16 in the encoder and
must be back there when the decoder is done, which checks the whole payload.

Everything is pure, of static shape and 32 bits. Positions that are not active cost
neither bits nor loop steps. Damage never raises under jit: `finish` tells.

    encoder = init(lanes, capacity(n, lanes))               decoder = start(words, ...)
    for stage in reversed(stages):                          for stage in stages:
        encoder = push(encoder, *stage)                         decoder, r = pop(...)
    words, num_words = flush(encoder)                       ok = finish(decoder)

Source: Duda 2013 (rANS), Giesen 2014 (interleaved lanes in one stream).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from jaxnvc.entropy import rans_kernel, rans_rows, tables
from jaxnvc.entropy.rans_rows import LOW, MASK16
from jaxnvc.entropy.tables import ScaleTable
from jaxnvc.errors import BitstreamError

# 2 to 8 lanes are slower than one on a CPU and too few for anything else.
LANE_CHOICES = (1, 16, 64, 256)
MIN_SYMBOL, MAX_SYMBOL = rans_rows.MIN_SYMBOL, rans_rows.MAX_SYMBOL

# Bits a lane wastes: 16 in its start state, 8 on average in its last one.
_LANE_BITS = 24.0


class Encoder(struct.PyTreeNode):
    """A payload being written from its end to its start.

    Attributes:
      state: uint32 [N] in [2^16, 2^32).
      body: uint16 [capacity - 2 N]; words from the right end, escapes from the left.
      num_words: int32, words at the right end of `body`.
      num_escapes: int32, escapes at the left end of `body`.
    """

    state: jax.Array
    body: jax.Array
    num_words: jax.Array
    num_escapes: jax.Array


class Decoder(struct.PyTreeNode):
    """A payload being read.

    Attributes:
      state: uint32 [N].
      words: uint16 [capacity], the payload, anything after it.
      num_words: int32, words in the payload.
      read: int32, words taken from the front.
      escapes: int32, words taken from the back.
      sound: bool, the header was possible.
    """

    state: jax.Array
    words: jax.Array
    num_words: jax.Array
    read: jax.Array
    escapes: jax.Array
    sound: jax.Array


class Packet(NamedTuple):
    """A finished payload: words uint16 [capacity], num_words int32, lanes int32."""

    words: jax.Array
    num_words: jax.Array
    lanes: jax.Array


def capacity(num_symbols: int, lanes: int) -> int:
    """Returns the most words a payload of `num_symbols` symbols can take.

    A symbol shifts out one word at most and may need one more as an escape.
    """
    return 2 * num_symbols + 2 * lanes


def init(lanes: int, capacity: int) -> Encoder:
    """Starts a payload.

    Args:
      lanes: N, at least 1.
      capacity: words the payload may take in all; see the function `capacity`.

    Returns:
      An encoder. Stages are pushed last first.
    """
    return Encoder(
        state=jnp.full(lanes, LOW, jnp.uint32),
        body=jnp.zeros(max(capacity - 2 * lanes, 0), jnp.uint16),
        num_words=jnp.int32(0),
        num_escapes=jnp.int32(0),
    )


def push(
    encoder: Encoder,
    symbols: jax.Array,
    index: jax.Array,
    active: jax.Array,
    table: ScaleTable | None = None,
) -> Encoder:
    """Writes one stage in front of those already written.

    Args:
      encoder: the payload so far.
      symbols: int32 [n]; the caller clips to [MIN_SYMBOL, MAX_SYMBOL], others are
        coded as if clipped.
      index: int32 [n], row of the table, clipped to it.
      active: bool [n]; other positions are not coded.
      table: frequencies; None stands for `tables.coder_table()`.

    Returns:
      The encoder with the stage written.
    """
    table = tables.coder_table() if table is None else table
    lanes = encoder.state.shape[0]
    symbols = rans_rows.clip_symbols(symbols)
    entry, escaped = rans_rows.coding_entries(symbols, index, active, table)
    place, count = rans_rows.count_before(active)
    depth = rans_rows.row_capacity(rans_rows.num_rows(len(symbols), lanes), lanes)
    grid = rans_rows.place_rows(entry, active, place, lanes, depth, 0)
    rows = rans_rows.num_rows(count, lanes)
    state, emissions = rans_rows.push_rows(encoder.state, grid, rows)
    used = encoder.num_words + jnp.sum(emissions >= LOW, dtype=jnp.int32)
    first = encoder.body.shape[0] - used
    body, _ = rans_rows.gather_words(encoder.body, first, emissions, rows)
    # The last escape comes first: the payload's are read from its end.
    body, more = rans_rows.put_escapes(body, encoder.num_escapes, symbols, escaped)
    return Encoder(state, body, used, encoder.num_escapes + more)


def _head(state: jax.Array) -> jax.Array:
    """Returns the states as words: uint32 [N] to uint16 [2 N], high words first."""
    return jnp.stack([state >> 16, state & MASK16], 1).reshape(-1).astype(jnp.uint16)


def flush(encoder: Encoder) -> tuple[jax.Array, jax.Array]:
    """Finishes a payload.

    Returns:
      words uint16 [capacity], the payload at its start and zeros after it; num_words
      int32, its length. A length above the capacity means that it did not fit.
    """
    size = encoder.body.shape[0]
    lanes = encoder.state.shape[0]
    at = jnp.arange(size, dtype=jnp.int32)
    blank = jnp.zeros_like(encoder.body)
    escapes = jnp.where(at < encoder.num_escapes, encoder.body, 0)
    # Both ends are shifted by slices: words to the front, escapes behind them.
    used = jnp.minimum(encoder.num_words, size)
    front = jnp.concatenate([encoder.body, blank])
    back = jnp.concatenate([blank, escapes])
    front = lax.dynamic_slice(front, (size - used,), (size,))
    back = lax.dynamic_slice(back, (size - used,), (size,))
    words = jnp.concatenate([_head(encoder.state), front | back])
    return words, 2 * lanes + encoder.num_words + encoder.num_escapes


def lanes_for(
    ideal_bits: jax.Array,
    eps: float = 0.005,
    lane_choices: Sequence[int] = LANE_CHOICES,
) -> jax.Array:
    """Chooses the most lanes whose overhead stays near a share of the payload.

    The law N = 2^floor(log2(eps * B / 24)), rounded down to a choice.

    Args:
      ideal_bits: float [], B, the code length of the whole payload.
      eps: share of B the lanes may waste.
      lane_choices: increasing powers of two.

    Returns:
      int32 [], index into `lane_choices`.
    """
    allowed = ideal_bits * (eps / _LANE_BITS)
    larger = jnp.asarray(lane_choices[1:], jnp.float32)
    return jnp.sum(allowed >= larger, dtype=jnp.int32)


def encode(
    stages: Sequence[tuple[jax.Array, jax.Array, jax.Array]],
    lane_choices: Sequence[int] = LANE_CHOICES,
    stage_tables: Sequence[ScaleTable | None] | None = None,
    most: int | None = None,
    eps: float = 0.0045,
) -> Packet:
    """Codes all stages of a unit with as many lanes as the payload can afford.

    The same words as `init`, `push` of the stages last first and `flush`.

    Args:
      stages: (symbols, index, active) as `push` takes them, in decoding order.
      lane_choices: increasing powers of two; the choice belongs in the header.
      stage_tables: one table per stage; None stands for that too.
      most: words of the result; None stands for the worst case. Less is faster, and
        a payload that did not fit has more `num_words` than that.
      eps: share for the lanes; the default leaves 0.05% of 0.5% for all else.

    Returns:
      The payload.
    """
    chosen = stage_tables or [None] * len(stages)
    parts = [
        rans_rows.coding_entries(*stage, table or tables.coder_table())
        for stage, table in zip(stages, chosen, strict=True)
    ]
    entry, escaped = map(jnp.concatenate, zip(*parts, strict=True))
    symbols = rans_rows.clip_symbols(jnp.concatenate([stage[0] for stage in stages]))
    active = jnp.concatenate([stage[2] for stage in stages])
    rank, _ = rans_rows.count_before(active)
    sizes = [len(stage[0]) for stage in stages]
    counts = jnp.stack([jnp.sum(stage[2], dtype=jnp.int32) for stage in stages])
    most = capacity(sum(sizes), max(lane_choices)) if most is None else most

    def code(lanes: int):
        rows = rans_rows.num_rows(counts, lanes)
        # Padding of the stages before: each starts a fresh row.
        gaps = rows * lanes - counts
        before = jnp.cumsum(gaps) - gaps
        place = rank + jnp.concatenate(
            [jnp.full(size, gap) for size, gap in zip(sizes, before, strict=True)]
        )
        depth = sum(rans_rows.num_rows(size, lanes) for size in sizes)
        depth = rans_rows.row_capacity(depth, lanes)
        grid = rans_rows.place_rows(entry, active, place, lanes, depth, 0)
        state = jnp.full(lanes, LOW, jnp.uint32)
        state, emissions = rans_rows.push_rows(state, grid, jnp.sum(rows))
        # All at once, nothing has to be moved as in `flush`.
        words = jnp.zeros(most, jnp.uint16).at[: 2 * lanes].set(_head(state))
        words, end = rans_rows.gather_words(words, 2 * lanes, emissions, jnp.sum(rows))
        words, escapes = rans_rows.put_escapes(words, end, symbols, escaped)
        return words, end + escapes

    ideal = rans_rows.code_length(entry, escaped)
    choice = lanes_for(ideal, eps, lane_choices)
    branches = [lambda lanes=lanes: code(lanes) for lanes in lane_choices]
    words, num_words = lax.switch(choice, branches)
    return Packet(words, num_words, jnp.asarray(lane_choices, jnp.int32)[choice])


def start(words: jax.Array, num_words: jax.Array, lanes: int) -> Decoder:
    """Starts reading a payload.

    Args:
      words: uint16 [capacity], the payload at its start; what follows is ignored.
      num_words: int32, its length; not trusted.
      lanes: N from the header.

    Returns:
      A decoder before the first stage.
    """
    words = jnp.asarray(words, jnp.uint16)
    size = words.shape[0]
    if size < 2 * lanes + 1:
        words = jnp.pad(words, (0, 2 * lanes + 1 - size))
    head = words[: 2 * lanes].reshape(lanes, 2).astype(jnp.uint32)
    state = head[:, 0] << 16 | head[:, 1]
    num_words = jnp.asarray(num_words, jnp.int32)
    fits = (num_words >= 2 * lanes) & (num_words <= size)
    return Decoder(
        state=state,
        words=words,
        num_words=num_words,
        read=jnp.int32(2 * lanes),
        escapes=jnp.int32(0),
        sound=fits & jnp.all(state >= LOW),
    )


def pop(
    decoder: Decoder,
    index: jax.Array,
    active: jax.Array,
    table: ScaleTable | None = None,
) -> tuple[Decoder, jax.Array]:
    """Reads one stage.

    Args:
      decoder: the payload before it.
      index: int32 [n], row of the table, clipped to it.
      active: bool [n]; other positions were not coded.
      table: frequencies; None stands for `tables.coder_table()`.

    Returns:
      The decoder after the stage and the symbols int32 [n], 0 where not active. Of a
      damaged payload they are noise in [MIN_SYMBOL, MAX_SYMBOL].
    """
    table = tables.coder_table() if table is None else table
    packed = jnp.asarray(table.packed).reshape(-1)
    lanes = decoder.state.shape[0]
    base = jnp.clip(index, 0, table.packed.shape[0] - 1) * tables.NUM_SLOTS
    rank, count = rans_rows.count_before(active)
    depth = rans_rows.row_capacity(rans_rows.num_rows(len(index), lanes), lanes)
    grid = rans_rows.place_rows(base, active, rank, lanes, depth, -1)
    rows = rans_rows.num_rows(count, lanes)
    state, read, out = rans_kernel.chosen_pop_rows(
        decoder.state, decoder.read, decoder.words, grid, rows, packed
    )
    symbols = out.reshape(-1).at[rank].get(mode="clip").astype(jnp.int32)
    symbols = jnp.where(active, symbols, 0)
    escaped = symbols == rans_rows.ESCAPED

    def raw(symbols):
        rank, count = rans_rows.count_before(escaped)
        at = decoder.num_words - 1 - decoder.escapes - rank
        word = decoder.words.at[jnp.maximum(at, 0)].get(mode="clip")
        value = lax.bitcast_convert_type(word, jnp.int16).astype(jnp.int32)
        return jnp.where(escaped, value, symbols), count

    def same(symbols):
        return symbols, jnp.int32(0)

    symbols, more = lax.cond(jnp.any(escaped), raw, same, symbols)
    escapes = decoder.escapes + more
    return decoder.replace(state=state, read=read, escapes=escapes), symbols


def finish(decoder: Decoder) -> jax.Array:
    """Tells whether every state is back at its start and every word used: bool []."""
    met = decoder.read + decoder.escapes == decoder.num_words
    return decoder.sound & met & jnp.all(decoder.state == LOW)


def checksum(symbols: jax.Array, index: jax.Array, active: jax.Array) -> jax.Array:
    """Hashes symbols, scales and places: a sum modulo 2^32, alike on every device.

    Args:
      symbols: int32 [...].
      index: int32 [...].
      active: bool [...]; other positions do not count.

    Returns:
      uint32 [].
    """
    place = jnp.arange(symbols.size, dtype=jnp.uint32).reshape(symbols.shape)
    term = place * jnp.uint32(0x9E3779B1) + jnp.uint32(0x7F4A7C15)
    for value in (symbols, index):
        term = (term ^ value.astype(jnp.uint32)) * jnp.uint32(0x85EBCA6B)
        term = (term ^ (term >> 15)) * jnp.uint32(0xC2B2AE35)
        term = term ^ (term >> 13)
    return jnp.sum(jnp.where(active, term, 0), dtype=jnp.uint32)


def to_bytes(words: np.ndarray, num_words: int) -> bytes:
    """Returns the payload as little-endian bytes, on the host."""
    return np.asarray(words)[: int(num_words)].astype("<u2").tobytes()


def from_bytes(payload: bytes, capacity: int) -> tuple[np.ndarray, int]:
    """Prepares payload bytes for `start`, on the host.

    Args:
      payload: little-endian words.
      capacity: words of the result, so that one compiled program serves all payloads.

    Returns:
      uint16 [capacity], zeros after the payload, and the number of words.

    Raises:
      BitstreamError: half a word, or more words than the symbols can need.
    """
    if len(payload) % 2 or len(payload) > 2 * capacity:
        raise BitstreamError(
            f"rANS payload of {len(payload)} bytes: an even number up to "
            f"{2 * capacity} is possible; the file is damaged, fetch it again"
        )
    words = np.zeros(capacity, np.uint16)
    words[: len(payload) // 2] = np.frombuffer(payload, "<u2")
    return words, len(payload) // 2
