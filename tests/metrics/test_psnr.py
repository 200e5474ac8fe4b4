import jax
import numpy as np
import pytest

from jaxnvc.errors import UsageError
from jaxnvc.metrics import psnr_yuv
from jaxnvc.metrics.psnr import MAX_PSNR_DB, plane_psnr, psnr_per_frame
from jaxnvc.video import Yuv420
from tests.metrics.pictures import flat, noisy, textured
from tests.oracles import psnr_numpy


@pytest.fixture(autouse=True)
def _strict_ranks():
    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("size", [(1, 1), (17, 31), (64, 48)])
def test_every_plane_of_every_frame_agrees_with_numpy(size, bit_depth):
    pictures = [textured(*size, bit_depth, seed) for seed in range(3)]
    others = [noisy(p, 30, seed) for seed, p in enumerate(pictures)]
    expected = [
        [
            min(psnr_numpy.plane_psnr(x, y, (1 << bit_depth) - 1), MAX_PSNR_DB)
            for x, y in zip(a.planes, b.planes, strict=True)
        ]
        for a, b in zip(pictures, others, strict=True)
    ]
    measured = psnr_per_frame(pictures, others, bit_depth)
    np.testing.assert_allclose(measured, expected, rtol=0, atol=1e-12)


def test_frames_are_averaged_in_decibels_and_weighted_six_one_one():
    pictures = [textured(32, 32, seed=seed) for seed in range(2)]
    others = [noisy(pictures[0], 2), noisy(pictures[1], 20)]
    y, u, v = psnr_per_frame(pictures, others).mean(0)
    measured = psnr_yuv(pictures, others)
    assert measured["y"] == pytest.approx(y, abs=1e-12)
    assert measured["yuv"] == pytest.approx((6 * y + u + v) / 8, abs=1e-12)


def test_identical_pictures_have_the_cap_and_not_infinity():
    pictures = [textured(32, 32)]
    cap = MAX_PSNR_DB
    assert psnr_yuv(pictures, pictures) == {"y": cap, "u": cap, "v": cap, "yuv": cap}


def test_an_error_of_one_everywhere_is_48_decibels():
    measured = psnr_yuv([flat(100, 8, 8)], [flat(101, 8, 8)])
    assert measured["yuv"] == pytest.approx(20 * np.log10(255), abs=1e-12)


def test_it_is_the_same_whichever_side_is_called_the_source():
    a, b = [textured(16, 16)], [noisy(textured(16, 16), 5)]
    assert psnr_yuv(a, b) == psnr_yuv(b, a)


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("width", [4096, 4097, 65535])
def test_the_largest_possible_error_of_wide_planes_does_not_overflow(width, bit_depth):
    peak = (1 << bit_depth) - 1
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    black, white = np.zeros((2, width), dtype), np.full((2, width), peak, dtype)
    assert plane_psnr(black, white, bit_depth) == 0


def test_sequences_that_do_not_belong_together_are_refused():
    small, large = flat(1, 8, 8), flat(1, 8, 10)
    ten = Yuv420(*(plane.astype(np.uint16) for plane in small.planes))
    with pytest.raises(UsageError, match="1 pictures cannot be compared with 2"):
        psnr_yuv([small], [small, small])
    with pytest.raises(UsageError, match="0 pictures"):
        psnr_yuv([], [])
    with pytest.raises(UsageError, match="frame 1 is"):
        psnr_yuv([small, small], [small, large])
    with pytest.raises(UsageError, match="frame 0 has 10 bits"):
        psnr_yuv([small], [ten])
    with pytest.raises(UsageError, match="bit_depth=12"):
        psnr_yuv([small], [small], bit_depth=12)
