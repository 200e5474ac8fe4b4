import subprocess
import sys
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from jaxnvc.video import (
    BT709,
    Colour,
    RawFormat,
    VideoWarning,
    open_video,
)
from tests.video.clips import (
    SIZES,
    encode_with_pyav,
    info_of,
    noise,
    same_pictures,
)
from tests.video.clips import write_clip as write

EVEN_SIZES = [(2, 2), (176, 144), (18, 34)]


def read(path, **options):
    with open_video(path, **options) as reader:
        return list(reader), reader.info


@pytest.fixture(autouse=True)
def _unexpected_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", VideoWarning)
        yield


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_matroska_comes_back_exactly(tmp_path, width, height, bit_depth):
    pictures = noise(width, height, 2, bit_depth)
    write(tmp_path / "a.mkv", pictures, info_of(width, height, bit_depth))
    frames, info = read(tmp_path / "a.mkv")
    assert same_pictures(frames, pictures)
    assert (info.width, info.height, info.bit_depth) == (width, height, bit_depth)
    assert info.frame_rate == 25


@pytest.mark.parametrize(
    ("width", "height"), [(1, 3), (2, 6), (7, 400), (999, 3), (32, 900), (900, 33)]
)
def test_matroska_takes_slender_pictures_too(tmp_path, width, height):
    pictures = noise(width, height, 1)
    write(tmp_path / "a.mkv", pictures, info_of(width, height))
    assert same_pictures(read(tmp_path / "a.mkv")[0], pictures)


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize(("width", "height"), EVEN_SIZES)
def test_mp4_comes_back_exactly(tmp_path, width, height, count, bit_depth):
    pictures = noise(width, height, count, bit_depth)
    write(tmp_path / "a.mp4", pictures, info_of(width, height, bit_depth))
    frames, info = read(tmp_path / "a.mp4")
    assert same_pictures(frames, pictures)
    assert (info.width, info.height, info.bit_depth) == (width, height, bit_depth)
    assert info.num_frames == count
    assert info.frame_rate == 25


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_raw_comes_back_with_its_format_given_or_named(tmp_path, bit_depth):
    pictures = noise(15, 17, 3, bit_depth)
    path = tmp_path / f"a_15x17_30fps_{bit_depth}bit.yuv"
    write(path, pictures, info_of(15, 17, bit_depth))
    assert path.read_bytes() == b"".join(p.tobytes() for p in pictures)
    frames, info = read(path)
    assert same_pictures(frames, pictures)
    assert (info.frame_rate, info.num_frames) == (30, 3)
    plain = path.rename(tmp_path / "plain.bin")
    raw = RawFormat(width=15, height=17, bit_depth=bit_depth, frame_rate=Fraction(24))
    frames, info = read(plain, raw=raw)
    assert same_pictures(frames, pictures)
    assert info.frame_rate == 24


@pytest.mark.parametrize("suffix", [".y4m", ".mkv", ".mp4", "_16x16_25fps.yuv"])
def test_start_and_frames_choose_a_span(tmp_path, suffix):
    pictures = noise(16, 16, 5)
    path = tmp_path / f"a{suffix}"
    write(path, pictures, info_of(16, 16))
    assert same_pictures(read(path, start=1, frames=2)[0], pictures[1:3])
    assert same_pictures(read(path, start=4)[0], pictures[4:])
    frames, info = read(path, start=3, frames=100)
    assert same_pictures(frames, pictures[3:])
    assert [f.pts * info.time_base for f in frames] == [
        Fraction(3, 25),
        Fraction(4, 25),
    ]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(
    "colour",
    [Colour(), BT709, Colour(9, 16, 9, False), Colour(1, 13, 6, True), Colour(2, 1, 2)],
)
def test_colour_tags_are_carried(tmp_path, suffix, bit_depth, colour):
    pictures = noise(16, 16, 1, bit_depth)
    path = tmp_path / f"a{suffix}"
    write(path, pictures, info_of(16, 16, bit_depth, colour=colour))
    frames, info = read(path)
    assert same_pictures(frames, pictures)
    got = info.colour
    assert (got.primaries, got.transfer, got.matrix) == (
        colour.primaries,
        colour.transfer,
        colour.matrix,
    )
    # H.264 has no third state: a range that is not said is limited by its standard.
    assert got.full_range == colour.full_range or (
        colour.full_range is None and got.full_range is False
    )


