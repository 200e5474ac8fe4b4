"""Encodes clips to elementary streams with PyAV or FFmpeg's program; decodes them.

What is written is a file that any player opens; `Coder.command` says how to write the
same bytes by hand. One thread throughout: x264 cuts no slices, which would cost it
bits, and speeds are those of one core.
"""

import os
import pathlib
import re
import shlex
import subprocess
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import av.bitstream
import av.error
import numpy as np

from jaxnvc.errors import InputError, UsageError, VerificationError
from jaxnvc.evaluation.coders import TOOLS, Coder, Tool, ffmpeg_program
from jaxnvc.evaluation.coding import Decoded, Encoded
from jaxnvc.video import VideoFrame, VideoInfo, Yuv420, create_video

_FULL_RANGE = 2  # AVColorRange
_PICTURE_FORMATS = {8: "yuv420p", 10: "yuv420p10le"}
# What x264 and x265 write about themselves into their first packet.
_VERSION = re.compile(rb"(x264 - core \w+|x265 \(build \d+\) - [\w.+-]+)")

_PROGRAM_VERSION = re.compile(r"\[(lib\S+) @ \w+\] (?:\S* ?version:? )?(v?\d[\w.-]+)")


def encode(
    coder: Coder, rate: int, frames: Iterable[Yuv420], fps: Fraction, out: str
) -> Encoded:
    """Encodes frames to a file.

    Odd sizes are coded with the last luma row or column repeated; 8 bits are coded
    as 10, samples times 4, by an encoder that has no other.

    Args:
      coder: an encoder.
      rate: its setting.
      frames: all of one size and of 8 or 10 bits.
      fps: frames per second.
      out: file to write, replaced if it exists.

    Raises:
      UsageError: what the encoder refuses.
      VerificationError: it made other intra frames than it was told.
    """
    tool = TOOLS[coder.tool]
    frames = (_fitted(frame, tool) for frame in frames)
    if tool.via_ffmpeg:
        return _encode_with_program(coder, rate, frames, fps, out)
    return _encode_with_pyav(coder, rate, frames, fps, out)


def _fitted(frame: Yuv420, tool: Tool) -> Yuv420:
    """The frame in even size and a depth that the encoder has."""
    y, u, v = frame.planes
    padding = ((0, frame.height % 2), (0, frame.width % 2))
    y = np.pad(y, padding, mode="edge")
    if frame.bit_depth in tool.bit_depths:
        return Yuv420(y, u, v)
    if frame.bit_depth == 10:
        raise UsageError(f"{tool.library} codes 8 bits, the clip has 10: use another")
    return Yuv420(*(plane.astype(np.uint16) << 2 for plane in (y, u, v)))


def _encode_with_pyav(
    coder: Coder, rate: int, frames: Iterator[Yuv420], fps: Fraction, out: str
) -> Encoded:
    tool, options, result = TOOLS[coder.tool], coder.options(rate), Encoded()
    first = next(frames)
    try:
        with av.open(out, "w", format=tool.muxer) as container:
            stream = container.add_stream(tool.library, rate=fps, options=options)
            _describe(stream.codec_context, first, tool, fps)
            packets, sizes = _packets(stream, _chain(first, frames), result), {}
            for packet in _filtered(stream, packets, tool):
                sizes[packet.pts] = (packet.size, packet.is_keyframe)
                container.mux(packet)
    except (av.error.FFmpegError, ValueError) as error:
        told = " ".join(f"{name}={value}" for name, value in options.items())
        raise UsageError(
            f"{tool.library} refuses {first.width}x{first.height} frames with {told} "
            f"({error}): check size and options"
        ) from error
    result.frame_bytes = [sizes[pts][0] for pts in sorted(sizes)]
    result.frame_kinds = [
        "intra" if sizes[pts][1] else "inter" for pts in sorted(sizes)
    ]
    _check_intra(coder, result)
    result.version = _pyav_version(tool)
    return result


def _describe(context, first: Yuv420, tool: Tool, fps: Fraction) -> None:
    """Tells an encoder's context what comes."""
    context.width, context.height = first.width, first.height
    context.pix_fmt = _PICTURE_FORMATS[first.bit_depth]
    context.time_base, context.thread_count = 1 / fps, 1
    if tool.library == "mjpeg":
        # JPEG calls its samples full range; a label, no sample is converted.
        context.pix_fmt, context.color_range = "yuvj420p", _FULL_RANGE


def _chain(first: Yuv420, rest: Iterator[Yuv420]) -> Iterator[Yuv420 | None]:
    """All frames, and then None, which empties an encoder."""
    yield first
    yield from rest
    yield None


def _packets(stream, frames: Iterator[Yuv420 | None], result: Encoded):
    """Encodes, and notes the time it takes frame by frame."""
    pixel_format = stream.codec_context.pix_fmt
    time_base = stream.codec_context.time_base
    for number, frame in enumerate(frames):
        picture = None
        if frame is not None:
            picture = _picture(frame, pixel_format)
            picture.pts, picture.time_base = number, time_base
        began = time.perf_counter()
        packets = stream.encode(picture)
        result.seconds += time.perf_counter() - began
        if picture is not None:
            result.frame_seconds.append(time.perf_counter() - began)
        yield from packets


def _filtered(stream, packets, tool: Tool):
    """Takes the notes out of packets."""
    if tool.bitstream_filter is None:
        yield from packets
        return
    notes = None
    for packet in packets:
        notes = notes or av.bitstream.BitStreamFilterContext(
            tool.bitstream_filter, stream
        )
        for filtered in notes.filter(packet):
            filtered.stream = stream
            yield filtered


