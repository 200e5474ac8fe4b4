"""The kernel decodes what the XLA loop decodes, and lowers for a GPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.entropy import rans, rans_kernel, rans_rows, tables

LANES = 16
SYMBOLS = 150


@pytest.fixture(scope="module")
def rows():
    """Arguments of `pop_rows` for a payload with skips, escapes and blank rows."""
    rng = np.random.default_rng(0)
    index = rng.integers(0, 64, SYMBOLS).astype(np.int32)
    sigma = tables.scale_values()[index]
    symbols = np.rint(rng.normal(0, 2 * sigma)).astype(np.int32)
    symbols[::17] = 900
    active = rng.random(SYMBOLS) < 0.7
    packet = jax.jit(lambda *s: rans.encode([s], (LANES,)))(symbols, index, active)
    decoder = rans.start(packet.words, packet.num_words, LANES)
    rank, count = rans_rows.count_before(jnp.asarray(active))
    depth = rans_rows.num_rows(SYMBOLS, LANES)
    base = jnp.asarray(index) * tables.NUM_SLOTS
    bases = rans_rows.place_rows(base, active, rank, LANES, depth, -1)
    used = rans_rows.num_rows(count, LANES)
    assert used < depth
    packed = jnp.asarray(tables.gaussian_table().packed).reshape(-1)
    return decoder.state, decoder.read, packet.words, bases, used, packed


def assert_same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def kernel():
    return jax.jit(lambda *args: rans_kernel.pop_rows(*args, interpret=True))


def test_the_kernel_equals_the_loop_bit_for_bit(rows, kernel):
    expected = jax.jit(rans_rows.pop_rows)(*rows)
    assert np.count_nonzero(expected[2] == rans_rows.ESCAPED) > 3
    assert np.all(expected[0] == rans_rows.LOW)
    assert_same(kernel(*rows), expected)


def test_the_kernel_stays_within_a_damaged_payload(rows, kernel):
    state, _, words, *rest = rows
    noise = np.random.default_rng(1).integers(0, 1 << 16, words.shape, np.uint16)
    near_the_end = jnp.int32(len(words) - 3)
    damaged = (state ^ 0x5A5A, near_the_end, jnp.asarray(noise), *rest)
    assert_same(kernel(*damaged), jax.jit(rans_rows.pop_rows)(*damaged))


def lowered_for_cuda(function, *args) -> str:
    """Lowers for a GPU that need not be there."""
    device = jax.sharding.AbstractDevice("NVIDIA H100", None, "gpu")
    mesh = jax.sharding.AbstractMesh((1,), ("x",), abstract_device=device)
    with jax.sharding.use_abstract_mesh(mesh):
        traced = jax.jit(function).trace(*args)
        return traced.lower(lowering_platforms=("cuda",)).as_text()


def chosen(*args):
    # A new function each time: the switch is read when a program is traced.
    return lowered_for_cuda(lambda *a: rans_kernel.chosen_pop_rows(*a), *args)


def test_a_gpu_gets_the_kernel_only_where_it_is_asked_for(rows, monkeypatch):
    monkeypatch.delenv("JAXNVC_RANS", raising=False)
    assert "rans_pop_rows" not in chosen(*rows)
    monkeypatch.setenv("JAXNVC_RANS", "pallas")
    assert "rans_pop_rows" in chosen(*rows)


@pytest.mark.parametrize("lanes", rans.LANE_CHOICES)
def test_the_kernel_lowers_for_every_choice_of_lanes(rows, lanes):
    _, read, words, _, used, packed = rows
    state = jnp.full(lanes, rans_rows.LOW, jnp.uint32)
    bases = jnp.zeros((4, lanes), jnp.int32)
    args = (state, read, words, bases, used, packed)
    assert "rans_pop_rows" in lowered_for_cuda(rans_kernel.pop_rows, *args)
