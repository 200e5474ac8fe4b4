"""y4m through standard input and output of another process, and named pipes."""

import os
import subprocess
import sys
import threading

import pytest

from jaxnvc.video import create_video, open_video
from tests.video.clips import info_of, noise, same_pictures, timed

COPY = """
from jaxnvc.video import create_video, open_video
with open_video("-", start={start}) as reader, create_video("-", reader.info) as writer:
    for frame in reader:
        writer.write(frame)
"""


def copy_command(start=0):
    return [sys.executable, "-c", COPY.format(start=start)]


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("start", [0, 2])
def test_a_pipe_carries_frames_unchanged(tmp_path, bit_depth, start):
    pictures = noise(127, 65, 5, bit_depth)
    path = tmp_path / "a.y4m"
    with create_video(path, info_of(127, 65, bit_depth)) as writer:
        for frame in timed(pictures):
            writer.write(frame)
    result = subprocess.run(
        copy_command(start), input=path.read_bytes(), capture_output=True, check=True
    )
    assert result.stderr == b""
    (tmp_path / "b.y4m").write_bytes(result.stdout)
    assert same_pictures(list(open_video(tmp_path / "b.y4m")), pictures[start:])


def test_a_named_pipe_is_read_and_written_in_place(tmp_path):
    pictures, pipe = noise(16, 16, 2), tmp_path / "pipe.y4m"
    os.mkfifo(pipe)

    def produce():
        with create_video(pipe, info_of(16, 16)) as writer:
            for frame in timed(pictures):
                writer.write(frame)

    producer = threading.Thread(target=produce)
    producer.start()
    with open_video(pipe) as reader:
        frames = list(reader)
    producer.join()
    assert same_pictures(frames, pictures)


def test_a_reader_that_goes_away_is_a_broken_pipe(tmp_path):
    path = tmp_path / "a.y4m"
    with create_video(path, info_of(176, 144)) as writer:
        for frame in timed(noise(176, 144, 8)):
            writer.write(frame)
    with open(path, "rb") as source:
        process = subprocess.Popen(
            copy_command(), stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        process.wait(timeout=20)
    assert b"BrokenPipeError" in errors


def test_standard_input_that_is_no_y4m_is_reported():
    result = subprocess.run(
        copy_command(), input=b"hello\n", capture_output=True, check=False
    )
    assert b"standard input does not begin with a YUV4MPEG2 header" in result.stderr
    assert result.stdout == b""
