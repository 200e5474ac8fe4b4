import jax
import numpy as np
import pytest

from jaxnvc.errors import UsageError
from jaxnvc.metrics import ms_ssim
from jaxnvc.metrics.ms_ssim import MIN_SIDE, SCALE_WEIGHTS
from jaxnvc.video import Yuv420
from tests.metrics.pictures import flat, noisy, textured
from tests.oracles import ms_ssim_scipy

SIZE = 176, 192


@pytest.fixture(autouse=True)
def _strict_ranks():
    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.mark.parametrize("deviation", [1, 8, 60])
def test_it_agrees_with_the_papers_formula(deviation):
    a = textured(*SIZE)
    b = noisy(a, deviation)
    expected = ms_ssim_scipy.ms_ssim(a.y, b.y, 255)
    assert ms_ssim([a], [b]) == pytest.approx(expected, abs=2e-6)


def test_it_agrees_for_ten_bits_and_the_smallest_size_whose_halves_are_odd():
    a = textured(MIN_SIDE, 175, bit_depth=10)
    b = noisy(a, 40)
    expected = ms_ssim_scipy.ms_ssim(a.y, b.y, 1023)
    assert ms_ssim([a], [b], bit_depth=10) == pytest.approx(expected, abs=2e-6)


def test_it_agrees_on_dark_pictures_that_differ_little():
    a = textured(*SIZE)
    a = Yuv420(*(plane // 16 for plane in a.planes))
    b = noisy(a, 1)
    expected = ms_ssim_scipy.ms_ssim(a.y, b.y, 255)
    assert ms_ssim([a], [b]) == pytest.approx(expected, abs=2e-6)


def test_identical_pictures_have_one():
    a = textured(*SIZE)
    assert ms_ssim([a], [a]) == pytest.approx(1, abs=1e-6)


def test_flat_pictures_differ_in_the_luminance_of_the_last_scale_alone():
    c1 = (0.01 * 255) ** 2
    luminance = (2 * 60 * 90 + c1) / (60**2 + 90**2 + c1)
    measured = ms_ssim([flat(60, *SIZE)], [flat(90, *SIZE)])
    assert measured == pytest.approx(luminance ** SCALE_WEIGHTS[-1], abs=1e-6)


def test_frames_are_averaged():
    a = textured(*SIZE)
    b, c = noisy(a, 5), noisy(a, 50)
    both = ms_ssim([a, a], [b, c])
    assert both == pytest.approx((ms_ssim([a], [b]) + ms_ssim([a], [c])) / 2)


def test_a_negative_has_zero_and_not_a_complex_root():
    a = textured(*SIZE)
    negative = Yuv420(*(255 - plane for plane in a.planes))
    assert ms_ssim([a], [negative]) == 0


def test_chroma_does_not_count():
    a = textured(*SIZE)
    grey = Yuv420(a.y, np.full_like(a.u, 128), np.full_like(a.v, 128))
    assert ms_ssim([a], [grey]) == pytest.approx(1, abs=1e-6)


def test_pictures_too_small_for_five_scales_are_refused():
    small = flat(1, 300, MIN_SIDE - 1)
    with pytest.raises(UsageError, match=r"300x160 .* at least 161"):
        ms_ssim([small], [small])


def test_sequences_that_do_not_belong_together_are_refused():
    a = flat(1, *SIZE)
    with pytest.raises(UsageError, match="1 pictures cannot be compared with 2"):
        ms_ssim([a], [a, a])
    with pytest.raises(UsageError, match="frame 0 has 8 bits"):
        ms_ssim([a], [a], bit_depth=10)
    with pytest.raises(UsageError, match="bit_depth=9"):
        ms_ssim([a], [a], bit_depth=9)
