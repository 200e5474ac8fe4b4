"""Rate and distortion of a codec at several settings, from real bytes and pictures."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from jaxnvc.errors import UsageError, VerificationError
from jaxnvc.evaluation.anchors import AnchorResult
from jaxnvc.metrics import ms_ssim, psnr_yuv
from jaxnvc.metrics.ms_ssim import MIN_SIDE
from jaxnvc.video import Yuv420


class DecodedVideo(Protocol):
    """What decoding a stream gives; `jaxnvc.coding.codec.Video` is one.

    Attributes:
      frames: in display order.
    """

    frames: list[Yuv420]


class VideoCodec(Protocol):
    """What is measured of a model; `jaxnvc.load` gives one."""

    def encode(self, frames: Sequence[Yuv420], *, qp: int, gop: int) -> bytes:
        """Encodes frames to a whole stream."""

    def decode(self, stream: bytes) -> DecodedVideo:
        """Decodes a whole stream."""


@dataclasses.dataclass(frozen=True)
class RdPoint:
    """One codec at one setting on one sequence.

    Attributes:
      codec: its name.
      setting: what was set, such as "qp=32" or "crf=24".
      num_bytes: all bytes of the stream.
      bpp: 8 * num_bytes over the luma pixels of all frames.
      psnr_y: decibels, per frame then averaged, identical planes 100.
      psnr_u: the same of the first chroma plane.
      psnr_v: the same of the second.
      psnr_yuv: (6 psnr_y + psnr_u + psnr_v) / 8.
      ms_ssim: of luma, 0..1; None where the pictures are too small for it.
      encode_fps: frames per second of wall time, compilation excluded.
      decode_fps: the same of decoding.
      detail: version and parameters as the encoder reports them.
    """

    codec: str
    setting: str
    num_bytes: int
    bpp: float
    psnr_y: float
    psnr_u: float
    psnr_v: float
    psnr_yuv: float
    ms_ssim: float | None
    encode_fps: float
    decode_fps: float
    detail: str = ""


def measure_model(
    codec: VideoCodec,
    frames: Sequence[Yuv420],
    qps: Sequence[int],
    gop: int = -1,
    *,
    name: str = "model",
    warmup_frames: int = 2,
) -> list[RdPoint]:
    """Measures a model at several qualities.

    The first frames are coded once before any clock starts, so that programs of this
    size are compiled.

    Args:
      codec: as `jaxnvc.load` gives it.
      frames: at least one, all of one size and depth.
      qps: 0..63 each, higher is better quality.
      gop: distance of intra frames, -1 for only the first.
      name: how the points call the codec.
      warmup_frames: frames coded beforehand; an intra frame and one inter unit.

    Returns:
      One point per qp, in the order given.

    Raises:
      UsageError: no frames, or a setting out of range.
      VerificationError: another number of frames came out than went in.
    """
    _check_frames(frames)
    if qps:
        codec.decode(codec.encode(frames[:warmup_frames], qp=qps[0], gop=gop))
    points = []
    for qp in qps:
        began = time.perf_counter()
        stream = codec.encode(frames, qp=qp, gop=gop)
        encoded = time.perf_counter()
        decoded = codec.decode(stream).frames
        done = time.perf_counter()
        result = AnchorResult(
            num_bytes=len(stream),
            frames=decoded,
            parameters=f"qp={qp} gop={gop}",
            version="",
            encode_seconds=encoded - began,
            decode_seconds=done - encoded,
        )
        points.append(rd_point(name, f"qp={qp}", frames, result))
    return points


def measure_anchor(
    name: str,
    encode: Callable[[Sequence[Yuv420], int], AnchorResult],
    frames: Sequence[Yuv420],
    settings: Sequence[int],
    *,
    setting_name: str = "crf",
) -> list[RdPoint]:
    """Measures an anchor at several settings.

    Args:
      name: how the points call the codec.
      encode: takes frames and a setting; of `anchors`, options bound by `partial`.
      frames: at least one, all of one size and depth.
      settings: given to `encode` one after another.
      setting_name: what a setting is, for `RdPoint.setting`.

    Returns:
      One point per setting, in the order given.

    Raises:
      UsageError: no frames, or what the anchor refuses.
      VerificationError: another number of frames came out than went in.
    """
    _check_frames(frames)
    return [
        rd_point(name, f"{setting_name}={setting}", frames, encode(frames, setting))
        for setting in settings
    ]


def rd_point(
    codec: str, setting: str, frames: Sequence[Yuv420], result: AnchorResult
) -> RdPoint:
    """Compares what came out of a codec with what went in.

    Args:
      codec: name of the codec.
      setting: what was set.
      frames: the source.
      result: bytes, decoded frames and times.

    Raises:
      VerificationError: the numbers of frames differ.
      UsageError: their sizes or bit depths do.
    """
    if len(result.frames) != len(frames):
        raise VerificationError(
            f"{codec} at {setting} returned {len(result.frames)} of {len(frames)} "
            "frames: its rate cannot be measured, so check the decoder"
        )
    first = frames[0]
    psnr = psnr_yuv(frames, result.frames, first.bit_depth)
    is_large = min(first.y.shape) >= MIN_SIDE
    return RdPoint(
        codec=codec,
        setting=setting,
        num_bytes=result.num_bytes,
        bpp=8 * result.num_bytes / (len(frames) * first.y.size),
        psnr_y=psnr["y"],
        psnr_u=psnr["u"],
        psnr_v=psnr["v"],
        psnr_yuv=psnr["yuv"],
        ms_ssim=ms_ssim(frames, result.frames, first.bit_depth) if is_large else None,
        encode_fps=len(frames) / result.encode_seconds,
        decode_fps=len(frames) / result.decode_seconds,
        detail=" ".join(filter(None, (result.version, result.parameters))),
    )


def _check_frames(frames: Sequence[Yuv420]) -> None:
    if not frames:
        raise UsageError("there are 0 frames to measure: give 1 or more")