def _picture(frame: Yuv420, pixel_format: str) -> av.VideoFrame:
    picture = av.VideoFrame(frame.width, frame.height, pixel_format)
    if pixel_format == "yuvj420p":
        picture.color_range = _FULL_RANGE
    for target, plane in zip(picture.planes, frame.planes, strict=True):
        rows, columns = plane.shape
        _samples(target, plane.dtype)[:rows, :columns] = plane
    return picture


def _samples(plane, dtype: np.dtype) -> np.ndarray:
    """A view of a PyAV plane as rows, with the padding of each row at its end."""
    samples = np.frombuffer(plane, dtype)
    return samples.reshape(-1, plane.line_size // samples.itemsize)


def _check_intra(coder: Coder, result: Encoded) -> None:
    """Refuses a stream with intra frames that low delay does not have."""
    count = result.frame_kinds.count("intra")
    if coder.mode == "ld" and coder.tool != "jpeg" and count != 1:
        raise VerificationError(
            f"{coder.name} made {count} intra frames where 1 was asked for: its rate "
            "is not comparable, so check this build of PyAV"
        )


def _pyav_version(tool: Tool) -> str:
    """What the library says of itself, else FFmpeg's version and its file's."""
    context = av.CodecContext.create(tool.library, "w")
    _describe(context, _grey(), tool, Fraction(25))
    context.options = {"x265-params": "log-level=error"} if "265" in tool.suffix else {}
    picture = _picture(_grey(), context.pix_fmt)
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    packets = [*context.encode(picture), *context.encode(None)]
    note = _VERSION.search(b"".join(map(bytes, packets)))
    numbers = ".".join(map(str, av.library_versions["libavcodec"]))
    libavcodec = f"libavcodec {numbers}"
    if note:
        return f"{note[1].decode()}, {libavcodec}"
    stem = tool.library.removeprefix("lib")
    folder = pathlib.Path(av.__file__).parents[1] / "av.libs"
    files = [p.name for p in folder.glob("*") if stem in p.name.lower()]
    return ", ".join([*files, libavcodec])


def _grey() -> Yuv420:
    y, c = np.full((64, 64), 128, np.uint8), np.full((32, 32), 128, np.uint8)
    return Yuv420(y, c, c)


def _encode_with_program(
    coder: Coder, rate: int, frames: Iterator[Yuv420], fps: Fraction, out: str
) -> Encoded:
    """Encodes with FFmpeg's program, from a y4m file that it reads."""
    source, first, count = f"{out}.y4m", next(frames), 1
    info = _info(first, fps)
    try:
        with create_video(source, info, overwrite=True) as writer:
            writer.write(VideoFrame(first))
            for frame in frames:
                writer.write(VideoFrame(frame))
                count += 1
        options = ["-hide_banner", "-nostdin", "-nostats", "-y"]
        command = [ffmpeg_program(), *options, *coder.command(rate, source, out, count)]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
    finally:
        pathlib.Path(source).unlink(missing_ok=True)
    if done.returncode or not os.path.getsize(out):
        reason = " ".join(done.stderr.split())[-300:]
        raise UsageError(f"{shlex.join(command)} failed: {reason}")
    result = Encoded(seconds=seconds, version=_program_version(done.stderr))
    with av.open(out) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    # These streams do not say when a packet is shown: sizes are in coding order.
    result.frame_bytes = [p.size for p in packets]
    result.frame_kinds = ["intra" if p.is_keyframe else "inter" for p in packets]
    return result


def _info(frame: Yuv420, fps: Fraction) -> VideoInfo:
    return VideoInfo(
        width=frame.width,
        height=frame.height,
        bit_depth=frame.bit_depth,
        frame_rate=fps,
        time_base=1 / fps,
    )


def _program_version(said: str) -> str:
    """The program's version, and the encoder's as it said it while it worked."""
    head = [ffmpeg_program(), "-version"]
    text = subprocess.run(head, capture_output=True, text=True, check=False).stdout
    program = " ".join(text.split()[:3])
    encoder = _PROGRAM_VERSION.search(said)
    return f"{encoder[1]} {encoder[2]}, {program}" if encoder else program


def decode(path: str, out: str) -> Decoded:
    """Decodes an elementary stream to a y4m file, on one thread.

    Raises:
      InputError: nothing can be decoded.
    """
    result, writer = Decoded(), None
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_count, stream.thread_type = 1, "NONE"
            began = time.perf_counter()
            for picture in container.decode(stream):
                result.frame_seconds.append(time.perf_counter() - began)
                planes = _planes(picture)
                if writer is None:
                    rate = stream.average_rate or Fraction(25)
                    writer = create_video(out, _info(planes, rate), overwrite=True)
                writer.write(VideoFrame(planes))
                began = time.perf_counter()
    except av.error.FFmpegError as error:
        raise InputError(f"{path} cannot be decoded ({error}): make it again") from None
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise InputError(f"{path} holds no picture: make it again")
    result.seconds = sum(result.frame_seconds)
    return result


def _planes(picture: av.VideoFrame) -> Yuv420:
    """A decoded picture as planes of its own memory."""
    dtype = np.dtype(np.uint16 if "10" in picture.format.name else np.uint8)
    width, height = picture.width, picture.height
    half = (height + 1) // 2, (width + 1) // 2
    shapes = [(height, width), half, half]
    return Yuv420(
        *(
            _samples(plane, dtype)[:rows, :columns].copy()
            for plane, (rows, columns) in zip(picture.planes, shapes, strict=True)
        )
    )
