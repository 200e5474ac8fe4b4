"""The frequency tables: exact, complete, close to the Gaussian, the same everywhere."""

import hashlib

import numpy as np
import pytest
from scipy import stats

from jaxnvc.entropy import tables

WHOLE = 1 << tables.PROBABILITY_BITS
# Computed by this construction; changes only with a new major bitstream version.
TABLE_SHA256 = "d5a3618e5c88ddc1863ef0fb7c2db87f61d99ee58865b213180120ed9ddb542c"
TAILED_SHA256 = "5afd0d983b09c09c2afdc67d4705dbb028bd4402fac3c69268a8516dffce8c55"


def _rows(table=None):
    table = table or tables.gaussian_table()
    for row, escape in zip(table.packed, table.escape, strict=True):
        yield (row >> 16).astype(int), (row & 0xFFFF).astype(int), int(escape)


def test_the_table_bytes_are_pinned():
    table = tables.coder_table()
    assert table.packed.dtype == np.uint32
    assert table.escape.dtype == np.int32
    for half, digest in ((slice(64), TABLE_SHA256), (slice(64, 128), TAILED_SHA256)):
        packed, escape = table.packed[half], table.escape[half]
        content = packed.astype("<u4").tobytes() + escape.astype("<i4").tobytes()
        assert hashlib.sha256(content).hexdigest() == digest


def test_intervals_tile_the_slots_and_unused_entries_match_none():
    for start, frequency, escape in _rows(tables.coder_table()):
        width = frequency.copy()
        width[1:escape] *= 2
        assert start[0] == 0
        assert np.all(frequency[: escape + 1] >= 1)
        np.testing.assert_array_equal(start[1 : escape + 1], np.cumsum(width)[:escape])
        assert start[escape] + width[escape] == WHOLE
        assert np.all(start[escape + 1 :] == WHOLE)


def test_only_the_escape_ends_at_the_last_slot():
    # The decoder tells an escape by this.
    for start, frequency, escape in _rows(tables.coder_table()):
        ends = start + frequency
        assert list(np.flatnonzero(ends[: escape + 1] == WHOLE)) == [escape]


def test_frequencies_are_those_of_the_rounded_gaussian():
    sigmas = tables.scale_values().astype(float)
    for (_, frequency, escape), sigma in zip(_rows(), sigmas, strict=True):
        m = np.arange(1, escape)
        p = stats.norm.sf((m - 0.5) / sigma) - stats.norm.sf((m + 0.5) / sigma)
        expected = np.maximum(np.round(p * WHOLE), 1)
        np.testing.assert_array_equal(frequency[1:escape], expected)
        tail = 2 * stats.norm.sf((escape - 0.5) / sigma)
        assert frequency[escape] == max(1, round(tail * WHOLE))


def test_tailed_frequencies_are_those_of_the_mixture():
    """A Gaussian, and in its place at a small share P(|r| >= m) = c / (m - 1/2 + c)."""
    rows = list(_rows(tables.coder_table()))[64:]
    for (_, frequency, escape), sigma in zip(rows, tables.scale_values(), strict=True):
        edge, sigma = np.arange(1, escape + 1) - 0.5, float(sigma)
        share = 0.06 * min(1, sigma / 0.45) ** 4
        tail = (1 - share) * 2 * stats.norm.sf(edge / sigma)
        tail = tail + share * (1 + sigma) / (edge + 1 + sigma)
        expected = np.maximum(np.round(WHOLE * (tail[:-1] - tail[1:]) / 2), 1)
        np.testing.assert_array_equal(frequency[1:escape], expected)
        assert frequency[escape] == max(1, round(WHOLE * tail[-1]))


def test_rare_symbols_cost_half_under_the_heavy_tail_and_common_ones_hardly_more():
    plain, tailed = np.split(tables.ideal_bits_table().astype(float), 2)
    for i in range(16, 44):
        sigma = tables.scale_values()[i]
        far = min(int(np.ceil(6 * sigma)) + 1, 62)
        assert tailed[i, far] < 0.5 * plain[i, far]
        near = np.arange(int(2 * sigma) + 1)
        assert np.all(tailed[i, near] < plain[i, near] + 0.15)


def test_the_escape_is_the_first_magnitude_too_rare_for_a_slot():
    sigmas = tables.scale_values().astype(float)
    escapes = tables.gaussian_table().escape
    for sigma, escape in zip(sigmas, escapes, strict=True):
        m = np.arange(1, tables.NUM_SLOTS)
        rare = np.round(WHOLE * stats.norm.sf((m - 0.5) / sigma)) <= 1
        first = int(m[rare][0]) if rare.any() else tables.NUM_SLOTS - 1
        assert escape == first


def test_scales_are_geometric_from_0_11_over_8_octaves():
    expected = 0.11 * 2.0 ** (8 * np.arange(64) / 63)
    scales = tables.scale_values()
    assert scales.dtype == np.float32
    np.testing.assert_allclose(scales, expected, atol=2.0**-16)
    assert np.all(scales <= expected)
    assert np.all(np.diff(scales) > 0)


def test_ideal_bits_are_a_complete_code():
    bits = tables.ideal_bits_table().astype(float)
    rows = _rows(tables.coder_table())
    for (_, frequency, escape), row in zip(rows, bits, strict=True):
        np.testing.assert_allclose(row[:escape], 14 - np.log2(frequency[:escape]), 1e-6)
        total = 2.0 ** -row[0] + 2 * np.sum(2.0 ** -row[1:escape])
        total += 2.0 ** (16 - row[escape])
        assert total == pytest.approx(1, abs=1e-6)
        assert np.all(row[escape:] == row[escape])


def test_the_tables_cost_little_over_the_entropy():
    # 0.2 % where a symbol costs 0.1 bit or more and escapes are rare (sigma < 16).
    sigmas = tables.scale_values().astype(float)
    bits = tables.ideal_bits_table().astype(float)
    m = np.arange(400)
    for i in range(8, 57):
        p = stats.norm.cdf((m + 0.5) / sigmas[i]) - stats.norm.cdf(
            (m - 0.5) / sigmas[i]
        )
        counted = np.where(m == 0, 1, 2) * p
        entropy = -np.sum(counted * np.log2(np.maximum(p, 1e-300)))
        assert np.sum(counted * bits[i][np.minimum(m, 63)]) < 1.002 * entropy


def test_learned_rows_are_packed_and_wrong_ones_refused():
    table = tables.pack_table([[16000, 100, 90, 4], [16383, 1]])
    assert list(table.escape) == [3, 1]
    assert list(table.packed[0, :5] >> 16) == [0, 16000, 16200, 16380, WHOLE]
    with pytest.raises(ValueError, match="sums to"):
        tables.pack_table([[16000, 100, 4]])
    with pytest.raises(ValueError, match="at least 1"):
        tables.pack_table([[WHOLE, 0]])


def test_tables_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        tables.coder_table().packed[0, 0] = 0
