"""Both forms of the depthwise convolution against a slow NumPy one."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.ops import depthwise as forms

# The form of accelerators is private: users reach it by `depthwise` there.
FORMS = {
    "shifted": forms.depthwise_shifted,
    "exact": forms.depthwise_exact,
    "grouped": forms._depthwise_grouped,
    "chosen": forms.depthwise,
}


def _oracle(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    size, margin = kernel.shape[0], kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    out = np.zeros_like(x)
    for b, row, column, c in np.ndindex(x.shape):
        window = padded[b, row : row + size, column : column + size, c]
        out[b, row, column, c] = (window * kernel[..., c]).sum()
    return out


def _inputs(size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, 5, 7, 3)), rng.normal(size=(size, size, 3))


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_agrees_with_numpy(form, size):
    x, kernel = _inputs(size)
    found = FORMS[form](jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32))
    np.testing.assert_allclose(found, _oracle(x, kernel), atol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("form", ["exact", "grouped", "chosen"])
def test_gradients_are_those_of_autodiff_through_the_shifted_form(form, size):
    inputs = [jnp.asarray(a, jnp.float32) for a in _inputs(size, seed=1)]
    cotangent = jnp.asarray(_inputs(size, seed=2)[0], jnp.float32)

    def gradients(function):
        return jax.vjp(function, *inputs)[1](cotangent)

    chex.assert_trees_all_close(
        gradients(FORMS[form]), gradients(forms.depthwise_shifted), atol=1e-5
    )


def test_whole_numbers_below_two_to_the_24_are_convolved_exactly():
    rng = np.random.default_rng(4)
    x = rng.integers(0, 128, (2, 9, 11, 8))
    # 9 * 127 * 14000 is 0.95 * 2**24: as large as exactness allows.
    kernel = rng.integers(-14000, 14001, (3, 3, 8))
    found = jax.jit(forms.depthwise_exact)(
        jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32)
    )
    np.testing.assert_array_equal(
        np.asarray(found).astype(np.int64), _oracle(x, kernel)
    )
