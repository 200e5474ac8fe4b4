import math
from fractions import Fraction

import numpy as np
import pytest

from jaxnvc.errors import UsageError
from jaxnvc.video import BT709, Colour, VideoInfo, Yuv420
from jaxnvc.video.frames import block_mean
from tests.video.clips import SIZES, info_of, noise


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_bytes_of_a_picture_come_back_as_the_same_picture(width, height, bit_depth):
    (picture,) = noise(width, height, 1, bit_depth)
    data = picture.tobytes()
    back = Yuv420.from_bytes(data, width, height, bit_depth)
    assert back.same_pixels(picture)
    assert (back.width, back.height, back.bit_depth) == (width, height, bit_depth)


def test_ten_bit_samples_are_little_endian_words_in_plane_order():
    picture = Yuv420(
        np.array([[0x102, 0x3FF]], np.uint16),
        np.array([[5]], np.uint16),
        np.array([[6]], np.uint16),
    )
    assert picture.tobytes() == bytes([2, 1, 0xFF, 3, 5, 0, 6, 0])


def test_big_endian_planes_are_the_same_picture():
    (picture,) = noise(6, 4, 1, 10)
    swapped = Yuv420(*(plane.astype(">u2") for plane in picture.planes))
    assert swapped.tobytes() == picture.tobytes()


def u8(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    ("planes", "says"),
    [
        ((u8(4, 4), u8(2, 2), u8(2, 3)), r"needs \(2, 2\)"),
        ((u8(3, 5), u8(1, 2), u8(1, 2)), r"needs \(2, 3\)"),
        ((u8(4, 4, 1), u8(2, 2), u8(2, 2)), r"\[H, W\]"),
        ((u8(0, 4), u8(0, 2), u8(0, 2)), "not a picture"),
        ((np.zeros((2, 2)), u8(1, 1), u8(1, 1)), "uint8"),
        ((u8(2, 2), u8(1, 1), u8(1, 1).astype(np.uint16)), "uint8"),
        (tuple(np.full(s, 1024, np.uint16) for s in ((2, 2), (1, 1), (1, 1))), "1023"),
    ],
)
def test_planes_that_are_no_picture_are_refused(planes, says):
    with pytest.raises(UsageError, match=says):
        Yuv420(*planes)


def test_bytes_of_another_length_are_refused():
    with pytest.raises(UsageError, match="exactly 24 bytes"):
        Yuv420.from_bytes(bytes(23), 4, 4, 8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"width": 1 << 29, "height": 1 << 29},
        {"width": 60000, "height": 60000},
        {"bit_depth": 12},
        {"time_base": Fraction(0)},
        {"frame_rate": Fraction(-25)},
    ],
)
def test_impossible_descriptions_are_refused(wrong):
    with pytest.raises(UsageError):
        VideoInfo(**{"width": 16, "height": 16} | wrong)


def test_frame_step_counts_units_of_the_time_base():
    assert info_of(2, 2, time_base=Fraction(1, 90000)).frame_step == 3600
    ntsc = Fraction(30000, 1001)
    assert info_of(2, 2, frame_rate=ntsc, time_base=Fraction(1, 1000)).frame_step == 33
    assert VideoInfo(width=2, height=2).frame_step == 1


def test_filling_a_colour_description_keeps_what_it_says():
    assert Colour().filled_from(BT709) == BT709
    assert Colour(9, 2, 9, True).filled_from(BT709) == Colour(9, 1, 9, True)


@pytest.mark.parametrize(("down", "across"), [(1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (4, 6)])
def test_block_mean_rounds_half_up_and_repeats_the_edge(height, width, down, across):
    plane = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    expected = []
    for top in range(0, height, down):
        for left in range(0, width, across):
            block = [
                int(plane[min(top + i, height - 1), min(left + j, width - 1)])
                for i in range(down)
                for j in range(across)
            ]
            expected.append(math.floor(sum(block) / len(block) + 0.5))
    means = block_mean(plane, down, across)
    assert means.dtype == np.uint8
    assert means.ravel().tolist() == expected
