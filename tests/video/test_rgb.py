import numpy as np
import pytest

from jaxnvc.errors import UsageError
from jaxnvc.video import BT709, Colour, Yuv420, rgb_to_yuv420, yuv420_to_rgb

FULL_601 = Colour(matrix=6, full_range=True)


def flat(*rgb, height=4, width=4):
    return np.broadcast_to(np.uint8(rgb), (height, width, 3))


# BT.709-6, item 3.5: black 16, white 235, colour difference 128 +- 112; the primaries'
# values are 219 K + 16 and 224 times the colour difference + 128, rounded.
@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
    ],
)
def test_bt709_bars_have_their_standard_codes(rgb, yuv):
    picture = rgb_to_yuv420(flat(*rgb))
    assert [int(plane[0, 0]) for plane in picture.planes] == list(yuv)
    assert all(np.ptp(plane) == 0 for plane in picture.planes)


def test_full_range_601_is_the_jpeg_conversion():
    # JFIF 1.02: Y = 0.299 R + 0.587 G + 0.114 B; red gives 76, 85, 255 (255.5 clipped).
    picture = rgb_to_yuv420(flat(255, 0, 0), FULL_601)
    assert [int(plane[0, 0]) for plane in picture.planes] == [76, 85, 255]


@pytest.mark.parametrize("colour", [BT709, FULL_601])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 17), (16, 8)])
def test_flat_colours_come_back_within_rounding(width, height, colour):
    for rgb in np.random.default_rng(1).integers(30, 226, (20, 3)):
        there = rgb_to_yuv420(flat(*rgb, height=height, width=width), colour)
        back = yuv420_to_rgb(there, colour)
        assert back.shape == (height, width, 3)
        assert np.abs(back.astype(int) - rgb).max() <= 2


def test_chroma_is_the_mean_of_each_block_and_luma_is_untouched():
    rgb = np.random.default_rng(2).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    picture = rgb_to_yuv420(rgb)
    red, _, blue = np.moveaxis(rgb / 255, -1, 0)
    luma = rgb / 255 @ [0.2126, 0.7152, 0.0722]
    np.testing.assert_allclose(picture.y, 16 + 219 * luma, atol=0.51)
    block = np.s_[2:4, 4:6]
    expected = 128 + 224 * np.mean((blue - luma)[block]) / 1.8556
    assert abs(int(picture.u[1, 2]) - expected) <= 0.51
    corner = 128 + 224 * (red - luma)[4, 6] / 1.5748
    assert abs(int(picture.v[2, 3]) - corner) <= 0.51


def test_a_clip_is_its_pictures_one_by_one():
    clip = np.random.default_rng(3).integers(0, 256, (3, 6, 4, 3)).astype(np.uint8)
    pictures = rgb_to_yuv420(clip)
    assert all(
        a.same_pixels(rgb_to_yuv420(b)) for a, b in zip(pictures, clip, strict=True)
    )
    assert yuv420_to_rgb(pictures).shape == clip.shape


def test_chroma_is_raised_smoothly():
    y = np.full((2, 8), 128, np.uint8)
    ramp = np.array([[128, 132, 136, 140]], np.uint8)
    red = yuv420_to_rgb(Yuv420(y, ramp, ramp))[0, :, 0].astype(int)
    steps = np.diff(red)
    assert steps.min() >= 0
    assert steps.max() <= 4  # nearest neighbour would step by 7


def test_ten_bits_show_as_eight_bits_do():
    rgb = np.random.default_rng(4).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    eight = rgb_to_yuv420(rgb)
    ten = Yuv420(*(plane.astype(np.uint16) << 2 for plane in eight.planes))
    np.testing.assert_array_equal(yuv420_to_rgb(ten), yuv420_to_rgb(eight))


def test_an_unspecified_matrix_or_range_is_never_guessed():
    for colour in (Colour(), Colour(matrix=1), Colour(full_range=False)):
        with pytest.raises(UsageError, match="filled_from"):
            rgb_to_yuv420(flat(1, 2, 3), colour)
        with pytest.raises(UsageError, match="filled_from"):
            yuv420_to_rgb(rgb_to_yuv420(flat(1, 2, 3)), colour)


def test_what_is_not_rgb_is_refused():
    with pytest.raises(UsageError, match="uint8"):
        rgb_to_yuv420(np.zeros((4, 4, 3)))
    with pytest.raises(UsageError, match=r"\[H, W, 3\]"):
        rgb_to_yuv420(np.zeros((4, 4), np.uint8))
