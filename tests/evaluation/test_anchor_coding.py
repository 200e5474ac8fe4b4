"""Every encoder writes a file that decodes to nearly what went in."""

import os
from fractions import Fraction

import numpy as np
import pytest

from jaxnvc.errors import UsageError, VerificationError
from jaxnvc.evaluation.anchor_coding import decode, encode
from jaxnvc.evaluation.coders import TOOLS, missing_reason, parse
from jaxnvc.evaluation.measure import fit
from jaxnvc.metrics import psnr_yuv
from jaxnvc.video import Yuv420, open_video
from tests.metrics.pictures import flat, textured

NAMES = [f"{t}-{m}" for t, tool in TOOLS.items() for m in tool.modes]
FAST = {
    "vvenc": "faster",
    "aom": "8",
    "svtav1": "12",
    "x264": "veryfast",
    "x265": "ultrafast",
}


def coder(name):
    tool = name.split("-")[0]
    made = parse(f"{name}-{FAST[tool]}" if tool in FAST else name)
    if missing_reason(made):
        pytest.skip(missing_reason(made))
    return made


def shifted(count, width, height, bit_depth=8):
    wide = textured(width + 2 * count, height, bit_depth)
    for t in range(count):
        part = slice(2 * t, 2 * t + width)
        half = slice(t, t + (width + 1) // 2)
        yield Yuv420(wide.y[:, part], wide.u[:, half], wide.v[:, half])


def shown(made, frames, tmp_path, rate):
    path, out = str(tmp_path / f"a{made.suffix}"), str(tmp_path / "a.y4m")
    encoded = encode(made, rate, iter(frames), Fraction(25), path)
    decode(path, out)
    with open_video(out) as reader:
        decoded = [frame.planes for frame in reader]
    pairs = zip(decoded, frames, strict=True)
    return encoded, os.path.getsize(path), [fit(d, f) for d, f in pairs]


@pytest.mark.parametrize("name", NAMES)
def test_better_settings_are_larger_and_nearer_where_the_tool_is(name, tmp_path):
    made, frames = coder(name), list(shifted(4, 64, 64))
    rates = sorted(made.rates)
    fine, coarse = (shown(made, frames, tmp_path, r) for r in (rates[0], rates[-1]))
    assert fine[1] > coarse[1]
    psnr = [psnr_yuv(frames, result[2])["yuv"] for result in (fine, coarse)]
    assert psnr[0] > max(30, psnr[1])
    assert len(fine[0].frame_bytes) == 4
    assert sum(fine[0].frame_bytes) == pytest.approx(fine[1], rel=0.02)


def test_low_delay_has_one_intra_frame(tmp_path):
    frames = list(shifted(3, 64, 64))
    kinds = shown(coder("x264-ld"), frames, tmp_path, 30)[0].frame_kinds
    assert kinds == ["intra", "inter", "inter"]


@pytest.mark.parametrize("name", ["x264", "x265", "svtav1", "vvenc"])
def test_ten_bits_stay_ten_bits_where_the_tool_is(name, tmp_path):
    made, frames = coder(name), list(shifted(3, 64, 64, 10))
    decoded = shown(made, frames, tmp_path, min(made.rates))[2]
    assert {frame.bit_depth for frame in decoded} == {10}
    assert psnr_yuv(frames, decoded, 10)["yuv"] > 30


@pytest.mark.parametrize("name", ["x264", "vvenc"])
def test_odd_sizes_come_back_in_their_size_where_the_tool_is(name, tmp_path):
    made, frames = coder(name), list(shifted(2, 65, 67))
    decoded = shown(made, frames, tmp_path, min(made.rates))[2]
    assert (decoded[0].width, decoded[0].height) == (65, 67)
    assert psnr_yuv(frames, decoded)["yuv"] > 30


def test_what_an_encoder_refuses_is_said(tmp_path):
    made = parse("x264-nonsense")
    with pytest.raises(UsageError, match="preset=nonsense"):
        encode(
            made, 30, iter(shifted(2, 64, 64)), Fraction(25), str(tmp_path / "a.264")
        )
    ten = shifted(1, 64, 64, 10)
    with pytest.raises(UsageError, match="8 bits"):
        encode(parse("jpeg"), 3, ten, Fraction(25), str(tmp_path / "a.mjpeg"))


def test_pictures_of_another_size_are_not_compared():
    with pytest.raises(VerificationError, match="cannot be compared"):
        fit(flat(3, 80, 64), flat(3, 64, 64))


def test_ten_bits_of_an_eight_bit_clip_are_rounded():
    eight = flat(200, 16, 16)
    ten = Yuv420(*(plane.astype(np.uint16) * 4 + 1 for plane in eight.planes))
    assert fit(ten, eight).same_pixels(eight)


def test_names_of_codecs_spell_out_their_configuration():
    assert parse("x264").name == "x264-ld-medium"
    assert parse("svtav1-ra-6").name == "svtav1-ra-6"
    assert parse("models/mine.nvcm").model == "models/mine.nvcm"
    assert parse("eem-lite", qps=(1, 2)).rates == (1, 2)
    assert parse("x265-slow", rates={"x265": (3, 4)}).rates == (3, 4)
