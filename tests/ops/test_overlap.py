"""Overlapped block compensation, against shifts and a sum of four whole warps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.ops.overlap import compensate_overlapped
from jaxnvc.ops.spatial import resize_bilinear
from jaxnvc.ops.warp import warp_bicubic

SHAPE = (2, 24, 40, 3)
compensate = jax.jit(compensate_overlapped)


def _image(seed=0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random(SHAPE), jnp.float32)


def _constant(x, y, cell=8) -> jax.Array:
    grid = (SHAPE[0], SHAPE[1] // cell, SHAPE[2] // cell, 2)
    return jnp.broadcast_to(jnp.array([x, y], jnp.float32), grid)


@pytest.mark.parametrize("cell", [4, 8])
def test_no_motion_is_the_identity(cell):
    found = compensate(_image(), _constant(0, 0, cell))
    np.testing.assert_allclose(found, _image(), atol=2e-6)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-4, 5)])
def test_a_whole_displacement_is_a_shift_inside_the_border(dx, dy):
    found = compensate(_image(), _constant(dx, dy))
    shifted = jnp.roll(_image(), (-dy, -dx), (1, 2))
    inside = (slice(None), slice(5, -5), slice(5, -5))
    np.testing.assert_allclose(found[inside], shifted[inside], atol=2e-6)


@pytest.mark.parametrize("far", [30.25, 1000.0, -77.5])
def test_outside_of_the_reference_are_the_samples_of_its_border(far):
    found = compensate(_image(), _constant(far + np.sign(far) * SHAPE[2], 0))
    column = _image()[:, :, -1:] if far > 0 else _image()[:, :, :1]
    np.testing.assert_allclose(found, jnp.broadcast_to(column, SHAPE), atol=2e-6)


def test_fractions_are_sampled_smoothly():
    columns = jnp.arange(SHAPE[2], dtype=jnp.float32)
    wave = jnp.sin(0.5 * columns)[None, None, :, None]
    found = compensate(jnp.broadcast_to(wave, SHAPE), _constant(0.3, 0.0))
    expected = jnp.sin(0.5 * (columns + 0.3))
    inside = slice(12, -12)
    error = found[0, 0, inside, 0] - expected[inside]
    assert jnp.abs(error).max() < 0.01


def test_a_sample_blends_the_predictions_of_the_four_cells_around_it():
    random = np.random.default_rng(1)
    flow = jnp.asarray(random.integers(-3, 4, (*_constant(0, 0).shape,)), jnp.float32)
    expected = 0.0
    for row in range(flow.shape[1]):
        for column in range(flow.shape[2]):
            here = jnp.zeros((1, *flow.shape[1:3], 1)).at[:, row, column].set(1.0)
            weight = resize_bilinear(here, 8)
            vector = flow[:, row, column][:, None, None]
            moved = warp_bicubic(_image(), jnp.broadcast_to(vector, (*SHAPE[:3], 2)))
            expected = expected + weight * moved
    np.testing.assert_allclose(compensate(_image(), flow), expected, atol=2e-6)


def test_it_stays_sharp_where_two_motions_meet():
    """Left of the middle everything moves 6 samples left, right of it 6 right."""
    shape = (1, 48, 96, 1)
    x = jnp.asarray(np.random.default_rng(3).random(shape), jnp.float32)
    flow = jnp.full((1, 6, 12, 2), 0.0).at[..., 0].set(6.0).at[:, :, 6:, 0].set(-6.0)
    expected = jnp.where(
        jnp.arange(96)[None, None, :, None] < 48,
        jnp.roll(x, -6, 2),
        jnp.roll(x, 6, 2),
    )
    near = (slice(None), slice(None), slice(40, 56))

    def error(predicted):
        return float(((predicted - expected)[near] ** 2).mean())

    blended = warp_bicubic(x, resize_bilinear(flow, 8))
    assert error(compensate_overlapped(x, flow)) < 0.5 * error(blended)


def test_the_gradient_of_motion_points_to_the_true_one():
    rows, columns = np.mgrid[0:32, 0:32]
    x = jnp.asarray(np.sin(0.4 * columns) + np.cos(0.3 * rows), jnp.float32)
    x = x[None, ..., None]
    truth = jnp.full((1, 4, 4, 2), 0.4)
    target = compensate(x, truth)

    def loss(flow):
        return ((compensate_overlapped(x, flow) - target) ** 2).mean()

    slope = jax.grad(loss)(jnp.full_like(truth, 0.1))
    assert (slope < 0).all()
    assert loss(truth) < 1e-9
