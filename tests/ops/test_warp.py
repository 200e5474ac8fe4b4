"""Motion compensation, against shifts, polynomials and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from jaxnvc.ops.warp import warp_bicubic, warp_bilinear

SHAPE = (2, 17, 23, 3)
WARPS = {"bilinear": jax.jit(warp_bilinear), "bicubic": jax.jit(warp_bicubic)}
both = pytest.mark.parametrize("warp", WARPS.values(), ids=WARPS)


def _image(seed=0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random(SHAPE), jnp.float32)


def _constant(x, y) -> jax.Array:
    return jnp.broadcast_to(jnp.array([x, y], jnp.float32), (*SHAPE[:3], 2))


def _ramp(power=1) -> np.ndarray:
    rows, columns = np.mgrid[0 : SHAPE[1], 0 : SHAPE[2]] / 10.0
    image = 0.7 * columns**power - 0.4 * rows**power + 0.1 * rows * columns
    return np.broadcast_to(image[None, ..., None], SHAPE).astype(np.float32)


@both
def test_zero_flow_is_the_identity(warp):
    np.testing.assert_array_equal(warp(_image(), _constant(0, 0)), _image())


@both
@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-4, 5)])
def test_a_whole_displacement_is_a_shift_inside_the_border(warp, dx, dy):
    x = np.asarray(_image())
    found = np.asarray(warp(_image(), _constant(dx, dy)))
    shifted = np.roll(x, (-dy, -dx), (1, 2))
    inside = (slice(None), slice(5, -5), slice(5, -5))
    np.testing.assert_array_equal(found[inside], shifted[inside])


@both
def test_positions_outside_are_clamped_to_the_border(warp):
    x = np.asarray(_image())
    right = np.asarray(warp(_image(), _constant(1000, 0)))
    np.testing.assert_array_equal(right, np.broadcast_to(x[:, :, -1:], SHAPE))
    corner = np.asarray(warp(_image(), _constant(-99.5, -99.5)))
    np.testing.assert_array_equal(corner, np.broadcast_to(x[:, :1, :1], SHAPE))


@both
def test_each_clip_of_a_batch_follows_its_own_flow(warp):
    flow = _constant(0, 0).at[1, ..., 0].set(2.0)
    found, x = np.asarray(warp(_image(), flow)), np.asarray(_image())
    np.testing.assert_array_equal(found[0], x[0])
    np.testing.assert_array_equal(found[1, :, :-2], x[1, :, 2:])


def test_bilinear_agrees_with_scipy_on_any_flow():
    x = np.asarray(_image())
    flow = np.random.default_rng(1).normal(0, 6, (*SHAPE[:3], 2)).astype(np.float32)
    found = np.asarray(WARPS["bilinear"](x, flow))
    rows, columns = np.mgrid[0 : SHAPE[1], 0 : SHAPE[2]]
    for b, channel in np.ndindex(SHAPE[0], SHAPE[3]):
        at = (rows + flow[b, ..., 1], columns + flow[b, ..., 0])
        expected = scipy.ndimage.map_coordinates(
            x[b, ..., channel], at, order=1, mode="nearest"
        )
        np.testing.assert_allclose(found[b, ..., channel], expected, atol=1e-5)


@pytest.mark.parametrize(("dx", "dy"), [(0.25, 0.0), (-1.7, 0.6)])
def test_bicubic_reproduces_a_quadratic_which_bilinear_cannot(dx, dy):
    """Source: Keys 1981, cubic convolution with a = -1/2 is of third order."""
    flow, inside = _constant(dx, dy), (slice(None), slice(4, -4), slice(4, -4))
    rows, columns = np.mgrid[0 : SHAPE[1], 0 : SHAPE[2]]
    r, c = (rows + dy) / 10, (columns + dx) / 10
    for power in (1, 2):
        expected = 0.7 * c**power - 0.4 * r**power + 0.1 * r * c
        error = {
            name: np.abs(np.asarray(warp(_ramp(power), flow))[..., 0] - expected)
            for name, warp in WARPS.items()
        }
        assert error["bicubic"][inside].max() < 1e-5
        # A linear ramp (with its bilinear term) is within reach of both.
        assert (error["bilinear"][inside].max() < 1e-5) == (power == 1)
