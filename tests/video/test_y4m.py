import io
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from jaxnvc.errors import InputError
from jaxnvc.video import Colour, VideoWarning, create_video, open_video
from jaxnvc.video.y4m import Y4mReader
from tests.video.clips import SIZES, info_of, noise, same_pictures, timed


def stream_of(header, *frames):
    return io.BytesIO(
        header.encode() + b"\n" + b"".join(b"FRAME\n" + bytes(f) for f in frames)
    )


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_files_come_back_as_written(tmp_path, width, height, count, bit_depth):
    pictures = noise(width, height, count, bit_depth)
    path = tmp_path / "clip.y4m"
    info = info_of(width, height, bit_depth, frame_rate=Fraction(30000, 1001))
    with create_video(path, info) as writer:
        for frame in timed(pictures):
            writer.write(frame)
    with open_video(path) as reader:
        frames = list(reader)
    assert same_pictures(frames, pictures)
    assert [frame.pts for frame in frames] == list(range(count))
    assert reader.info.num_frames == count
    assert reader.info.frame_rate == Fraction(30000, 1001)
    assert reader.info.time_base == Fraction(1001, 30000)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_ffmpeg_reads_what_we_write(tmp_path, bit_depth):
    pictures = noise(17, 31, 2, bit_depth)
    path = tmp_path / "clip.y4m"
    info = info_of(17, 31, bit_depth, sample_aspect=Fraction(12, 11))
    with create_video(path, info) as writer:
        for frame in timed(pictures):
            writer.write(frame)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.average_rate == 25
        assert stream.sample_aspect_ratio == Fraction(12, 11)
    assert frames[0].format.name == ("yuv420p" if bit_depth == 8 else "yuv420p10le")
    for frame, picture in zip(frames, pictures, strict=True):
        for plane, expected in zip(frame.planes, picture.planes, strict=True):
            rows = np.frombuffer(plane, expected.dtype).reshape(
                -1, plane.line_size // expected.itemsize
            )
            np.testing.assert_array_equal(
                rows[: expected.shape[0], : expected.shape[1]], expected
            )


@pytest.mark.parametrize("tag", ["", " C420", " C420jpeg", " C420mpeg2", " C420paldv"])
def test_every_eight_bit_420_tag_is_read(tag):
    (picture,) = noise(3, 3, 1)
    reader = Y4mReader(
        stream_of(f"YUV4MPEG2 W3 H3 F25:1{tag}", picture.tobytes()), "clip"
    )
    assert reader.read().planes.same_pixels(picture)
    assert reader.read() is None


@pytest.mark.parametrize("full_range", [None, False, True])
def test_the_range_is_carried(tmp_path, full_range):
    path = tmp_path / "clip.y4m"
    info = info_of(4, 4, colour=Colour(full_range=full_range))
    with create_video(path, info) as writer:
        writer.write(timed(noise(4, 4, 1))[0])
    assert open_video(path).info.colour == Colour(full_range=full_range)


def test_frame_headers_may_carry_tags_and_the_aspect_is_read():
    (picture,) = noise(2, 2, 1)
    data = b"YUV4MPEG2 H2 W2 A128:117 F24:1 Ip XNOTE=W9\nFRAME Ixyz\n"
    reader = Y4mReader(io.BytesIO(data + picture.tobytes()), "clip")
    assert (reader.info.width, reader.info.height) == (2, 2)
    assert reader.info.sample_aspect == Fraction(128, 117)
    assert reader.read().planes.same_pixels(picture)


@pytest.mark.parametrize(
    ("tag", "dtype", "grey"), [("mono", "u1", 128), ("mono10", "<u2", 512)]
)
def test_monochrome_gets_grey_chroma_and_says_so(tag, dtype, grey):
    luma = np.arange(15).reshape(3, 5).astype(dtype)
    with pytest.warns(VideoWarning, match="mid-grey"):
        reader = Y4mReader(
            stream_of(f"YUV4MPEG2 W5 H3 F25:1 C{tag}", luma.tobytes()), "clip"
        )
    planes = reader.read().planes
    np.testing.assert_array_equal(planes.y, luma)
    assert planes.u.shape == (2, 3)
    assert set(planes.u.ravel()) == set(planes.v.ravel()) == {grey}


