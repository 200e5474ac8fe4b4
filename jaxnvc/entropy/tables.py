"""Integer frequency tables of the entropy coder, the same bytes on every machine.

A table row describes one scale. The symbol r is coded by its magnitude first: the
interval of |r| = m holds +m, then -m, both of the frequency f; zero has one interval
of its own, and so has the escape, which stands for every magnitude the row does not
list. Rows are built with Python integers only: floating point and libm differ in
the last bit between platforms, and one differing entry destroys a stream.

There are two rows for each scale: of a Gaussian, and of one with a heavy tail, whose
rare large symbols cost ten bits where a Gaussian's escape costs thirty.

Source: Gaussian scales as in compressive codecs since Minnen et al. 2018 (0.11 up to
about 28, geometric); tail, folded sign and per-scale escape are this project's own.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

NUM_SCALES = 64
NUM_SLOTS = 64
PROBABILITY_BITS = 14
ESCAPE_BITS = 16

_SCALE_BITS = 16
_FIXED_BITS = 192
_ONE = 1 << _FIXED_BITS
# The tail's share of the whole, from this sigma on; below, it falls with its fourth
# power. Chosen on the symbols of training clips.
_TAIL_PERCENT = 6
_TAIL_SIGMA = (9, 20)
_TAIL_POWER = 4
TAIL_SHARE, TAIL_SIGMA = _TAIL_PERCENT / 100, _TAIL_SIGMA[0] / _TAIL_SIGMA[1]
# Beyond this argument erfc is below 1e-43: no frequency of 14 bits can see it.
_ERF_LIMIT = 10


class ScaleTable(NamedTuple):
    """Frequencies of S scales in the form the coder reads.

    Attributes:
      packed: uint32 [S, NUM_SLOTS]; cumulative start << 16 | frequency of magnitude m.
        For 0 < m < escape the frequency is that of one sign. Entries past the escape
        start at 2^PROBABILITY_BITS, above every slot, so that no search matches them.
      escape: int32 [S] in [1, NUM_SLOTS - 1]; first magnitude sent as raw bits.
    """

    packed: np.ndarray
    escape: np.ndarray


def _floor_root(value: int, degree: int) -> int:
    """Returns the largest integer whose `degree`-th power is at most `value`."""
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if middle**degree <= value:
            low = middle
        else:
            high = middle
    return low


@functools.cache
def _fixed_scales() -> tuple[int, ...]:
    """Returns floor(2^16 * 0.11 * 2^(8 i / 63)) for each scale index i."""
    last = NUM_SCALES - 1
    scales = []
    for i in range(NUM_SCALES):
        # (2^16 * 11/100)^63 * 2^(8 i), floored: the root of a floor is the floor.
        power = (11 << _SCALE_BITS) ** last * (1 << (8 * i)) // 100**last
        scales.append(_floor_root(power, last))
    return tuple(scales)


def _arctan_inverse(n: int) -> int:
    """Returns arctan(1 / n) in fixed point."""
    term = _ONE // n
    total, k, sign = 0, 1, 1
    while term:
        total += sign * (term // k)
        term //= n * n
        k, sign = k + 2, -sign
    return total


@functools.cache
def _two_over_root_pi() -> int:
    """Returns 2 / sqrt(pi) in fixed point, pi by Machin's formula."""
    pi = 4 * (4 * _arctan_inverse(5) - _arctan_inverse(239))
    return (2 * _ONE * _ONE) // math.isqrt(pi << _FIXED_BITS)