def test_sample_aspect_is_carried(tmp_path):
    info = info_of(16, 16, sample_aspect=Fraction(4, 3))
    for suffix in (".y4m", ".mp4"):
        path = tmp_path / f"a{suffix}"
        write(path, noise(16, 16, 1), info)
        assert read(path)[1].sample_aspect == Fraction(4, 3)
    with pytest.warns(VideoWarning, match="aspect ratio 4/3"):
        write(tmp_path / "a.mkv", noise(16, 16, 1), info)


TIMES = [9000, 12000, 12600, 20000, 21150]


@pytest.mark.parametrize("first", [0, 9000])
def test_varying_frame_times_are_carried_exactly_by_mp4(tmp_path, first):
    times = [t - 9000 + first for t in TIMES]
    path, time_base = tmp_path / "a.mp4", Fraction(1, 90000)
    write(path, noise(16, 16, 5), info_of(16, 16, time_base=time_base), times)
    frames, info = read(path)
    assert [f.pts * info.time_base for f in frames] == [t * time_base for t in times]


def test_varying_frame_times_are_carried_to_the_millisecond_by_matroska(tmp_path):
    path, time_base = tmp_path / "a.mkv", Fraction(1, 90000)
    write(path, noise(16, 16, 5), info_of(16, 16, time_base=time_base), TIMES)
    frames, info = read(path)
    for frame, time in zip(frames, TIMES, strict=True):
        assert abs(frame.pts * info.time_base - time * time_base) <= Fraction(1, 2000)


def test_y4m_says_that_it_loses_varying_times(tmp_path):
    with pytest.warns(VideoWarning, match="no frame times") as caught:
        write(
            tmp_path / "a.y4m",
            noise(2, 2, 5),
            info_of(2, 2, time_base=Fraction(1, 90000)),
            TIMES,
        )
    assert len(caught) == 1


def test_y4m_takes_rounded_times_of_a_steady_rate_in_silence(tmp_path):
    rate = Fraction(30000, 1001)
    info = info_of(2, 2, frame_rate=rate, time_base=Fraction(1, 1000))
    times = [round(i * 1000 / rate) for i in range(5)]
    write(tmp_path / "a.y4m", noise(2, 2, 5), info, times)


def test_times_that_do_not_rise_are_moved_on_with_a_warning(tmp_path):
    path, pictures = tmp_path / "a.mp4", noise(16, 16, 4)
    with pytest.warns(VideoWarning, match="does not rise"):
        write(path, pictures, info_of(16, 16), [0, 0, None, 7])
    frames, info = read(path)
    assert same_pictures(frames, pictures)
    assert [f.pts * info.time_base * 25 for f in frames] == [0, 1, 2, 7]


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [
        ("mpeg4", "avi", {}),
        ("libvpx-vp9", "webm", {"lossless": "1"}),
        ("libx265", "mov", {"x265-params": "lossless=1:bframes=0:log-level=none"}),
        ("mpeg2video", "ts", {}),
        ("libsvtav1", "mkv", {"preset": "12", "svtav1-params": "lp=1"}),
    ],
)
def test_what_other_codecs_hold_is_read_as_pyav_decodes_it(
    tmp_path, codec, suffix, options
):
    path = tmp_path / f"a.{suffix}"
    luma = np.random.default_rng(0).integers(0, 256, (96, 64)).astype(np.uint8)
    encode_with_pyav(path, [luma, 255 - luma], "yuv420p", codec, options)
    frames, info = read(path)
    with av.open(str(path)) as container:
        expected = [f.to_ndarray() for f in container.decode(video=0)]
    assert len(frames) == len(expected) == 2
    for frame, array in zip(frames, expected, strict=True):
        assert frame.planes.tobytes() == array.tobytes()
    assert (info.width, info.height) == (64, 64)


