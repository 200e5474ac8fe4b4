import numpy as np
import pytest

from jaxnvc.errors import UsageError
from jaxnvc.metrics import ms_ssim_rgb, psnr_rgb
from jaxnvc.metrics.psnr import MAX_PSNR_DB
from jaxnvc.video import BT709, Yuv420, yuv420_to_rgb
from tests.metrics.pictures import noisy, textured
from tests.oracles import ms_ssim_scipy, psnr_numpy, rgb_ffmpeg


def converted(bit_depth, *pictures):
    return [yuv420_to_rgb(picture, BT709, bit_depth) for picture in pictures]


# FFmpeg's 10-bit white is some samples off 1023.
@pytest.mark.parametrize(("bit_depth", "off", "off_db"), [(8, 1, 0.01), (10, 3, 0.03)])
def test_rgb_of_yuv_and_its_psnr_are_those_of_ffmpeg(bit_depth, off, off_db):
    a = textured(66, 48, bit_depth)
    pair = a, noisy(a, 4 << (bit_depth - 8))
    ours, theirs = converted(bit_depth, *pair), [rgb_ffmpeg.rgb(p) for p in pair]
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert np.abs(one.astype(int) - other).max() <= off
    expected = psnr_numpy.plane_psnr(*theirs, (1 << bit_depth) - 1)
    assert psnr_rgb(*([x] for x in ours), bit_depth) == pytest.approx(
        expected, abs=off_db
    )


def test_ten_bits_run_from_0_to_1023():
    luma = np.array([[64, 940], [64, 940]], np.uint16)
    grey = np.full((1, 1), 512, np.uint16)
    (rgb,) = converted(10, Yuv420(luma, grey, grey))
    assert rgb[0].tolist() == [[0, 0, 0], [1023, 1023, 1023]]


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_psnr_is_of_one_error_over_three_channels_and_then_of_frames(bit_depth):
    rng, peak = np.random.default_rng(0), (1 << bit_depth) - 1
    a, b = rng.integers(0, peak + 1, (2, 3, 7, 9, 3)).astype(np.uint16)
    frames = [psnr_numpy.plane_psnr(x, y, peak) for x, y in zip(a, b, strict=True)]
    assert psnr_rgb(a, b, bit_depth) == pytest.approx(np.mean(frames), abs=1e-9)
    assert psnr_rgb(a, a, bit_depth) == MAX_PSNR_DB


def test_ms_ssim_is_the_mean_of_the_channels():
    a = textured(176, 176)
    x, y = converted(8, a, noisy(a, 8))
    channels = [ms_ssim_scipy.ms_ssim(x[..., i], y[..., i], 255) for i in range(3)]
    assert ms_ssim_rgb([x], [y]) == pytest.approx(np.mean(channels), abs=2e-6)


def test_pictures_that_do_not_belong_together_are_refused():
    small, large = np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 4, 6, 3), np.uint8)
    with pytest.raises(UsageError, match="cannot be compared"):
        psnr_rgb(small, large)
    with pytest.raises(UsageError, match="cannot be compared"):
        psnr_rgb(small[0], small[0])
    with pytest.raises(UsageError, match="bit_depth=12"):
        psnr_rgb(small, small, 12)
