import wave

import av
import numpy as np
import pytest

from jaxnvc.errors import InputError, UsageError
from jaxnvc.video import (
    RawFormat,
    VideoWarning,
    open_video,
)
from jaxnvc.video.raw import format_from_name
from tests.video.clips import (
    encode_with_pyav,
    info_of,
    is_one_sentence_of,
    noise,
    same_pictures,
)
from tests.video.clips import write_clip as write


@pytest.mark.parametrize(
    "name", ["missing.mp4", "missing.y4m", "http://x.invalid/a.mp4"]
)
def test_a_missing_file_is_reported(tmp_path, name):
    path = tmp_path / name if "/" not in name else name
    with pytest.raises(InputError, match="does not exist") as error:
        open_video(path)
    assert is_one_sentence_of(error, path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "is empty"),
        ("empty.y4m", b"", "is empty"),
        ("words.mp4", b"some words\n" * 50, "text file"),
        ("words.txt", b"some words\n" * 50, "text file"),
        ("words.y4m", b"some words\n" * 50, "YUV4MPEG2"),
        ("junk.mkv", bytes(range(256)) * 20, "not a video"),
        ("name:with.avi", b"RIFF\0\0\0\0AVI ", "not a video|no video|whole frame"),
    ],
)
def test_files_that_are_no_video_are_reported(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as error:
        open_video(path)
    assert is_one_sentence_of(error, path)


def test_a_folder_is_reported(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        open_video(tmp_path)


def test_sound_alone_is_reported(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(4000))
    with pytest.raises(InputError, match="no video stream") as error:
        open_video(path)
    assert is_one_sentence_of(error, path)


def test_a_y4m_header_alone_holds_no_frame(tmp_path):
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W2 H2 F25:1\n")
    with pytest.raises(InputError, match="no whole frame"):
        list(open_video(path))


def test_a_file_called_otherwise_is_read_as_the_y4m_it_is(tmp_path):
    pictures = noise(4, 4, 1)
    write(tmp_path / "a.y4m", pictures, info_of(4, 4))
    (tmp_path / "a.y4m").rename(tmp_path / "a:b.mp4")
    assert same_pictures(list(open_video(tmp_path / "a:b.mp4")), pictures)


def test_an_odd_file_name_is_no_protocol(tmp_path, monkeypatch):
    pictures = noise(4, 4, 1)
    monkeypatch.chdir(tmp_path)
    write("concat:a%03d.mkv", pictures, info_of(4, 4))
    assert same_pictures(list(open_video("concat:a%03d.mkv")), pictures)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".y4m", ".yuv"])
def test_starting_behind_the_end_is_reported(tmp_path, suffix):
    path = tmp_path / f"a_16x16_25fps{suffix}"
    write(path, noise(16, 16, 2), info_of(16, 16))
    with pytest.raises(InputError, match="before frame 2"):
        list(open_video(path, start=2))


def test_a_cut_matroska_yields_its_whole_frames_first(tmp_path):
    path, pictures = tmp_path / "a.mkv", noise(64, 48, 5)
    write(path, pictures, info_of(64, 48))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    frames = []
    with pytest.raises(InputError, match="is truncated") as error:
        iter_into(frames, open_video(path))
    assert same_pictures(frames, pictures[: len(frames)])
    assert 2 <= len(frames) <= 4
    assert f"the {len(frames)} frames before" in str(error.value)
    assert is_one_sentence_of(error, path)


def iter_into(frames, reader):
    """Appends what `reader` yields, so that it is kept when reading fails."""
    for frame in reader:
        frames.append(frame)


def test_a_cut_mp4_has_lost_its_index(tmp_path):
    path = tmp_path / "a.mp4"
    write(path, noise(64, 48, 5), info_of(64, 48))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="is truncated.*nothing of it") as error:
        open_video(path)
    assert is_one_sentence_of(error, path)


