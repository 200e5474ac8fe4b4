"""Row kernels of the rANS coder: N lanes side by side, row after row.

The loops run over the rows in use only. Rows past them are no-ops by their content
(frequency 0, negative table offset), so that a batch may share one row count.

Source: Giesen 2014 (interleaved rANS); see `jaxnvc.entropy.rans` for the format.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnvc.entropy import tables
from jaxnvc.entropy.tables import ScaleTable

# States live in [LOW, LOW^2).
LOW = 1 << 16
MASK16 = 0xFFFF
MIN_SYMBOL, MAX_SYMBOL = -(1 << 15), (1 << 15) - 1
# What a row holds in place of an escape: above every magnitude of a table.
ESCAPED = tables.NUM_SLOTS

_PB = tables.PROBABILITY_BITS
_SLOT_MASK = (1 << _PB) - 1
# x >= f << (32 - PB) without the overflow of the shift.
_RENORM_SHIFT = 32 - _PB
_SEARCH_STEPS = (32, 16, 8, 4, 2, 1)
# Emissions compacted at a time: large enough to hide the loop, small for the cache.
_BLOCK = 1 << 14


@jax.custom_batching.custom_vmap
def shared_bound(count: jax.Array) -> jax.Array:
    """Returns a loop bound; under vmap the largest one of the batch, for all.

    A bound that differs within a batch makes every step of a loop copy all of its
    buffers, to keep those of the elements already done.
    """
    return count


@shared_bound.def_vmap
def _shared_bound_batched(axis_size, in_batched, count):
    del axis_size
    # Called again for the batches around this one.
    return shared_bound(jnp.max(count) if in_batched[0] else count), False


def num_rows(count, lanes: int):
    """Returns how many rows of `lanes` hold `count` symbols, an int or an array."""
    return (count + lanes - 1) // lanes


def row_capacity(rows: int, lanes: int) -> int:
    """Returns static rows for so many in use: 1 or more, whole blocks if several."""
    block = _block_rows(max(rows, 1), lanes)
    return max(-(-rows // block), 1) * block


def _block_rows(rows: int, lanes: int) -> int:
    return min(rows, max(_BLOCK // lanes, 1))


def count_before(flags: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Counts the set flags before each position.

    Args:
      flags: bool [n].

    Returns:
      int32 [n] exclusive counts in natural order, and the int32 total.
    """
    n = flags.shape[0]
    if n <= 1:
        return jnp.zeros(n, jnp.int32), jnp.sum(flags, dtype=jnp.int32)
    # 32 flags at a time become a bit mask whose lower bits are counted: 5 times
    # faster than a flat cumulative sum on a CPU.
    width = min(n, 32)
    bits = jnp.arange(width, dtype=jnp.uint32)
    grid = jnp.pad(flags, (0, -n % width)).reshape(-1, width).astype(jnp.uint32)
    ballot = jnp.sum(grid << bits[None], axis=1, dtype=jnp.uint32)
    below = ballot[:, None] & ((jnp.uint32(1) << bits) - 1)[None]
    totals = lax.population_count(ballot).astype(jnp.int32)
    ranks = lax.population_count(below).astype(jnp.int32)
    if len(totals) <= 32:
        # As few as a row of lanes has: a masked sum beats a cumulative one.
        lower = np.tril(np.ones((len(totals), len(totals)), bool), -1)
        offsets = jnp.sum(jnp.where(lower, totals[None], 0), axis=1)
    else:
        offsets = jnp.cumsum(totals) - totals
    ranks = (ranks + offsets[:, None]).reshape(-1)[:n]
    return ranks, offsets[-1] + totals[-1]


def clip_symbols(symbols: jax.Array) -> jax.Array:
    """Bounds symbols to what an escape can carry."""
    return jnp.clip(symbols, MIN_SYMBOL, MAX_SYMBOL)


def place_rows(values, active, place, lanes: int, rows: int, fill) -> jax.Array:
    """Moves the active values [n] to flat places of [rows, lanes], `fill` elsewhere."""
    place = jnp.where(active, place, rows * lanes)
    grid = jnp.full(rows * lanes, fill, values.dtype)
    return grid.at[place].set(values, mode="drop").reshape(rows, lanes)


