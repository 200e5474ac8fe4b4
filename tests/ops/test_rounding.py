"""Rounding half up, and what passes backwards through rounding and clipping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.ops.rounding import clip_ste, round_ste


def test_halves_are_rounded_up():
    x = jnp.array([-1.5, -0.5, 0.5, 1.5, 2.5, -0.49, 0.49])
    np.testing.assert_array_equal(round_ste(x), [-1, 0, 1, 2, 3, 0, 0])


def test_rounding_gives_whole_numbers_at_every_magnitude():
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_000) * 2.0 ** rng.integers(-10, 22, 100_000)
    x = x.astype(np.float32)
    found = np.asarray(jax.jit(round_ste)(x))
    # In float64 x + 1/2 is exact.
    np.testing.assert_allclose(
        found, np.floor(x.astype(np.float64) + 0.5), rtol=2**-23, atol=0
    )
    np.testing.assert_array_equal(found, np.floor(found))


def test_rounding_passes_the_gradient_of_the_identity():
    x = jnp.array([-2.3, 0.5, 7.9])
    weights = jnp.array([1.0, -2.0, 3.0])
    gradient = jax.grad(lambda x: (weights * round_ste(x)).sum())(x)
    np.testing.assert_array_equal(gradient, weights)


def test_clipping_gives_the_nearest_value_in_range():
    x = jnp.array([-9.0, -1.0, 0.2, 1.0, 9.0])
    np.testing.assert_allclose(clip_ste(x, -1.0, 1.0), [-1, -1, 0.2, 1, 1])


@pytest.mark.parametrize("cotangent", [1.0, -1.0])
def test_clipping_blocks_only_the_gradient_that_leads_further_out(cotangent):
    x = jnp.array([-3.0, 0.0, 3.0])
    gradient = jax.grad(lambda x: (cotangent * clip_ste(x, -1.0, 1.0)).sum())(x)
    # Descent moves against the gradient: a positive one below the range leads out.
    expected = [0, 1, 1] if cotangent > 0 else [-1, -1, 0]
    np.testing.assert_array_equal(gradient, expected)
