"""Codecs to be measured against, through PyAV and in memory.

Each anchor encodes, decodes what it encoded, and reports both with the real number of
bytes; nothing is estimated. Both run on one thread: their speeds are those of one
core, and x264 cuts no slices, which would cost it bits.
"""

import dataclasses
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import av
import av.error
import numpy as np

from jaxnvc.errors import UsageError, VerificationError
from jaxnvc.video import Yuv420

_TIME_BASE = Fraction(1, 25)
_FULL_RANGE = 2  # AVColorRange
# A supplemental NAL unit with user data (H.264 7.3.2.3, D.1.7), to the next start code.
_USER_DATA = re.compile(rb"\x00\x00\x01\x06\x05.*?(?=\x00\x00\x01|\Z)", re.DOTALL)
_X264_NOTE = re.compile(rb"x264 - (core [^ ]+[^\x00]*?) - options: ([^\x00]*)")


@dataclasses.dataclass(frozen=True)
class AnchorResult:
    """What an anchor made of a sequence.

    Attributes:
      num_bytes: all bytes of the stream that was decoded.
      frames: the decoded pictures, as many and as large as the source's.
      parameters: what the encoder was told and, of x264, what it says it did.
      version: the encoder's version.
      encode_seconds: wall time of encoding, on one thread.
      decode_seconds: wall time of decoding, on one thread.
    """

    num_bytes: int
    frames: list[Yuv420]
    parameters: str
    version: str
    encode_seconds: float
    decode_seconds: float


def encode_x264(
    frames: Sequence[Yuv420],
    crf: float,
    *,
    preset: str = "medium",
    tune: str = "zerolatency",
) -> AnchorResult:
    """H.264 by x264: one intra frame, then P frames only, no look-ahead.

    The bytes are those of the Annex B stream, a whole file by itself. The note of some
    700 bytes in which x264 records its options is read and taken out, in favour of the
    anchor: no decoder needs it, and it would dominate short clips. Odd sizes are
    coded with the last luma row or column repeated, and cropped again.

    Args:
      frames: at least one, all of one size and of 8 or 10 bits.
      crf: 0..51, lower is better quality and more bits.
      preset: x264's name of a speed, "ultrafast" to "placebo".
      tune: x264's tunings; "zerolatency", or "zerolatency,psnr" without the visual
        optimisations that cost PSNR.

    Returns:
      The result, decoded by FFmpeg's H.264 decoder.

    Raises:
      UsageError: no frames, unequal ones, or what x264 refuses.
      VerificationError: other than one keyframe, or frames went missing.
    """
    first = _first_of(frames)
    if not 0 <= crf <= 51:
        raise UsageError(f"crf={crf} is not a quality of x264: use 0 to 51")
    width, height = first.width + first.width % 2, first.height + first.height % 2
    pixel_format = "yuv420p" if first.bit_depth == 8 else "yuv420p10le"
    options = {
        "preset": preset,
        "tune": tune,
        "crf": f"{crf:g}",
        "bf": "0",
        "x264-params": "keyint=infinite:scenecut=0",
    }
    packets, encode_seconds = _encode(
        "libx264", options, _pictures(frames, pixel_format, width, height)
    )
    _check_one_keyframe(packets)
    data = [packet for packet, _ in packets]
    version, reported = _x264_note(data[0])
    data[0] = _USER_DATA.sub(b"", data[0])
    decoded, decode_seconds = _decode("h264", data, first)
    return _result(
        frames,
        data,
        decoded,
        parameters=f"{_told(options)} | {reported}",
        version=f"x264 {version}",
        encode_seconds=encode_seconds,
        decode_seconds=decode_seconds,
    )


def _check_one_keyframe(packets) -> None:
    num_keyframes = sum(is_key for _, is_key in packets)
    if num_keyframes != 1:
        raise VerificationError(
            f"x264 made {num_keyframes} keyframes where 1 was asked for: its rate is "
            "not comparable, so check this build of PyAV"
        )


def encode_mjpeg(frames: Sequence[Yuv420], qscale: int) -> AnchorResult:
    """JPEG, every picture by itself, by FFmpeg's encoder with optimal Huffman codes.

    The planes are coded as they are: JPEG calls its samples full range, but that is a
    label, and no sample is converted either way.

    Args:
      frames: at least one, all of one size and of 8 bits.
      qscale: 1..31, the quantiser; lower is better quality and more bits.

    Returns:
      The result; its bytes are those of whole JPEG files, tables included.

    Raises:
      UsageError: no frames, unequal ones, 10 bits, or a quantiser out of range.
      VerificationError: frames went missing.
    """
    first = _first_of(frames)
    if first.bit_depth != 8:
        raise UsageError("JPEG holds 8 bits, the frames have 10: use x264 instead")
    if not 1 <= qscale <= 31:
        raise UsageError(f"qscale={qscale} is not a quantiser of JPEG: use 1 to 31")
    # Bit-exact here means: without the note of the library's version in each picture.
    options = {
        "qmin": f"{qscale}",
        "qmax": f"{qscale}",
        "huffman": "optimal",
        "flags": "+bitexact",
    }
    packets, encode_seconds = _encode(
        "mjpeg", options, _pictures(frames, "yuvj420p", first.width, first.height)
    )
    data = [packet for packet, _ in packets]
    decoded, decode_seconds = _decode("mjpeg", data, first)
    major, minor, micro = av.library_versions["libavcodec"]
    return _result(
        frames,
        data,
        decoded,
        parameters=_told(options),
        version=f"libavcodec {major}.{minor}.{micro}",
        encode_seconds=encode_seconds,
        decode_seconds=decode_seconds,
    )


