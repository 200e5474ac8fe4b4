"""The packed frame tensor holds a 4:2:0 frame exactly, whatever its size."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.ops.frame import from_planes, luma, pack, to_planes, unpack

SIZES = [(1, 1), (15, 17), (127, 65)]


def _planes(height, width, bit_depth, seed=3):
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    chroma = (-(-height // 2), -(-width // 2))
    shapes = ((height, width), chroma, chroma)
    return [rng.integers(0, 2**bit_depth, s).astype(dtype) for s in shapes]


def test_unpack_inverts_pack():
    rng = np.random.default_rng(0)
    planes = [rng.random((2, 8, 6)), rng.random((2, 4, 3)), rng.random((2, 4, 3))]
    planes = [jnp.asarray(plane, jnp.float32) for plane in planes]
    packed = pack(*planes)
    assert packed.shape == (2, 4, 3, 6)
    for found, plane in zip(unpack(packed), planes, strict=True):
        np.testing.assert_array_equal(found, plane)
    np.testing.assert_array_equal(luma(packed)[..., 0], planes[0])


def test_a_packed_cell_holds_its_four_luma_samples_then_u_and_v():
    y = jnp.arange(16.0).reshape(4, 4)
    u, v = 100 + jnp.arange(4.0).reshape(2, 2), 200 + jnp.arange(4.0).reshape(2, 2)
    np.testing.assert_array_equal(pack(y, u, v)[1, 0], [8, 9, 12, 13, 102, 202])


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("size", SIZES)
def test_integer_planes_survive_packing_and_back(size, bit_depth):
    planes = _planes(*size, bit_depth)
    packed = from_planes(*planes, multiple=32, bit_depth=bit_depth)
    assert packed.dtype == jnp.float32
    assert (2 * packed.shape[0]) % 32 == (2 * packed.shape[1]) % 32 == 0
    back = to_planes(packed, *size, bit_depth)
    for found, plane in zip(back, planes, strict=True):
        assert found.dtype == plane.dtype
        np.testing.assert_array_equal(found, plane)


@pytest.mark.parametrize("size", SIZES)
def test_padding_repeats_the_last_row_and_column(size):
    planes = _planes(*size, 8)
    padded = unpack(from_planes(*planes, multiple=32))
    for found, plane in zip(padded, planes, strict=True):
        margin = [(0, n - m) for n, m in zip(found.shape, plane.shape, strict=True)]
        np.testing.assert_allclose(
            found * 255, np.pad(plane, margin, mode="edge"), atol=1e-4
        )


def test_planes_are_normalised_by_the_greatest_sample():
    white = [np.full(s, 1023, np.uint16) for s in ((2, 2), (1, 1), (1, 1))]
    packed = from_planes(*white, multiple=2, bit_depth=10)
    np.testing.assert_allclose(packed, 1.0, rtol=1e-6)


def test_samples_out_of_range_are_clipped_and_others_rounded():
    values = jnp.array([-0.5, 0.49 / 255, 0.51 / 255, 254.4 / 255, 7.0, 1.0])
    y, u, v = to_planes(values.reshape(1, 1, 6), 2, 2)
    np.testing.assert_array_equal(y, [[0, 0], [1, 254]])
    assert (int(u[0, 0]), int(v[0, 0])) == (255, 255)