@pytest.mark.parametrize("tag", ["422", "444", "422p10", "444p10"])
def test_wider_chroma_is_averaged_and_says_so(tag):
    dtype = "<u2" if "p10" in tag else "u1"
    rng = np.random.default_rng(0)
    luma = rng.integers(0, 256, (4, 6)).astype(dtype)
    shape = (4, 3) if tag.startswith("422") else (4, 6)
    u, v = (rng.integers(0, 256, shape).astype(dtype) for _ in range(2))
    with pytest.warns(VideoWarning, match="averaged"):
        reader = Y4mReader(
            stream_of(
                f"YUV4MPEG2 W6 H4 F25:1 C{tag}",
                b"".join(plane.tobytes() for plane in (luma, u, v)),
            ),
            "clip",
        )
    planes = reader.read().planes
    np.testing.assert_array_equal(planes.y, luma)
    width = 6 // shape[1]
    for got, given in ((planes.u, u), (planes.v, v)):
        blocks = given.reshape(2, 2, 3, 2 // width).astype(float).mean((1, 3))
        np.testing.assert_allclose(got, blocks, atol=0.5)


def test_a_cut_last_frame_is_left_out_with_a_warning(tmp_path):
    pictures = noise(16, 16, 3)
    path = tmp_path / "clip.y4m"
    with create_video(path, info_of(16, 16)) as writer:
        for frame in timed(pictures):
            writer.write(frame)
    whole = path.read_bytes()
    for cut, kept in ((1, 2), (384, 2), (386, 2), (390, 2), (500, 1)):
        path.write_bytes(whole[:-cut])
        with warnings.catch_warnings(record=True) as caught, open_video(path) as reader:
            warnings.simplefilter("always")
            assert same_pictures(list(reader), pictures[:kept])
        # 390 bytes are exactly one frame: nothing is cut then.
        assert len(caught) == (0 if cut == 390 else 1)


def test_interlaced_and_unknown_rates_are_said():
    (picture,) = noise(2, 2, 1)
    with pytest.warns(VideoWarning, match="interlaced"):
        Y4mReader(stream_of("YUV4MPEG2 W2 H2 F25:1 It", picture.tobytes()), "clip")
    with pytest.warns(VideoWarning, match="frame rate"):
        reader = Y4mReader(stream_of("YUV4MPEG2 W2 H2 F0:0", picture.tobytes()), "clip")
    assert reader.info.frame_rate is None
    assert reader.info.time_base == Fraction(1, 25)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"RIFF....AVI", "does not begin with"),
        (b"YUV4MPEG2 W2 H2 F25:1", "does not begin with"),
        (b"YUV4MPEG2 W2 F25:1\n", "W or H"),
        (b"YUV4MPEG2 W2 Hx F25:1\n", "W or H"),
        (b"YUV4MPEG2 W0 H2 F25:1\n", "0x2"),
        (b"YUV4MPEG2 W-4 H2 F25:1\n", "-4x2"),
        (b"YUV4MPEG2 W536870912 H536870912 F25:1\n", "not allowed"),
        (b"YUV4MPEG2 W2 H2 F25\n", "ratio"),
        (b"YUV4MPEG2 W2 H2 F25:1 C411\n", "C411"),
        (b"YUV4MPEG2 W2 H2 F25:1 C420p12\n", "yuv420p10le"),
    ],
)
def test_broken_headers_are_refused(data, says):
    with pytest.raises(InputError, match=says):
        Y4mReader(io.BytesIO(data), "clip")


def test_garbage_between_frames_is_reported_after_the_frames_before_it():
    pictures = noise(4, 4, 2)
    stream = stream_of("YUV4MPEG2 W4 H4 F25:1", *(p.tobytes() for p in pictures))
    reader = Y4mReader(io.BytesIO(stream.getvalue() + b"JUNKJUNKJUNK"), "clip")
    assert same_pictures([reader.read(), reader.read()], pictures)
    with pytest.raises(InputError, match="frame 2 does not begin with a FRAME line"):
        reader.read()


def test_ten_bit_samples_above_1023_are_reported():
    data = np.full(6, 1024, "<u2").tobytes()
    reader = Y4mReader(stream_of("YUV4MPEG2 W2 H2 F25:1 C420p10", data), "clip")
    with pytest.raises(InputError, match="frame 0: a sample of 1024"):
        reader.read()
