"""Speed of a model: frames per second with real bytes, compile time apart.

A stream of one intra frame and whole inter units is encoded to a file, packet by
packet, and decoded from it. The intra frame, the first two units and the last are not
timed: the encoder is one unit ahead of what it hands out, and at the end it is not.
"""

import contextlib
import pathlib
import platform
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from jaxnvc.bitstream import Damage, StreamReader, StreamWriter
from jaxnvc.coding.codec import Codec
from jaxnvc.coding.decoder import decode_events
from jaxnvc.errors import UsageError, VerificationError
from jaxnvc.evaluation.bench_parts import bench_breakdown, bench_stages
from jaxnvc.evaluation.worker import device_peak_mib, peak_mib
from jaxnvc.video import VideoFrame, VideoInfo, Yuv420

# 97 frames of chunks of eight, as the published speeds are measured.
UNITS = 12
_UNTIMED = 3
_PICTURES = 16
_COMPILED = "/jax/core/compile/backend_compile_duration"


def resized(planes: Yuv420, width: int, height: int) -> Yuv420:
    """Returns planes cropped, or mirrored and cropped, to a size."""

    def fit(plane, rows, columns):
        pad = [
            (0, max(0, rows - plane.shape[0])),
            (0, max(0, columns - plane.shape[1])),
        ]
        return np.pad(plane, pad, mode="symmetric")[:rows, :columns]

    half = (height + 1) // 2, (width + 1) // 2
    return Yuv420(
        fit(planes.y, height, width), fit(planes.u, *half), fit(planes.v, *half)
    )