def coding_entries(symbols, index, active, table: ScaleTable):
    """Looks up what the encoder needs to know of each symbol.

    Args:
      symbols: int32 [n], clipped to [MIN_SYMBOL, MAX_SYMBOL].
      index: int32 [n], clipped to the rows of the table.
      active: bool [n].
      table: frequencies.

    Returns:
      uint32 [n] start << 16 | frequency of the coded interval, 0 where not active, and
      bool [n], true where the symbol is an escape.
    """
    index = jnp.clip(index, 0, table.packed.shape[0] - 1)
    magnitude = jnp.minimum(jnp.abs(symbols), tables.NUM_SLOTS - 1)
    # One look-up for all: what lies past the escape finds it.
    slot = np.minimum(np.arange(tables.NUM_SLOTS), table.escape[:, None])
    packed = np.take_along_axis(table.packed, slot, axis=1).reshape(-1)
    entry = jnp.asarray(packed)[index * tables.NUM_SLOTS + magnitude]
    escaped = (entry >> 16) + (entry & MASK16) == 1 << _PB
    second = (symbols < 0) & ~escaped
    entry = entry + jnp.where(second, (entry & MASK16) << 16, 0)
    return jnp.where(active, entry, 0), escaped & active


def code_length(entries: jax.Array, escaped: jax.Array) -> jax.Array:
    """Returns the ideal length in bits, float32 [], of `coding_entries`."""
    frequency = entries & MASK16
    bits = _PB - jnp.log2(jnp.maximum(frequency, 1).astype(jnp.float32))
    bits = jnp.sum(jnp.where(frequency > 0, bits, 0))
    return bits + tables.ESCAPE_BITS * jnp.sum(escaped, dtype=jnp.int32)


