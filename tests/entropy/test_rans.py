"""The rANS coder against a scalar oracle, at its edges and with damaged payloads."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxnvc.entropy import rans, tables
from jaxnvc.errors import BitstreamError
from tests.oracles import rans_numpy

TABLE = tables.gaussian_table()
LANES = (1, 16, 64, 256)
# One size here, others as stages below: each shape is compiled per lane count.
SIZE = 300
PROPERTY = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@functools.cache
def _encoder(sizes, lanes):
    def encode(stages):
        encoder = rans.init(lanes, rans.capacity(sum(sizes), lanes))
        for stage in reversed(stages):
            encoder = rans.push(encoder, *stage)
        return rans.flush(encoder)

    return jax.jit(encode)


@functools.cache
def _decoder(sizes, lanes):
    del sizes

    def decode(words, num_words, stages):
        decoder = rans.start(words, num_words, lanes)
        decoded = []
        for index, active in stages:
            decoder, symbols = rans.pop(decoder, index, active)
            decoded.append(symbols)
        return rans.finish(decoder), decoded

    return jax.jit(decode)


def _sizes(stages):
    return tuple(len(stage[0]) for stage in stages)


def _encode(stages, lanes):
    words, num_words = _encoder(_sizes(stages), lanes)(stages)
    return np.asarray(words), int(num_words)


def _decode(words, num_words, stages, lanes):
    known = [stage[1:] for stage in stages]
    ok, decoded = _decoder(_sizes(stages), lanes)(words, num_words, known)
    return bool(ok), [np.asarray(symbols) for symbols in decoded]


def _stage(rng, n, scales=(0, 64), active=0.7, wild=0.0):
    """Draws symbols of their scales, a share `wild` of them of any int16 value."""
    index = rng.integers(*scales, n)
    symbols = np.round(rng.normal(0, tables.scale_values()[index]))
    anything = rng.integers(rans.MIN_SYMBOL, rans.MAX_SYMBOL + 1, n)
    symbols = np.where(rng.random(n) < wild, anything, symbols)
    return symbols.astype(np.int32), index.astype(np.int32), rng.random(n) < active


def _assert_codes_like_the_oracle(stages, lanes):
    words, num_words = _encode(stages, lanes)
    expected = rans_numpy.encode(stages, lanes, TABLE)
    assert words[:num_words].tolist() == expected
    assert not words[num_words:].any()
    known = [stage[1:] for stage in stages]
    oracle, oracle_ok = rans_numpy.decode(expected, lanes, known, TABLE)
    ok, decoded = _decode(words, num_words, stages, lanes)
    assert ok
    assert oracle_ok
    for (symbols, _, active), got, slow in zip(stages, decoded, oracle, strict=True):
        np.testing.assert_array_equal(got, np.where(active, symbols, 0))
        np.testing.assert_array_equal(got, slow)


@pytest.mark.parametrize("lanes", LANES)
@PROPERTY
@given(data=st.data())
def test_payloads_equal_the_oracle_and_decode(lanes, data):
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low = draw(st.integers(0, 63))
    stage = _stage(
        rng,
        SIZE,
        (low, draw(st.integers(low + 1, 64))),
        draw(st.sampled_from([0.0, 0.02, 0.5, 1.0])),
        draw(st.sampled_from([0.0, 0.1, 1.0])),
    )
    _assert_codes_like_the_oracle([stage], lanes)


@pytest.mark.parametrize("lanes", LANES)
@PROPERTY
@given(seed=st.integers(0, 2**32 - 1), active=st.sampled_from([0.0, 0.3, 1.0]))
def test_stages_carry_their_states(lanes, seed, active):
    rng = np.random.default_rng(seed)
    stages = [_stage(rng, n, active=active, wild=0.05) for n in (37, 0, 300, 1)]
    _assert_codes_like_the_oracle(stages, lanes)


@pytest.mark.parametrize("symbol", [-32768, -64, -1, 0, 1, 63, 64, 32767])
def test_every_kind_of_symbol_survives_at_every_scale(symbol):
    index = np.arange(64, dtype=np.int32).repeat(5)[:300]
    stage = np.full(300, symbol, np.int32), index, np.ones(300, bool)
    _assert_codes_like_the_oracle([stage], 16)


def test_values_beyond_int16_are_clipped_and_indices_kept_in_the_table():
    wide = np.array([-(2**31), -32769, 32768, 2**31 - 1] * 9 + [0], np.int32)
    index = np.array([-5, 0, 63, 1000] * 9 + [7], np.int32)
    active = np.ones(37, bool)
    words, num_words = _encode([(wide, index, active)], 16)
    ok, [decoded] = _decode(words, num_words, [(wide, index, active)], 16)
    assert ok
    np.testing.assert_array_equal(decoded, np.clip(wide, -32768, 32767))


def test_skipped_and_absent_symbols_cost_only_the_states():
    for n in (0, 1, 300):
        stage = np.ones(n, np.int32), np.zeros(n, np.int32), np.zeros(n, bool)
        assert _encode([stage], 16)[1] == 32


def test_blocks_of_rows_join():
    # More rows than one compaction block of 2^14 emissions, on one lane and several.
    rng = np.random.default_rng(5)
    stage = _stage(rng, 40_000, (20, 40), 1.0, 1e-3)
    for lanes in (1, 64):
        _assert_codes_like_the_oracle([stage], lanes)


@pytest.mark.parametrize(
    ("bits", "scales"), [(8e3, 12), (4e4, 30), (8.6e4, 30), (1.6e5, 30)]
)
def test_size_is_within_half_a_percent_of_ideal(bits, scales):
    rng = np.random.default_rng(int(bits))
    stage = _stage(rng, 60_000, (scales - 4, scales + 4), 1.0)
    lengths = tables.ideal_bits_table()[stage[1], np.minimum(np.abs(stage[0]), 63)]
    stage[2][np.cumsum(lengths) > bits] = False
    ideal = lengths[stage[2]].sum()
    packet = _encode_unit()([stage])
    # 16 bits of each lane's start state, 8 +- 8 of its last, 0.02% of coding loss.
    assert int(packet.lanes) == rans.LANE_CHOICES[int(rans.lanes_for(ideal, 0.0045))]
    assert 16 * int(packet.num_words) <= 1.005 * ideal


@functools.cache
def _encode_unit():
    return jax.jit(rans.encode)


@pytest.mark.parametrize("scales", [(0, 8), (40, 64), (62, 64)])
def test_a_unit_equals_its_stages_pushed_in_reverse(scales):
    rng = np.random.default_rng(7)
    stages = [_stage(rng, n, scales, 0.6, 0.01) for n in (500, 12_000, 1, 12_000)]
    packet = _encode_unit()(stages)
    lanes, count = int(packet.lanes), int(packet.num_words)
    words, num_words = _encode(stages, lanes)
    assert count == num_words
    np.testing.assert_array_equal(packet.words[:count], words[:num_words])
    ok, decoded = _decode(words, num_words, stages, lanes)
    assert ok
    for stage, got in zip(stages, decoded, strict=True):
        np.testing.assert_array_equal(got, np.where(stage[2], stage[0], 0))


def test_lanes_follow_the_law():
    # N = 2^floor(log2(0.005 B / 24)): 16 lanes from 76 800 bits on.
    bits = jnp.array([0, 5e3, 76_799, 76_801, 307_199, 307_201, 1.3e6, 1e8])
    chosen = jax.jit(jax.vmap(rans.lanes_for))(bits)
    assert [rans.LANE_CHOICES[i] for i in chosen] == [1, 1, 1, 16, 16, 64, 256, 256]


def test_a_custom_table_codes():
    table = tables.pack_table([[16000, 100, 90, 4], [10000, 3000, 384]])
    rng = np.random.default_rng(3)
    symbols, index, active = _stage(rng, 37, (0, 2), 0.8, 0.1)

    @jax.jit
    def code(symbols):
        encoder = rans.init(16, rans.capacity(37, 16))
        encoder = rans.push(encoder, symbols, index, active, table)
        words, num_words = rans.flush(encoder)
        decoder = rans.start(words, num_words, 16)
        decoder, decoded = rans.pop(decoder, index, active, table)
        return words, num_words, decoded, rans.finish(decoder)

    words, num_words, got, ok = code(symbols)
    expected = rans_numpy.encode([(symbols, index, active)], 16, table)
    assert words[:num_words].tolist() == expected
    assert ok
    np.testing.assert_array_equal(got, np.where(active, symbols, 0))


def test_a_payload_that_does_not_fit_says_so():
    stage = _stage(np.random.default_rng(1), 300, (60, 64), 1.0, 0.1)
    _, needed = _encode([stage], 16)
    for size in (32, needed - 1, needed):
        encode = jax.jit(lambda s, size=size: rans.push(rans.init(16, size), *s))
        words, num_words = jax.jit(rans.flush)(encode(stage))
        assert len(words) == size
        assert int(num_words) == needed
    np.testing.assert_array_equal(words, _encode([stage], 16)[0][:needed])


def test_vmap_and_map_equal_a_loop():
    rng = np.random.default_rng(11)
    batch = [_stage(rng, 300, active=share) for share in (0.0, 0.1, 1.0)]
    stacked = [np.stack(parts) for parts in zip(*batch, strict=True)]

    def code(stage):
        encoder = rans.init(16, rans.capacity(300, 16))
        words, num_words = rans.flush(rans.push(encoder, *stage))
        decoder = rans.start(words, num_words, 16)
        decoder, symbols = rans.pop(decoder, *stage[1:])
        return words, num_words, symbols, rans.finish(decoder)

    mapped = jax.jit(lambda x: jax.lax.map(code, x))(tuple(stacked))
    for together in (jax.jit(jax.vmap(code))(tuple(stacked)), mapped):
        for i, stage in enumerate(batch):
            words, num_words = _encode([stage], 16)
            np.testing.assert_array_equal(together[0][i], words)
            assert together[1][i] == num_words
            np.testing.assert_array_equal(together[2][i], stage[0] * stage[2])
            assert together[3][i]


def test_nested_vmap_keeps_every_element():
    rng = np.random.default_rng(12)
    batch = [_stage(rng, 37, active=share) for share in (0.0, 0.1, 0.9, 1.0)]
    stacked = [np.stack(x).reshape(2, 2, 37) for x in zip(*batch, strict=True)]

    def code(*stage):
        encoder = rans.init(16, rans.capacity(37, 16))
        return rans.flush(rans.push(encoder, *stage))

    words, _ = jax.jit(jax.vmap(jax.vmap(code)))(*stacked)
    for got, stage in zip(words.reshape(4, -1), batch, strict=True):
        np.testing.assert_array_equal(got, _encode([stage], 16)[0])


def _noticed(words, num_words, stage, lanes):
    """Tells whether damage shows, by the coder's end or by the symbols' checksum."""
    ok, [got] = _decode(words, num_words, [stage], lanes)
    assert np.all((got >= rans.MIN_SYMBOL) & (got <= rans.MAX_SYMBOL))
    symbols, index, active = stage
    right = rans.checksum(jnp.asarray(symbols * active), index, active)
    return not ok or rans.checksum(jnp.asarray(got), index, active) != right


@pytest.mark.parametrize("lanes", LANES)
def test_every_truncation_is_noticed(lanes):
    stage = _stage(np.random.default_rng(2), 300, (20, 50), 1.0, 0.02)
    words, num_words = _encode([stage], lanes)
    for kept in range(num_words):
        cut = np.where(np.arange(len(words)) < kept, words, 0).astype(np.uint16)
        assert not _decode(cut, kept, [stage], lanes)[0]
        assert _noticed(cut, num_words, stage, lanes) or np.array_equal(cut, words)
    assert not _decode(words, num_words + 1, [stage], lanes)[0]
    for length in (-1, -(2**31), 2**31 - 1, len(words) + 1):
        assert not _decode(words, length, [stage], lanes)[0]


@pytest.mark.parametrize("lanes", LANES)
def test_flipped_bits_are_noticed(lanes):
    rng = np.random.default_rng(4)
    stage = _stage(rng, 300, (20, 50), 1.0, 0.02)
    words, num_words = _encode([stage], lanes)
    for _ in range(200):
        damaged = words.copy()
        damaged[rng.integers(num_words)] ^= np.uint16(1 << rng.integers(16))
        assert _noticed(damaged, num_words, stage, lanes)


def test_noise_decodes_to_symbols_in_range():
    rng = np.random.default_rng(6)
    stage = _stage(rng, 300)
    for _ in range(50):
        words = rng.integers(0, 1 << 16, 632).astype(np.uint16)
        assert _noticed(words, int(rng.integers(0, 700)), stage, 16)


def test_a_wrong_scale_index_is_noticed():
    symbols, index, active = _stage(np.random.default_rng(8), 300, (20, 40), 1.0)
    words, num_words = _encode([(symbols, index, active)], 1)
    for p in range(0, 300, 10):
        other = index.copy()
        other[p] += 1
        assert not _decode(words, num_words, [(symbols, other, active)], 1)[0]


def test_the_checksum_sees_values_places_scales_and_only_active_symbols():
    symbols, index, active = map(np.array, _stage(np.random.default_rng(9), 300))
    right = int(rans.checksum(symbols, index, active))
    idle = np.where(active, symbols, 99)
    assert int(rans.checksum(idle, index, active)) == right
    assert int(jax.jit(rans.checksum)(symbols, index, active)) == right
    everywhere = np.ones(300, bool)
    seen = {
        int(rans.checksum(np.roll(symbols, k), index, everywhere)) for k in range(300)
    }
    seen |= {int(rans.checksum(symbols, index + k, everywhere)) for k in range(1, 50)}
    seen |= {int(rans.checksum(symbols + k, index, everywhere)) for k in range(1, 50)}
    assert len(seen) == 398


def test_the_checksum_is_the_documented_one():
    symbols, index, active = _stage(np.random.default_rng(10), 300)
    total = 0
    for p in np.flatnonzero(active):
        term = (int(p) * 0x9E3779B1 + 0x7F4A7C15) % 2**32
        for value in (int(symbols[p]), int(index[p])):
            term = (term ^ (value % 2**32)) * 0x85EBCA6B % 2**32
            term = (term ^ (term >> 15)) * 0xC2B2AE35 % 2**32
            term ^= term >> 13
        total = (total + term) % 2**32
    assert int(rans.checksum(symbols, index, active)) == total


def test_bytes_are_little_endian_and_come_back():
    payload = rans.to_bytes(np.array([0x1234, 0xABCD, 7], np.uint16), 2)
    assert payload == bytes([0x34, 0x12, 0xCD, 0xAB])
    words, num_words = rans.from_bytes(payload, 5)
    assert num_words == 2
    assert words.tolist() == [0x1234, 0xABCD, 0, 0, 0]


@pytest.mark.parametrize("payload", [b"\0", b"\0" * 7, b"\0" * 12])
def test_impossible_payload_lengths_are_refused(payload):
    with pytest.raises(BitstreamError, match=f"{len(payload)} bytes"):
        rans.from_bytes(payload, 5)
