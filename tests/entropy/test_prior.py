"""The encoder's choice of symbols: what an error costs against what a symbol costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.entropy.prior import Prior, Residual, code_bits
from jaxnvc.entropy.tables import ideal_bits_table

VALUE = jnp.asarray(np.random.default_rng(0).normal(0, 3, 400), jnp.float32)
INDEX = jnp.asarray(np.random.default_rng(1).integers(0, 64, 400), jnp.float32)


def _prior(**changes) -> Prior:
    return Prior(index=INDEX, skip=jnp.int32(0)).replace(**changes)


def test_without_a_weight_symbols_are_the_nearest():
    symbols = _prior().quantise(Residual(VALUE))
    np.testing.assert_array_equal(symbols, np.floor(VALUE + 0.5))


def test_where_an_error_costs_nothing_nothing_is_sent():
    assert not _prior().quantise(Residual(VALUE, jnp.float32(0))).any()


def test_where_an_error_is_dear_symbols_are_the_nearest():
    symbols = _prior().quantise(Residual(VALUE, jnp.float32(1e6)))
    np.testing.assert_array_equal(symbols, np.floor(VALUE + 0.5))


@pytest.mark.parametrize("tailed", [False, True])
@pytest.mark.parametrize("weight", [0.5, 4.0, 30.0])
def test_the_choice_is_never_dearer_than_the_nearest_or_zero(weight, tailed):
    def cost(symbols):
        return weight * (VALUE - symbols) ** 2 + code_bits(
            symbols, INDEX, tailed=tailed
        )

    chosen = _prior(tailed=tailed).quantise(Residual(VALUE, jnp.float32(weight)))
    for other in (jnp.floor(VALUE + 0.5), jnp.zeros_like(VALUE)):
        assert (cost(chosen) <= cost(other) + 1e-4).all()


@pytest.mark.parametrize("tailed", [False, True])
def test_estimated_bits_are_those_of_the_coder(tailed):
    prior = _prior(tailed=tailed)
    symbols = prior.quantise(Residual(3 * VALUE))
    row, _ = prior.table()
    table = ideal_bits_table()[row, np.minimum(np.abs(symbols), 63).astype(int)]
    bits = prior.bits(symbols)
    np.testing.assert_allclose(bits.sum(), table.sum(), rtol=0.01)
    # Fourteen bits tell rare frequencies by whole numbers.
    common = table < 11
    np.testing.assert_allclose(bits[common], table[common], atol=0.1)


def test_skipped_symbols_are_zero():
    symbols = _prior(skip=jnp.int32(40)).quantise(Residual(VALUE))
    assert not symbols[INDEX < 40].any()
    assert symbols[INDEX >= 40].any()


@pytest.mark.parametrize("straight", [False, True])
def test_gradients_pass_where_a_symbol_moves(straight):
    prior = _prior(straight=straight)
    gradient = jax.grad(lambda v: prior.quantise(Residual(v)).sum())(VALUE)
    moves = np.full(400, True) if straight else np.floor(VALUE + 0.5) != 0
    np.testing.assert_array_equal(gradient, moves.astype(np.float32))


def test_a_silent_latent_is_told_what_speaking_would_cost():
    """Rounded to zero, a value passed straight through still knows its rate's slope."""
    value = jnp.array([0.4, -0.4, 0.0, 1.3])
    prior = Prior(index=jnp.full(4, 20.0), skip=jnp.int32(0), straight=True)

    def bits(value):
        symbols = prior.quantise(Residual(value))
        return prior.bits(symbols, value).sum()

    slope = jax.grad(bits)(value)
    np.testing.assert_array_equal(jnp.sign(slope), [1, -1, 0, 1])
    symbols = jnp.floor(value + 0.5)
    np.testing.assert_array_equal(bits(value), code_bits(symbols, prior.index).sum())