def synthetic_frames(width: int, height: int, count: int = _PICTURES) -> list[Yuv420]:
    """Makes frames of a smooth pattern with grain that moves by (1, 2) samples."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:height, :width]
    waves = 128 + 40 * np.sin(rows / 23) + 40 * np.cos(columns / 31)
    still = (waves + rng.normal(0, 6, (height, width))).clip(0, 255).astype(np.uint8)
    moved = (np.roll(still, (t, 2 * t), (0, 1)) for t in range(count))
    return [Yuv420(y, y[::2, ::2].copy(), 255 - y[::2, ::2]) for y in moved]


def bench_sizes(
    codec: Codec,
    frames: list[Yuv420] | None,
    sizes: Iterable[tuple[int, int]],
    *,
    qp: int = 24,
    units: int = UNITS,
    stages: bool = False,
) -> dict:
    """Measures a model at several sizes; says on what.

    Args:
      codec: the model.
      frames: two or more, mirrored and cropped to each size; None for synthetic ones.
      sizes: widths and heights.
      qp: quality.
      units: inter units of the stream.
      stages: measures every step of the protocol too.

    Returns:
      `model`, `device`, `dtype`, `frames` ("synthetic" or "clip"), `runs` as of
      `bench_codec`, and `process_peak_mib` and `device_peak_mib` (None where the
      device does not tell) over all of them.

    Raises:
      UsageError: too few frames.
      VerificationError: what was encoded does not decode.
    """
    if frames is not None and len(frames) < 2:
        raise UsageError("1 frame is too few to time, give a clip of 2 or more.")
    runs = []
    for size in sizes:
        if frames is None:
            pictures = synthetic_frames(*size)
        else:
            pictures = [resized(frame, *size) for frame in frames]
        runs.append(bench_codec(codec, pictures, qp, units))
        for way, parts in bench_breakdown(codec, pictures, qp).items():
            runs[-1][way]["parts_ms"] = parts
        if stages:
            runs[-1]["stages_ms"] = bench_stages(codec, pictures, qp)
    return {
        "model": codec.bundle.name,
        "model_id": codec.bundle.model_id.hex(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "dtype": codec.bundle.precision,
        "frames": "synthetic" if frames is None else "clip",
        "runs": runs,
        "process_peak_mib": round(peak_mib(), 1),
        "device_peak_mib": device_peak_mib(),
    }


def bench_codec(
    codec: Codec, frames: list[Yuv420], qp: int = 24, units: int = UNITS
) -> dict:
    """Measures encoding and decoding of frames of one size.

    Args:
      codec: the model.
      frames: at least 2; they run forth and back.
      qp: quality.
      units: inter units of the stream, at least 4.

    Returns:
      `width`, `height`, `qp`, `frames_per_unit`, `num_frames`, `num_bytes` of the
      stream, `bpp`, and for `encode` and `decode` the inter frames per second `fps`,
      `p50_ms` and `p95_ms` of a unit, and of a first stream of two units `first_use_s`
      and, of these, `compile_s`: compiling, or loading what is cached.
    """
    count = codec.bundle.inter.frames_per_unit
    loop = frames + frames[-2:0:-1]
    frames = [loop[i % len(loop)] for i in range(1 + units * count)]
    report = {"encode": {}, "decode": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bench.nvc"
        for way, units_of in (("encode", _encoded), ("decode", _decoded)):
            # The decoder's first stream is the encoder's last, and only begun.
            warm_up = frames[: 1 + 2 * count]
            with _compile_seconds() as compiling:
                began = time.perf_counter()
                for number, _ in enumerate(units_of(codec, path, warm_up, qp)):
                    if number == 2:
                        break
                report[way]["first_use_s"] = time.perf_counter() - began
            report[way]["compile_s"] = sum(compiling)
            gaps = _gaps(units_of(codec, path, frames, qp))
            report[way] |= _speed(gaps, count)
        size = path.stat().st_size
    return {
        "width": frames[0].width,
        "height": frames[0].height,
        "qp": qp,
        "frames_per_unit": count,
        "num_frames": len(frames),
        "num_bytes": size,
        "bpp": 8 * size / (frames[0].y.size * len(frames)),
        **report,
    }


def _encoded(codec: Codec, path: pathlib.Path, frames, qp: int) -> Iterator[None]:
    """Writes a stream; yields after each unit."""
    settings = codec.settings(qp=qp, num_frames=len(frames))
    info = VideoInfo(width=frames[0].width, height=frames[0].height)
    header = codec.header(info, settings, len(frames))
    with path.open("wb") as file, StreamWriter(file, header) as writer:
        units = map(VideoFrame, frames)
        for coded in codec.encode_iter(units, settings, reconstruct=False):
            writer.write(coded.packet)
            yield


def _decoded(codec: Codec, path: pathlib.Path, frames, qp: int) -> Iterator[None]:
    """Reads a stream; yields after each unit."""
    with path.open("rb") as file:
        reader = StreamReader(file)
        for found in decode_events(codec.bundle, reader.header, reader):
            if isinstance(found, Damage):
                raise VerificationError(f"{found.reason}; the codec is broken")
            if found.number == found.packet.first_frame:
                yield


@contextlib.contextmanager
def _compile_seconds() -> Iterator[list[float]]:
    """Yields a list that gathers the seconds of compiling."""
    seconds: list[float] = []

    def note(event: str, duration_s: float, **_) -> None:
        if event == _COMPILED:
            seconds.append(duration_s)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


def _gaps(iterator) -> list[float]:
    """Returns the seconds until each item."""
    times, last = [], time.perf_counter()
    for _ in iterator:
        now = time.perf_counter()
        times.append(now - last)
        last = now
    return times


def _speed(gaps: list[float], frames_per_unit: int) -> dict[str, float]:
    """Summarises inter units in the steady state, from the seconds of each unit."""
    steady = sorted(gaps[_UNTIMED:-1])
    return {
        "fps": frames_per_unit / statistics.mean(steady),
        "p50_ms": 1e3 * statistics.median(steady),
        "p95_ms": 1e3 * float(np.percentile(steady, 95)),
    }


def format_speeds(report: dict) -> str:
    """Returns a table for a person to read."""
    lines = [
        f"{report['model']} in {report['dtype']} on {report['device']} "
        f"({report['processor']}), jax {report['jax']}; {report['frames']} frames; "
        "inter units, compilation apart",
        f"{'size':>10}{'bpp':>8}{'':>8}{'fps':>9}{'p50 ms':>10}{'p95 ms':>10}"
        f"{'first use s':>13}{'compile s':>11}",
    ]
    for run in report["runs"]:
        size = f"{run['width']}x{run['height']}"
        for way in ("encode", "decode"):
            row = run[way]
            lines.append(
                f"{size:>10}{run['bpp']:>8.3f}{way:>8}{row['fps']:>9.2f}"
                f"{row['p50_ms']:>10.1f}{row['p95_ms']:>10.1f}"
                f"{row['first_use_s']:>13.1f}{row['compile_s']:>11.1f}"
            )
            for part, found in row["parts_ms"].items():
                lines.append(
                    f"{part:>26}{'':>9}{found['p50']:>10.2f}{found['p95']:>10.2f}"
                )
        for part, milliseconds in run.get("stages_ms", {}).items():
            lines.append(f"{part:>26}{'':>9}{milliseconds:>10.2f}")
    weights = ", ".join(f"{u}: {w}" for u, w in report.get("weights", {}).items())
    device = report["device_peak_mib"]
    lines.append(
        f"weights {weights}; peak memory of the process "
        f"{report['process_peak_mib']:.0f} MiB"
        + (f", of the device {device:.0f} MiB" if device else "")
    )
    return "\n".join(lines)
