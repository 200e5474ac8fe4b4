"""One clip, one codec, one setting: a stream on disk, decoded elsewhere, compared."""

import csv
import dataclasses
import hashlib
import itertools
import math
import os
import pathlib
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from jaxnvc.errors import InputError, UsageError, VerificationError
from jaxnvc.evaluation.coders import Coder
from jaxnvc.evaluation.crops import Window, busiest_window, write_crop
from jaxnvc.evaluation.program_metrics import ProgramMetrics
from jaxnvc.evaluation.suite import Sequence
from jaxnvc.evaluation.worker import Worker
from jaxnvc.metrics.ms_ssim import MIN_SIDE, ms_ssim_plane
from jaxnvc.metrics.psnr import CHROMA_WEIGHT, LUMA_WEIGHT, plane_psnr
from jaxnvc.metrics.rgb import ms_ssim_rgb, psnr_rgb
from jaxnvc.video import BT709, Colour, Yuv420, open_video, yuv420_to_rgb

PART = "part-"
"""What the names of streams begin with that are not whole yet."""


@dataclasses.dataclass(frozen=True)
class Extras:
    """What is measured only where it was asked for, since it takes its time.

    Attributes:
      with_vmaf: VMAF and XPSNR, with FFmpeg's program.
      with_rgb: PSNR and MS-SSIM of R'G'B', as `jaxnvc.video.rgb` converts.
    """

    with_vmaf: bool = False
    with_rgb: bool = False


@dataclasses.dataclass(frozen=True)
class Clip:
    """A sequence that was looked at.

    Attributes:
      sequence: where it is.
      frames: how many of its frames are measured.
      width: luma columns.
      height: luma rows.
      bit_depth: 8 or 10.
      fps: frames per second.
      colour: as the file says it.
      window: the part shown in reports.
    """

    sequence: Sequence
    frames: int
    width: int
    height: int
    bit_depth: int
    fps: Fraction
    colour: Colour
    window: Window

    @property
    def name(self) -> str:
        """How results call it."""
        return self.sequence.name

    @property
    def pixels(self) -> int:
        """Luma pixels of all frames measured."""
        return self.frames * self.width * self.height


def probe(sequence: Sequence, frames: int | None = None) -> Clip:
    """Looks at a sequence.

    Args:
      sequence: to be measured.
      frames: how many frames; all that the suite names, or that are there, if None.

    Raises:
      InputError: it is missing, is not what the suite says, or is too short.
    """
    sequence.check()
    wanted = frames or sequence.frames
    with sequence.open(wanted) as reader:
        info, first = reader.info, next(reader).planes
        count = 1 + sum(1 for _ in reader)
    if wanted is not None and count < wanted:
        raise InputError(
            f"{sequence.path} has {count} frames and {wanted} were asked for: ask for "
            "fewer frames, or give the whole clip"
        )
    return Clip(
        sequence=sequence,
        frames=count,
        width=info.width,
        height=info.height,
        bit_depth=info.bit_depth,
        fps=sequence.frame_rate(info),
        colour=info.colour,
        window=busiest_window(first.y),
    )


@dataclasses.dataclass(frozen=True)
class Pair:
    """The process that encodes and the one that decodes."""

    encoder: Worker
    decoder: Worker


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the files of one measurement go, below a run's folder.

    Attributes:
      folder: of the run.
      clip: its name.
      stem: codec and setting.
    """

    folder: pathlib.Path
    clip: str
    stem: str

    def file(self, kind: str, suffix: str) -> pathlib.Path:
        """Path of a file, its folder made."""
        path = self.folder / kind / self.clip / f"{self.stem}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def source_crop(self) -> pathlib.Path:
        """Path of the part of the source that reports show."""
        return self.folder / "crops" / self.clip / "source.png"


def measure(
    pair: Pair,
    coder: Coder,
    rate: int,
    clip: Clip,
    folder: pathlib.Path,
    extras: Extras,
) -> dict:
    """Encodes, decodes and compares; writes stream, per-frame CSV and crop.

    Args:
      pair: processes that do the work.
      coder: the codec.
      rate: its setting.
      clip: what to encode.
      folder: of the run.
      extras: what is measured besides PSNR and MS-SSIM of the planes.

    Returns:
      The fields of a result; sizes in bytes, qualities in decibels or 0..1.

    Raises:
      JaxnvcError: the codec failed, or what it decodes to does not fit the source.
    """
    places = Places(folder, clip.name, f"{coder.name}_{coder.rate_name}{rate}")
    stream = places.file("streams", coder.suffix)
    part = stream.with_name(PART + stream.name)
    encoded = pair.encoder.encode(coder, rate, clip.sequence, clip.frames, str(part))
    os.replace(part, stream)
    shown = places.file("decoded", ".y4m")
    model = coder.model if coder.model and os.path.exists(coder.model) else None
    try:
        decoded = pair.decoder.decode(str(stream), str(shown), model)
        rows, extra = compare(clip, shown, places, extras)
    finally:
        shown.unlink(missing_ok=True)
    _write_rows(places.file("frames", ".csv"), rows, encoded, decoded)
    return {
        **_size(clip, stream),
        **{name: _mean(rows, name) for name in rows[0]},
        **extra,
        "encode_seconds": encoded["seconds"],
        "decode_seconds": decoded["seconds"],
        "encode_fps": clip.frames / encoded["seconds"],
        "decode_fps": clip.frames / decoded["seconds"],
        "encode_first_use_seconds": encoded["first_use_seconds"],
        "decode_first_use_seconds": decoded["first_use_seconds"],
        "encode_peak_mib": encoded["peak_mib"],
        "decode_peak_mib": decoded["peak_mib"],
        "version": encoded["version"],
        "model_id": encoded["model_id"],
        "stream": str(stream.relative_to(folder)),
    }


def _size(clip: Clip, stream: pathlib.Path) -> dict:
    """What was encoded, and all bytes of the file it became."""
    num_bytes = stream.stat().st_size
    return {
        "frames": clip.frames,
        "width": clip.width,
        "height": clip.height,
        "bit_depth": clip.bit_depth,
        "fps": str(clip.fps),
        "num_bytes": num_bytes,
        "bpp": 8 * num_bytes / clip.pixels,
        "kbps": float(8 * num_bytes * clip.fps / clip.frames / 1000),
        "sha256": hashlib.sha256(stream.read_bytes()).hexdigest(),
    }


def compare(
    clip: Clip, shown: pathlib.Path, places: Places, extras: Extras
) -> tuple[list[dict], dict]:
    """Compares a decoded file with the source, frame by frame.

    Args:
      clip: the source.
      shown: y4m file of what was decoded.
      places: where the crops go.
      extras: what else is measured.

    Returns:
      Qualities per frame, and `vmaf` and `xpsnr` of the whole if asked for.

    Raises:
      VerificationError: another number of frames, or another size.
    """
    rows, middle = [], clip.frames // 2
    with ProgramMetrics(shown, clip, wanted=extras.with_vmaf) as program:
        for number, (source, decoded) in enumerate(_frame_pairs(clip, shown)):
            rows.append(_qualities(source, decoded))
            if extras.with_rgb:
                rows[-1] |= _rgb_qualities(source, decoded, clip.colour)
            program.add(source, decoded)
            if number == middle:
                path = places.source_crop()
                crop = places.file("crops", ".png")
                if not path.exists():
                    write_crop(path, source, clip.window, clip.colour)
                write_crop(crop, decoded, clip.window, clip.colour)
        return rows, program.finish()


def _frame_pairs(clip: Clip, shown: pathlib.Path) -> Iterator[tuple[Yuv420, Yuv420]]:
    """Pairs of source and decoded frame, in the source's size and depth."""
    with clip.sequence.open(clip.frames) as sources, open_video(shown) as decoded:
        pairs = itertools.zip_longest(sources, decoded)
        for number, (source, frame) in enumerate(pairs):
            if source is None or frame is None:
                which = "more" if source is None else "fewer"
                raise VerificationError(
                    f"the decoder returned {which} frames than the {clip.frames} that "
                    f"were encoded ({number}): its rate cannot be measured"
                )
            yield source.planes, fit(frame.planes, source.planes)