def test_a_cut_mp4_with_its_index_in_front_yields_its_whole_frames_first(tmp_path):
    pictures = noise(64, 48, 6)
    write(tmp_path / "a.mp4", pictures, info_of(64, 48))
    path = tmp_path / "front.mp4"
    with (
        av.open(str(tmp_path / "a.mp4")) as source,
        av.open(str(path), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert same_pictures(list(open_video(path)), pictures)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    frames = []
    with pytest.raises(InputError, match="is truncated"):
        iter_into(frames, open_video(path))
    # In decoding order; what is shown is a selection of the whole frames.
    assert frames
    assert all(any(f.planes.same_pixels(p) for p in pictures) for f in frames)


def test_something_appended_to_an_mp4_is_no_damage(tmp_path):
    path, pictures = tmp_path / "a.mp4", noise(16, 16, 2)
    write(path, pictures, info_of(16, 16))
    with open(path, "ab") as file:
        file.write(b"\x7f\xff\xff\xffTAG and more")
    assert same_pictures(list(open_video(path)), pictures)


def test_a_change_of_size_is_reported_after_the_frames_before_it(tmp_path):
    # JPEG pictures of two sizes one after another are a valid .mjpeg file.
    path, frames = tmp_path / "a.mjpeg", []
    for width in (64, 96):
        part = tmp_path / f"{width}.mjpeg"
        luma = np.full((96, width), width, np.uint8)
        encode_with_pyav(part, [luma] * 3, "yuvj420p", "mjpeg", color_range=2)
        with open(path, "ab") as file:
            file.write(part.read_bytes())
    with pytest.raises(InputError, match="from 64x64 to 96x64 at frame 3"):
        iter_into(frames, open_video(path))
    assert len(frames) == 3


def test_raw_video_needs_a_size(tmp_path):
    path = tmp_path / "a.yuv"
    path.write_bytes(bytes(100))
    with pytest.raises(UsageError, match="RawFormat"):
        open_video(path)


def test_raw_video_that_does_not_fit_its_size_is_said(tmp_path):
    path = tmp_path / "a_8x8_25fps.yuv"
    path.write_bytes(bytes(96 + 10))
    with open_video(path) as reader:
        next(reader)
        with pytest.warns(VideoWarning, match="10 of 96 bytes"):
            assert list(reader) == []
    path.write_bytes(bytes(10))
    with (
        pytest.warns(VideoWarning, match="inside frame 0"),
        pytest.raises(InputError, match="no whole frame"),
    ):
        list(open_video(path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("name_416x240_30fps_8bit.yuv", (416, 240, 8, 30)),
        ("BasketballDrill_832x480_50.yuv", (832, 480, 8, 50)),
        ("Beauty_1920x1080_120fps_420_10bit_YUV.yuv", (1920, 1080, 10, 120)),
        ("/a/64x64/Bosphorus_1920x1080.yuv", (1920, 1080, 8, None)),
        ("n_352x288_29.97fps.yuv", (352, 288, 8, 30000 / 1001)),
        ("n_15x17_12.5hz_10bits_le.yuv", (15, 17, 10, 12.5)),
    ],
)
def test_names_of_test_sequences_are_understood(name, expected):
    raw = format_from_name(name)
    rate = None if raw.frame_rate is None else float(raw.frame_rate)
    assert (raw.width, raw.height, raw.bit_depth, rate) == expected


@pytest.mark.parametrize("name", ["clip.yuv", "a_64x64_444.yuv", "a_64x64_12bit.yuv"])
def test_names_that_do_not_say_enough_are_refused(name):
    with pytest.raises(UsageError):
        format_from_name(name)


@pytest.mark.parametrize("wrong", [{"start": -1}, {"frames": 0}, {"frames": -3}])
def test_impossible_spans_are_refused(tmp_path, wrong):
    with pytest.raises(UsageError, match="must be at least"):
        open_video(tmp_path / "any.y4m", **wrong)


def test_raw_format_checks_itself():
    for wrong in ({"width": 0}, {"bit_depth": 9}, {"frame_rate": np.float64(-1)}):
        with pytest.raises(UsageError):
            RawFormat(**{"width": 8, "height": 8} | wrong)