def test_jpeg_video_is_full_range(tmp_path):
    luma = np.full((24, 16), 77, np.uint8)
    path = tmp_path / "a.avi"
    encode_with_pyav(path, [luma], "yuvj420p", "mjpeg", color_range=2)
    frames, info = read(path)
    assert info.colour.full_range is True
    assert abs(int(frames[0].planes.y[0, 0]) - 77) <= 1


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("pixel_format", "depth"),
    [("yuv422p", 8), ("yuv444p", 8), ("yuv422p10le", 10), ("yuv444p12le", 10)],
)
def test_other_sampling_is_converted_and_said_without_touching_the_range(
    tmp_path, pixel_format, depth, full_range
):
    path = tmp_path / "a.mkv"
    values = [30, 60, 200]
    frame = av.VideoFrame(16, 16, pixel_format)
    bits = frame.format.components[0].bits
    dtype = np.uint8 if bits == 8 else np.uint16
    for plane, value in zip(frame.planes, values, strict=True):
        np.frombuffer(plane, dtype)[:] = value << (bits - 8)
    frame.color_range = 2 if full_range else 1
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, pixel_format
        stream.codec_context.color_range = frame.color_range
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.warns(VideoWarning, match=pixel_format):
        frames, info = read(path)
    assert info.bit_depth == depth
    assert info.colour.full_range is full_range
    for plane, value in zip(frames[0].planes.planes, values, strict=True):
        assert np.abs(plane.astype(int) - (value << (depth - 8))).max() <= 1


def test_rgb_video_becomes_bt709_limited_and_says_so(tmp_path):
    path = tmp_path / "a.avi"
    rgb = np.broadcast_to(np.uint8([255, 0, 0]), (16, 16, 3))
    encode_with_pyav(path, [np.ascontiguousarray(rgb)], "rgb24", "png")
    with pytest.warns(VideoWarning, match=r"BT\.709"):
        frames, info = read(path)
    assert (info.colour.matrix, info.colour.full_range) == (1, False)
    # BT.709 limited red is 63, 102, 240; swscale is good to a step or two.
    codes = [int(plane[4, 4]) for plane in frames[0].planes.planes]
    np.testing.assert_allclose(codes, [63, 102, 240], atol=2)


@pytest.mark.parametrize(
    ("pixel_format", "dtype", "shift"),
    [("gray", "u1", 0), ("gray10le", "u2", 2), ("gray16le", "u2", 8)],
)
def test_grey_video_keeps_its_levels(tmp_path, pixel_format, dtype, shift):
    path = tmp_path / "a.mkv"
    grey = np.tile(np.arange(16, 235, dtype=dtype), (3, 1))
    encode_with_pyav(path, [grey << shift], pixel_format, "ffv1")
    with pytest.warns(VideoWarning, match="gray.*mid-grey"):
        frames, info = read(path)
    scale = 1 << (info.bit_depth - 8)
    planes = frames[0].planes
    # 16 bits to 10 is by ratio (1023 / 65535), not by shift: one step apart at most.
    difference = planes.y.astype(int) - grey.astype(int) * scale
    assert np.abs(difference).max() <= (1 if shift == 8 else 0)
    assert np.all(planes.u == 128 * scale)
    assert np.all(planes.v == 128 * scale)


def test_rotation_is_left_alone_and_said(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.set_display_rotation(90)
        frame = av.VideoFrame(32, 16, "yuv420p")
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.warns(VideoWarning, match="turned by"):
        _, info = read(path)
    assert (info.width, info.height) == (32, 16)


def test_importing_the_package_is_cheap():
    code = (
        "import sys, jaxnvc.video; "
        "sys.exit(bool({'av', 'jax', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