def fit(frame: Yuv420, like: Yuv420) -> Yuv420:
    """Crops the repeated edge of odd sizes, and rounds 10 bits to a source's 8.

    Raises:
      VerificationError: the sizes are not those of one clip.
    """
    extra = frame.width - like.width, frame.height - like.height
    if any(size not in (0, 1) for size in extra):
        raise VerificationError(
            f"the decoder returned {frame.width}x{frame.height} pictures of a "
            f"{like.width}x{like.height} clip: they cannot be compared"
        )
    planes = [
        plane[: wanted.shape[0], : wanted.shape[1]]
        for plane, wanted in zip(frame.planes, like.planes, strict=True)
    ]
    if frame.bit_depth > like.bit_depth:
        planes = [np.minimum((p + 2) >> 2, 255).astype(np.uint8) for p in planes]
    if frame.bit_depth < like.bit_depth:
        raise UsageError("a clip of 10 bits was coded with 8: use another encoder")
    return Yuv420(*planes)


def _qualities(source: Yuv420, decoded: Yuv420) -> dict:
    depth = source.bit_depth
    y, u, v = (
        plane_psnr(a, b, depth)
        for a, b in zip(source.planes, decoded.planes, strict=True)
    )
    is_large = min(source.y.shape) >= MIN_SIDE
    similarity = float(ms_ssim_plane(source.y, decoded.y, depth)) if is_large else None
    return {
        "psnr_y": y,
        "psnr_u": u,
        "psnr_v": v,
        "psnr_yuv": LUMA_WEIGHT * y + CHROMA_WEIGHT * (u + v),
        "ms_ssim": similarity,
    }


def _rgb_qualities(source: Yuv420, decoded: Yuv420, colour: Colour) -> dict:
    depth, colour = source.bit_depth, colour.filled_from(BT709)
    pair = [[yuv420_to_rgb(p, colour, depth)] for p in (source, decoded)]
    is_large = min(source.y.shape) >= MIN_SIDE
    return {
        "psnr_rgb": psnr_rgb(*pair, depth),
        "ms_ssim_rgb": ms_ssim_rgb(*pair, depth) if is_large else None,
    }


def _mean(rows: list[dict], name: str) -> float | None:
    values = [row[name] for row in rows]
    return None if None in values else math.fsum(values) / len(values)


def _write_rows(path: pathlib.Path, rows, encoded: dict, decoded: dict) -> None:
    """Writes what every frame cost and how good it is."""
    columns = {
        "kind": encoded["frame_kinds"],
        "bytes": encoded["frame_bytes"],
        "encode_ms": [s and round(1e3 * s, 3) for s in encoded["frame_seconds"]],
        "decode_ms": [round(1e3 * s, 3) for s in decoded["frame_seconds"]],
    }
    with path.open("w", newline="") as file:
        names = ["frame", "kind", "bytes", *rows[0], "encode_ms", "decode_ms"]
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for number, row in enumerate(rows):
            # Formatted and not rounded: a picture without loss has 100 dB exactly.
            values = {k: "" if v is None else f"{v:.5f}" for k, v in row.items()}
            for name, column in columns.items():
                values[name] = column[number] if number < len(column) else ""
            writer.writerow({"frame": number, **values})