def _push_row(state: jax.Array, entry: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Codes one symbol per lane; frequency 0 leaves a lane as it is.

    Args:
      state: uint32 [N] in [2^16, 2^32).
      entry: uint32 [N], start << 16 | frequency.

    Returns:
      The next states and the emissions: uint32 [N], word | 2^16, or 0 for no word.
    """
    frequency, start = entry & MASK16, entry >> 16
    coded = frequency > 0
    emit = coded & ((state >> _RENORM_SHIFT) >= frequency)
    emission = jnp.where(emit, (state & MASK16) | LOW, 0)
    state = jnp.where(emit, state >> 16, state)
    # The quotient is below 2^18, so that float32 is off by one at most whatever its
    # rounding; integer division is slow where it exists at all.
    divisor = jnp.where(coded, frequency, LOW)
    inverse = 1.0 / divisor.astype(jnp.float32)
    quotient = (state.astype(jnp.float32) * inverse).astype(jnp.int32)
    rest = (state - quotient.astype(jnp.uint32) * divisor).astype(jnp.int32)
    low, high = rest < 0, rest >= divisor.astype(jnp.int32)
    quotient = quotient - low.astype(jnp.int32) + high.astype(jnp.int32)
    quotient = quotient.astype(jnp.uint32)
    rest = state - quotient * divisor
    return jnp.where(coded, (quotient << _PB) + start + rest, state), emission


def push_rows(state, entries, count) -> tuple[jax.Array, jax.Array]:
    """Codes the rows count - 1 .. 0.

    Args:
      state: uint32 [N].
      entries: uint32 [T, N], start << 16 | frequency.
      count: int32, rows in use, at most T.

    Returns:
      The states after row 0 and the emissions uint32 [T, N], 0 in unused rows.
    """
    count = shared_bound(count)

    def body(i, carry):
        state, emissions = carry
        row = count - 1 - i
        entry = lax.dynamic_index_in_dim(entries, row, keepdims=False)
        state, emission = _push_row(state, entry)
        return state, lax.dynamic_update_index_in_dim(emissions, emission, row, 0)

    return lax.fori_loop(0, count, body, (state, jnp.zeros_like(entries)))


def gather_words(body, first, emissions, count) -> tuple[jax.Array, jax.Array]:
    """Writes the words that rows emitted, without gaps, in row order.

    Args:
      body: uint16 [size].
      first: int32, place of the first word; what falls outside the body is dropped.
      emissions: uint32 [T, N] from `push_rows`, T from `row_capacity`.
      count: int32, rows in use.

    Returns:
      The body with the words, and the place after the last one.
    """
    size, (rows, lanes) = body.shape[0], emissions.shape
    depth = _block_rows(rows, lanes)
    emissions = emissions.reshape(rows // depth, depth * lanes)

    def write(i, carry):
        body, first = carry
        block = lax.dynamic_index_in_dim(emissions, i, keepdims=False)
        emitted = block >= LOW
        rank, total = count_before(emitted)
        place = first + rank
        # Negative places would wrap around: the unwanted go past the end.
        place = jnp.where(emitted & (place >= 0), place, size)
        body = body.at[place].set(block.astype(jnp.uint16), mode="drop")
        return body, first + total

    blocks = shared_bound(num_rows(count, depth))
    return lax.fori_loop(0, blocks, write, (body, jnp.asarray(first, jnp.int32)))


def put_escapes(body, last, symbols, escaped) -> tuple[jax.Array, jax.Array]:
    """Writes the escapes backwards, the first one furthest.

    Args:
      body: uint16 [size].
      last: int32, place of the last escape; what falls outside the body is dropped.
      symbols: int32 [n].
      escaped: bool [n].

    Returns:
      The body with the escapes and their number.
    """

    def put(body):
        rank, count = count_before(escaped)
        place = jnp.where(escaped, last + count - 1 - rank, body.shape[0])
        return body.at[place].set(symbols.astype(jnp.uint16), mode="drop"), count

    def keep(body):
        return body, jnp.int32(0)

    return lax.cond(jnp.any(escaped), put, keep, body)


def _next_words(words, read, rank):
    """Returns words[read + rank] for ranks below N, within bounds whatever `read`.

    A window of N words first: XLA judges the cost of a gather by the size of what it
    gathers from, and would split this tiny one over threads.
    """
    lanes, size = rank.shape[0], words.shape[0]
    window = lax.dynamic_slice(words, (read,), (lanes,))
    if lanes == 1:
        return window
    # The window stops at the end of the buffer, where only damage leads.
    shift = jnp.maximum(read - (size - lanes), 0)
    return window.at[jnp.minimum(rank + shift, lanes - 1)].get(mode="clip")


def pop_row(state, base, read, look_up, words_at, count):
    """Decodes one symbol per lane; a negative base leaves a lane as it is.

    Args:
      state: uint32 [N].
      base: int32 [N], offset of the lane's scale in the packed table.
      read: int32, words read so far.
      look_up: gives the packed table's entries at int32 [N], all within it.
      words_at: gives words[read + rank] of (read, rank int32 [N]), whatever `read`.
      count: what `count_before` does.

    Returns:
      The next states, words read, and symbols int8 [N], `ESCAPED` for an escape.
    """
    used = base >= 0
    base = jnp.maximum(base, 0)
    slot = state & _SLOT_MASK
    key = (slot << 16) | MASK16
    magnitude = jnp.zeros_like(base)
    for step in _SEARCH_STEPS:
        probe = look_up(base + magnitude + step)
        magnitude = jnp.where(probe <= key, magnitude + step, magnitude)
    entry = look_up(base + magnitude)
    frequency, begin = entry & MASK16, entry >> 16
    offset = slot - begin
    second = offset >= frequency
    offset = jnp.where(second, offset - frequency, offset)
    state = jnp.where(used, frequency * (state >> _PB) + offset, state)
    symbol = jnp.where(second, -magnitude, magnitude)
    # Only the escape's single interval can end exactly at the last slot.
    symbol = jnp.where(begin + frequency == 1 << _PB, ESCAPED, symbol)
    refill = used & (state < LOW)
    rank, taken = count(refill)
    word = words_at(read, rank).astype(jnp.uint32)
    state = jnp.where(refill, state << 16 | word, state)
    return state, read + taken, symbol.astype(jnp.int8)


def pop_rows(state, read, words, bases, count, packed):
    """Decodes the rows 0 .. count - 1.

    Args:
      state: uint32 [N].
      read: int32, words read so far.
      words: uint16 [capacity], at least N.
      bases: int32 [T, N], offset of the lane's scale in `packed`, negative for none.
      count: int32, rows in use, at most T.
      packed: uint32 [S * NUM_SLOTS].

    Returns:
      The states and words read after the last row, and int8 [T, N] symbols.
    """

    def look_up(at):
        return packed.at[at].get(mode="promise_in_bounds")

    def words_at(read, rank):
        return _next_words(words, read, rank)

    def body(row, carry):
        state, read, symbols = carry
        base = lax.dynamic_index_in_dim(bases, row, keepdims=False)
        state, read, symbol = pop_row(
            state, base, read, look_up, words_at, count_before
        )
        symbols = lax.dynamic_update_index_in_dim(symbols, symbol, row, 0)
        return state, read, symbols

    carry = (state, read, jnp.zeros(bases.shape, jnp.int8))
    return lax.fori_loop(0, shared_bound(count), body, carry)
