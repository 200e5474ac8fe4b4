"""Motion search finds a known translation of textured pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from jaxnvc.ops.motion_search import CELL, search

HEIGHT, WIDTH, MARGIN = 96, 128, 40
# The codec's own weight at the highest qp: 0.006 per sample of quantiser step. More
# of it trades true motion for cheap motion, which is not the subject here.
SMOOTHNESS = 0.006 * 4
jit_search = jax.jit(search)


def _texture(seed=0) -> np.ndarray:
    """Noise with detail at several scales, in 8-bit units."""
    rng = np.random.default_rng(seed)
    shape = (HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN)
    image = sum(
        scipy.ndimage.gaussian_filter(rng.normal(size=shape), s) * s * 25
        for s in (1.5, 4, 10)
    )
    return image + 128


def _pair(image: np.ndarray, dx: float, dy: float):
    """Cuts a frame and its reference such that frame(p) = reference(p + d)."""
    moved = image
    if dx % 1 or dy % 1:
        fraction = (dy % 1, dx % 1)
        # Quintic splines: far closer to the ideal than the search's bilinear steps.
        moved = scipy.ndimage.shift(image, [-f for f in fraction], order=5)
    top, left = MARGIN + int(np.floor(dy)), MARGIN + int(np.floor(dx))
    frame = moved[top : top + HEIGHT, left : left + WIDTH]
    reference = image[MARGIN : MARGIN + HEIGHT, MARGIN : MARGIN + WIDTH]
    return [jnp.asarray(a[None], jnp.float32) for a in (frame, reference)]


def _share_found(image, dx, dy, tolerance) -> float:
    """Returns the share of cells that look inside the reference and are right."""
    flow = np.asarray(jit_search(*_pair(image, dx, dy), jnp.array([SMOOTHNESS])))[0]
    rows, columns = np.mgrid[0:HEIGHT:CELL, 0:WIDTH:CELL]
    visible = (rows + dy >= 0) & (rows + dy <= HEIGHT - CELL)
    visible &= (columns + dx >= 0) & (columns + dx <= WIDTH - CELL)
    error = np.abs(flow - np.array([dx, dy])).max(-1)
    return (error <= tolerance)[visible].mean()


def _luma(cars) -> np.ndarray:
    # A part with cars and trees: 176 rows of the frame's 216, enough for margins.
    rows, columns = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    return np.asarray(cars[0].y, np.float64)[:rows, 80 : 80 + columns]


@pytest.mark.parametrize(
    ("dx", "dy"), [(0, 0), (5, -3), (-14, 9), (0.25, -0.75), (-6.5, 3.25)]
)
def test_a_translated_texture_is_found_in_most_cells(dx, dy):
    # Measured: 0.84 to 1.0; cells at the border and repeating detail go astray.
    assert _share_found(_texture(), dx, dy, tolerance=0.25) > 0.75


@pytest.mark.parametrize(("dx", "dy"), [(3, -2), (-11, 6), (8, 16), (1.25, -2.75)])
def test_a_translated_real_picture_is_found_in_most_cells(cars, dx, dy):
    # Measured: 0.81 to 0.99.
    assert _share_found(_luma(cars), dx, dy, tolerance=0.25) > 0.7


def test_clips_of_a_batch_are_searched_apart():
    pairs = [_pair(_texture(), 5, -3), _pair(_texture(1), -2, 4)]
    x, reference = (jnp.concatenate(images) for images in zip(*pairs, strict=True))
    flow = np.asarray(jit_search(x, reference, jnp.full(2, SMOOTHNESS)))
    middle = np.median(flow[:, 2:-2, 2:-2].reshape(2, -1, 2), axis=1)
    np.testing.assert_allclose(middle, [[5, -3], [-2, 4]], atol=0.1)