def _erf(square: int) -> int:
    """Computes erf(x) for x > 0 by its all-positive series.

    Args:
      square: x * x in fixed point.

    Returns:
      erf(x) = 2 / sqrt(pi) * exp(-x^2) * sum_n 2^n x^(2n+1) / (2n+1)!!, fixed point.
    """
    if square > _ERF_LIMIT * _ERF_LIMIT * _ONE:
        return _ONE
    term = math.isqrt(square << _FIXED_BITS)
    total, n = 0, 0
    while term:
        total += term
        n += 1
        term = (term * 2 * square // (2 * n + 1)) >> _FIXED_BITS
    power, exponential, n = _ONE, 0, 0
    while power:
        exponential += power
        n += 1
        power = (power * square // n) >> _FIXED_BITS
    return _two_over_root_pi() * total // exponential


def _tail(scale: int, magnitude: int) -> int:
    """Returns P(|r| >= magnitude) in fixed point, r = round(N(0, sigma^2)).

    Args:
      scale: sigma * 2^16.
      magnitude: at least 0.
    """
    if magnitude == 0:
        return _ONE
    # x = (magnitude - 1/2) / (sigma * sqrt(2)), squared exactly as a ratio.
    edge = ((2 * magnitude - 1) << _SCALE_BITS) ** 2
    return _ONE - _erf((edge << _FIXED_BITS) // (8 * scale * scale))


def _heavy_tail(scale: int, magnitude: int) -> int:
    """Returns what `_tail` does, of a mixture of the Gaussian and a power law.

    The share w of the power law, P(|r| >= m) = c / (m - 1/2 + c) with c = 1 + sigma,
    is TAIL_SHARE * min(1, sigma / TAIL_SIGMA)^4.
    """
    if magnitude == 0:
        return _ONE
    part, whole = _TAIL_SIGMA
    ratio = min(scale * whole, part << _SCALE_BITS) ** _TAIL_POWER
    share = _ONE * _TAIL_PERCENT * ratio // (100 * (part << _SCALE_BITS) ** _TAIL_POWER)
    width = (1 << _SCALE_BITS) + scale
    power = (_ONE * 2 * width) // (((2 * magnitude - 1) << _SCALE_BITS) + 2 * width)
    gaussian = _tail(scale, magnitude)
    return gaussian + ((share * (power - gaussian)) >> _FIXED_BITS)


def _rounded(probability: int, bits: int) -> int:
    """Returns round(2^bits * probability), halves upwards."""
    shift = _FIXED_BITS - bits
    return (probability + (1 << (shift - 1))) >> shift


def _row(scale: int, tail: Callable[[int, int], int]) -> list[int]:
    """Returns the frequencies of one scale: 0, 1 .. escape - 1 per sign, escape."""
    tails = [_ONE]
    while True:
        magnitude = len(tails)
        tails.append(tail(scale, magnitude))
        rare = _rounded(tails[-1], PROBABILITY_BITS - 1) <= 1
        if rare or magnitude == NUM_SLOTS - 1:
            break
    signed = [
        max(1, _rounded((tails[m] - tails[m + 1]) // 2, PROBABILITY_BITS))
        for m in range(1, len(tails) - 1)
    ]
    escape = max(1, _rounded(tails[-1], PROBABILITY_BITS))
    zero = (1 << PROBABILITY_BITS) - 2 * sum(signed) - escape
    return [zero, *signed, escape]


def pack_table(rows: list[list[int]]) -> ScaleTable:
    """Packs integer frequencies, Gaussian or learned, for the coder.

    Args:
      rows: for each scale the frequencies of magnitude 0, of the magnitudes 1, 2, ...
        (of one sign each) and of the escape; zero + 2 * signed + escape must be
        2^PROBABILITY_BITS, every frequency at least 1, 2 to NUM_SLOTS of them.

    Returns:
      The table, its arrays read-only.

    Raises:
      ValueError: a row breaks one of these rules.
    """
    whole = 1 << PROBABILITY_BITS
    packed = np.full((len(rows), NUM_SLOTS), whole << 16, np.uint32)
    escape = np.array([len(row) - 1 for row in rows], np.int32)
    for i, row in enumerate(rows):
        if not 2 <= len(row) <= NUM_SLOTS or min(row) < 1:
            raise ValueError(
                f"row {i} has {len(row)} frequencies, least {min(row, default=0)}: "
                f"give 2 to {NUM_SLOTS}, each at least 1"
            )
        start = 0
        for m, frequency in enumerate(row):
            packed[i, m] = start << 16 | frequency
            start += frequency if m in (0, len(row) - 1) else 2 * frequency
        if start != whole:
            raise ValueError(f"row {i} sums to {start}: rescale it to {whole}")
    packed.setflags(write=False)
    escape.setflags(write=False)
    return ScaleTable(packed, escape)


@functools.cache
def gaussian_table() -> ScaleTable:
    """Builds the zero-mean Gaussian rows of the NUM_SCALES scales, once per process."""
    return pack_table([_row(scale, _tail) for scale in _fixed_scales()])


@functools.cache
def coder_table() -> ScaleTable:
    """Builds the rows of all streams: Gaussian ones, then those with a heavy tail."""
    heavy = pack_table([_row(scale, _heavy_tail) for scale in _fixed_scales()])
    both = zip(gaussian_table(), heavy, strict=True)
    joined = ScaleTable(*map(np.concatenate, both))
    for array in joined:
        array.setflags(write=False)
    return joined


@functools.cache
def scale_values() -> np.ndarray:
    """Returns sigma of each scale index: float32 [NUM_SCALES], 0.11 to 28.16.

    A scale of 16 fractional bits and less than 24 bits is exact in float32.
    """
    values = np.array(_fixed_scales(), np.float32) / np.float32(1 << _SCALE_BITS)
    values.setflags(write=False)
    return values


@functools.lru_cache(maxsize=8)
def _ideal_bits(packed: bytes, escape: bytes) -> np.ndarray:
    entries = np.frombuffer(packed, np.uint32).reshape(-1, NUM_SLOTS)
    first = np.frombuffer(escape, np.int32)[:, None]
    slot = np.minimum(np.arange(NUM_SLOTS), first)
    frequency = np.take_along_axis(entries & 0xFFFF, slot, axis=1)
    bits = PROBABILITY_BITS - np.log2(frequency.astype(np.float64))
    bits = (bits + ESCAPE_BITS * (slot == first)).astype(np.float32)
    bits.setflags(write=False)
    return bits


def ideal_bits_table(table: ScaleTable | None = None) -> np.ndarray:
    """Computes the code length of every magnitude, its sign included.

    These lengths steer choices of the encoder (lane count, rate-distortion
    quantisation) and statistics, never the decoder, so floats are harmless here.

    Args:
      table: frequencies of S scales; None stands for `coder_table()`.

    Returns:
      float32 [S, NUM_SLOTS] in bits. Magnitudes from the escape on, larger ones than
      NUM_SLOTS - 1 included, cost the escape and ESCAPE_BITS raw bits.
    """
    table = coder_table() if table is None else table
    return _ideal_bits(table.packed.tobytes(), table.escape.tobytes())