def _first_of(frames: Sequence[Yuv420]) -> Yuv420:
    """The first frame, once all are known to be like it."""
    if not frames:
        raise UsageError("there are 0 frames to encode, but an anchor needs 1 or more")
    kinds = {(frame.width, frame.height, frame.bit_depth) for frame in frames}
    if len(kinds) > 1:
        raise UsageError(
            f"the frames differ in width, height or bit depth ({sorted(kinds)}): "
            "an anchor needs frames of one kind"
        )
    return frames[0]


def _told(options: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items())


def _x264_note(packet: bytes) -> tuple[str, str]:
    """Version and options that x264 wrote into its first packet."""
    note = _X264_NOTE.search(packet)
    if note is None:
        return "of unknown version", "no options reported"
    version, options = (part.decode("ascii", "replace") for part in note.groups())
    return version.split(" - ")[0], options


def _pictures(
    frames: Iterable[Yuv420], pixel_format: str, width: int, height: int
) -> Iterator[av.VideoFrame]:
    """Frames for an encoder, luma padded to width x height by repetition."""
    for number, frame in enumerate(frames):
        padding = ((0, height - frame.height), (0, width - frame.width))
        luma = np.pad(frame.y, padding, mode="edge")
        picture = av.VideoFrame(width, height, pixel_format)
        for target, plane in zip(picture.planes, (luma, frame.u, frame.v), strict=True):
            rows, columns = plane.shape
            _samples(target, plane.dtype)[:rows, :columns] = plane
        picture.pts, picture.time_base = number, _TIME_BASE
        if pixel_format == "yuvj420p":
            picture.color_range = _FULL_RANGE
        yield picture


def _samples(plane, dtype: np.dtype) -> np.ndarray:
    """A view of a PyAV plane as rows, with the padding of each row at its end."""
    samples = np.frombuffer(plane, dtype)
    return samples.reshape(-1, plane.line_size // samples.itemsize)


def _encode(
    encoder: str, options: dict[str, str], pictures: Iterator[av.VideoFrame]
) -> tuple[list[tuple[bytes, bool]], float]:
    """Encodes on one thread.

    Returns:
      Bytes and keyframe flag of each packet, and the seconds it took.
    """
    began = time.perf_counter()
    first = next(pictures)
    packets = []
    try:
        context = av.CodecContext.create(encoder, "w")
        context.width, context.height = first.width, first.height
        context.pix_fmt = first.format.name
        context.time_base, context.framerate = _TIME_BASE, 1 / _TIME_BASE
        context.thread_count = 1
        if encoder == "mjpeg":
            context.color_range = _FULL_RANGE
        context.options = options
        for picture in (first, *_then_flush(pictures)):
            packets += [(bytes(p), p.is_keyframe) for p in context.encode(picture)]
    except (av.error.FFmpegError, ValueError) as error:
        raise UsageError(
            f"the {encoder} encoder refuses {first.width}x{first.height} frames with "
            f"{_told(options)} ({error}): check size and options"
        ) from error
    return packets, time.perf_counter() - began


def _then_flush(pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame | None]:
    yield from pictures
    yield None


def _decode(
    decoder: str, packets: Sequence[bytes], like: Yuv420
) -> tuple[list[Yuv420], float]:
    """Decodes on one thread to pictures of the size of `like`; and the seconds."""
    began = time.perf_counter()
    context = av.CodecContext.create(decoder, "r")
    context.thread_count = 1
    pictures = []
    for packet in (*map(av.Packet, packets), None):
        for picture in context.decode(packet):
            planes = (
                _samples(plane, like.y.dtype)[: wanted.shape[0], : wanted.shape[1]]
                for plane, wanted in zip(picture.planes, like.planes, strict=True)
            )
            pictures.append(Yuv420(*(plane.copy() for plane in planes)))
    return pictures, time.perf_counter() - began


def _result(
    frames: Sequence[Yuv420], data: list[bytes], decoded: list[Yuv420], **known
) -> AnchorResult:
    """Counts the bytes of a stream that decoded to as many frames as went in."""
    if len(decoded) != len(frames):
        raise VerificationError(
            f"{len(frames)} frames went into the anchor and {len(decoded)} came out: "
            "its rate is not comparable, so check this build of PyAV"
        )
    return AnchorResult(num_bytes=sum(map(len, data)), frames=decoded, **known)
