import hashlib
from fractions import Fraction

import av
import numpy as np
import pytest

from jaxnvc.video import FrameMd5Writer, VideoFrame
from tests.video.clips import info_of, noise, timed


def ours(path, pictures, info, times=None):
    with FrameMd5Writer(path, info) as writer:
        for frame in timed(pictures, times):
            writer.write(frame)
    return path.read_text()


def ffmpegs(path, pictures, info):
    """The same from FFmpeg's own muxer, less the line that names the software."""
    pixel_format = "yuv420p" if info.bit_depth == 8 else "yuv420p10le"
    with av.open(str(path), "w", format="framemd5") as container:
        stream = container.add_stream("rawvideo", rate=info.frame_rate)
        stream.width, stream.height = info.width, info.height
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = info.time_base
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame(info.width, info.height, pixel_format)
            for plane, values in zip(frame.planes, picture.planes, strict=True):
                rows = np.frombuffer(plane, values.dtype).reshape(
                    -1, plane.line_size // values.itemsize
                )
                rows[: values.shape[0], : values.shape[1]] = values
            frame.pts, frame.time_base, frame.duration = index, info.time_base, 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_text()


def without_software(text):
    return [line for line in text.splitlines() if not line.startswith("#software")]


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 17), (176, 144)])
def test_the_file_is_ffmpegs_line_by_line(tmp_path, width, height, bit_depth):
    pictures = noise(width, height, 3, bit_depth)
    info = info_of(width, height, bit_depth, frame_rate=Fraction(30000, 1001))
    got = ours(tmp_path / "ours", pictures, info)
    assert without_software(got) == without_software(
        ffmpegs(tmp_path / "theirs", pictures, info)
    )
    assert "#software: jaxnvc\n" in got


def test_each_line_is_the_md5_of_the_planes_one_after_another(tmp_path):
    pictures = noise(17, 31, 2, 10)
    text = ours(tmp_path / "a", pictures, info_of(17, 31, 10))
    lines = [line for line in text.splitlines() if line[0] != "#"]
    for index, (line, picture) in enumerate(zip(lines, pictures, strict=True)):
        raw = b"".join(
            int(sample).to_bytes(2, "little")
            for plane in (picture.y, picture.u, picture.v)
            for sample in plane.ravel()
        )
        fields = [field.strip() for field in line.split(",")]
        digest = hashlib.md5(raw).hexdigest()
        assert fields == ["0", str(index), str(index), "1", str(len(raw)), digest]


def test_times_are_carried_and_missing_ones_follow_on(tmp_path):
    info = info_of(2, 2, time_base=Fraction(1, 100), sample_aspect=Fraction(12, 11))
    text = ours(tmp_path / "a", noise(2, 2, 4), info, [10, None, 50, None])
    rows = [line.split(",") for line in text.splitlines() if line[0] != "#"]
    assert [int(row[2]) for row in rows] == [10, 14, 50, 54]
    assert {int(row[3]) for row in rows} == {4}
    assert "#tb 0: 1/100\n" in text
    assert "#sar 0: 12/11\n" in text


def test_checksums_before_a_failure_are_kept(tmp_path):
    path = tmp_path / "a"

    def fail_after_one_frame():
        with FrameMd5Writer(path, info_of(2, 2)) as writer:
            writer.write(VideoFrame(noise(2, 2, 1)[0]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_one_frame()
    assert len(path.read_text().splitlines()) == 11
