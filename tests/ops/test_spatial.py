"""Rearranging and resampling the grid, against plain NumPy and jax.image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.ops.spatial import (
    ceil_to,
    depth_to_space,
    mean_pool,
    pixel_shuffle,
    pixel_unshuffle,
    repeat,
    resize_bilinear,
    space_to_depth,
)


def _image(*shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize("block", [1, 2, 4])
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_depth_to_space_inverts_space_to_depth(block, lead):
    x = _image(*lead, 8, 12, 3)
    deep = space_to_depth(jnp.asarray(x), block)
    assert deep.shape == (*lead, 8 // block, 12 // block, 3 * block**2)
    np.testing.assert_array_equal(depth_to_space(deep, block), x)


def test_cell_samples_stand_in_row_column_channel_order():
    x = _image(4, 6, 5)
    deep = np.asarray(space_to_depth(jnp.asarray(x), 2)).reshape(2, 3, 2, 2, 5)
    for row, column in np.ndindex(4, 6):
        found = deep[row // 2, column // 2, row % 2, column % 2]
        np.testing.assert_array_equal(found, x[row, column])


@pytest.mark.parametrize("lead", [(), (2, 3)])
def test_pixel_shuffle_inverts_pixel_unshuffle(lead):
    x = _image(*lead, 8, 12, 3)
    np.testing.assert_array_equal(pixel_shuffle(pixel_unshuffle(x, 4), 4), x)


def test_pixel_unshuffle_keeps_each_channel_together():
    x = _image(4, 6, 5)
    deep = np.asarray(pixel_unshuffle(jnp.asarray(x), 2)).reshape(2, 3, 5, 2, 2)
    for row, column in np.ndindex(4, 6):
        found = deep[row // 2, column // 2, :, row % 2, column % 2]
        np.testing.assert_array_equal(found, x[row, column])


def test_repeat_copies_each_sample_into_a_square():
    x = _image(2, 3, 4, 1)
    expected = np.kron(x, np.ones((1, 3, 3, 1), np.float32))
    np.testing.assert_array_equal(repeat(jnp.asarray(x), 3), expected)


def test_mean_pool_averages_cells_and_undoes_repeat():
    x = _image(2, 4, 6, 3)
    pooled = np.asarray(mean_pool(jnp.asarray(x), 2))
    np.testing.assert_allclose(pooled[1, 1, 2], x[1, 2:4, 4:6].mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(mean_pool(repeat(jnp.asarray(x), 4), 4), x, rtol=1e-6)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("size", [(5, 7), (1, 3)])
def test_bilinear_enlargement_agrees_with_jax_image(factor, size):
    x = jnp.asarray(_image(2, *size, 3))
    shape = (2, size[0] * factor, size[1] * factor, 3)
    expected = jax.image.resize(x, shape, "linear")
    np.testing.assert_allclose(resize_bilinear(x, factor), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "multiple", "expected"), [(1, 32, 32), (32, 32, 32), (33, 32, 64)]
)
def test_ceil_to_gives_the_least_multiple_that_fits(size, multiple, expected):
    assert ceil_to(size, multiple) == expected
