"""The cell transform is the DCT of a luma block beside those of U and V."""

import jax.numpy as jnp
import numpy as np
import scipy.fft

from jaxnvc.ops.dct import (
    CELL_CHANNELS,
    cell_transform,
    channel_frequencies,
    dct_matrix,
)
from jaxnvc.ops.frame import pack
from jaxnvc.ops.spatial import space_to_depth


def test_the_one_dimensional_dct_is_scipys():
    x = np.random.default_rng(0).normal(size=(8, 5))
    expected = scipy.fft.dct(x, axis=0, norm="ortho")
    np.testing.assert_allclose(dct_matrix(8) @ x, expected, atol=1e-12)


def test_the_cell_transform_is_orthonormal():
    matrix = cell_transform().astype(np.float64)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(CELL_CHANNELS), atol=1e-6)


def test_each_channel_is_scipys_coefficient_of_its_plane():
    rng = np.random.default_rng(1)
    planes = [rng.normal(size=s) for s in ((8, 8), (4, 4), (4, 4))]
    packed = pack(*(jnp.asarray(plane, jnp.float32) for plane in planes))
    coefficients = space_to_depth(packed, 4)[0, 0] @ cell_transform()
    truth = [scipy.fft.dctn(plane, norm="ortho") for plane in planes]
    expected = [truth[plane][u, v] for plane, u, v in channel_frequencies()]
    np.testing.assert_allclose(coefficients, expected, atol=1e-5)


def test_every_frequency_of_every_plane_has_one_channel():
    listed = {tuple(map(int, row)) for row in channel_frequencies()}
    expected = {(0, u, v) for u in range(8) for v in range(8)}
    expected |= {(p, u, v) for p in (1, 2) for u in range(4) for v in range(4)}
    assert listed == expected


def test_each_coding_group_holds_every_fourth_frequency_of_every_plane():
    rows = channel_frequencies()
    radius = np.hypot(rows[:, 1], rows[:, 2])
    for plane, size in enumerate((64, 16, 16)):
        in_plane = rows[:, 0] == plane
        whole = np.sort(radius[in_plane]).reshape(size // 4, 4)
        for group in range(4):
            own = in_plane & (np.arange(CELL_CHANNELS) // 24 == group)
            share = np.sort(radius[own])
            assert (whole[:, 0] <= share).all()
            assert (share <= whole[:, 3]).all()
