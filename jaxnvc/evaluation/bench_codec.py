"""Speed of a model: frames per second with real bytes, compile time apart.

    python -m jaxnvc.evaluation.bench_codec --model eem-lite --size 416x240

Frames come from a clip, mirrored and cropped to the size asked for.
"""

import argparse
import json
import platform
import statistics
import sys
import time

import jax
import numpy as np

import jaxnvc
from jaxnvc.codecs.protocol import Cond, still_unit
from jaxnvc.coding.codec import Codec
from jaxnvc.errors import JaxnvcError, UsageError
from jaxnvc.ops.frame import from_planes
from jaxnvc.video import VideoFrame, Yuv420, open_video

_PART_ROUNDS = 10


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
    steady = sorted(gaps[3:])
    return {
        "fps": frames_per_unit / statistics.mean(steady),
        "p50_ms": 1e3 * statistics.median(steady),
        "p95_ms": 1e3 * steady[int(0.95 * (len(steady) - 1))],
    }


def _whole_units(frames: list[Yuv420], count: int) -> list[Yuv420]:
    """Returns an intra frame and seven or more units of `count` frames."""
    loop = frames + frames[-2:0:-1]
    length = 1 + max(7, (len(frames) - 1) // count) * count
    return [loop[i % len(loop)] for i in range(length)]


def bench_codec(codec: Codec, frames: list[Yuv420], qp: int = 24) -> dict:
    """Measures encoding and decoding of frames of one size.

    Args:
      codec: a loaded model.
      frames: at least 8. They run forth and back where they are fewer than an intra
        frame and seven units; what does not fill a last unit is left out.
      qp: quality.

    Returns:
      Sizes, seconds to the second inter frame (tracing and compiling, or loading
      from the compilation cache), and speed in the steady state.

    Raises:
      UsageError: fewer than 8 frames.
    """
    if len(frames) < 8:
        raise UsageError(f"{len(frames)} frames are too few to time, give 8 or more.")
    count = codec.bundle.inter.frames_per_unit
    frames = _whole_units(frames, count)
    settings = codec.settings(qp=qp)
    report = {"width": frames[0].width, "height": frames[0].height, "qp": qp}
    started = time.perf_counter()
    list(codec.encode_iter(map(VideoFrame, frames[: 1 + 2 * count]), settings))
    report["encode_first_use_s"] = time.perf_counter() - started
    gaps = _gaps(codec.encode_iter(map(VideoFrame, frames), settings))
    report["encode"] = _speed(gaps, count)
    stream = codec.encode(frames, qp=qp)
    report["bpp"] = 8 * len(stream) / (frames[0].y.size * len(frames))
    started = time.perf_counter()
    codec.decode(stream)
    report["decode_first_use_s"] = time.perf_counter() - started
    report["decode"] = _speed(_decode_gaps(codec, stream), count)
    return report


def bench_parts(codec: Codec, frames: list[Yuv420], qp: int = 24) -> dict[str, float]:
    """Measures the parts of an inter unit, each as a program of its own.

    Fused into one program they are faster: this tells where the time goes, not how
    much there is. Steps of encoder and decoder alike: begin, priors, absorb, finish;
    the encoder's alone: analyse, residuals.

    Args:
      codec: a loaded model.
      frames: at least 2.
      qp: quality.

    Returns:
      Median milliseconds by part.
    """
    model, params = codec.bundle.inter, codec.params["inter"]
    x, x_previous = (
        from_planes(*picture.planes, multiple=model.size_multiple)[None]
        for picture in (frames[1], frames[0])
    )
    cond, parts = Cond.of(qp), {}

    def timed(name, function, *args):
        program = jax.jit(lambda p, *a: function(model.bind({"params": p}), *a))
        result = jax.block_until_ready(program(params, *args))
        times = []
        for _ in range(_PART_ROUNDS):
            started = time.perf_counter()
            jax.block_until_ready(program(params, *args))
            times.append(time.perf_counter() - started)
        parts[name] = round(1e3 * statistics.median(times), 3)
        return result

    state = timed("reset", lambda c, x: c.reset(x, cond), x_previous)
    x = still_unit(model, x)
    source = timed("analyse", lambda c, a, b: c.analyse(a, b, cond), x, x_previous)
    work = timed("begin", lambda c, s: c.begin(s, cond), state)
    for k in range(model.num_stages):
        prior, work = timed(f"prior {k}", lambda c, w, k=k: c.prior(w, cond, k), work)
        residual, source = timed(
            f"residual {k}",
            lambda c, w, s, k=k: c.residual(w, s, cond, k),
            work,
            source,
        )
        work = timed(
            f"absorb {k}",
            lambda c, w, p, r, k=k: c.absorb(w, p, p.quantise(r), cond, k),
            work,
            prior,
            residual,
        )
    timed("finish", lambda c, w: c.finish(w, cond), work)
    return parts


def _decode_gaps(codec: Codec, stream: bytes) -> list[float]:
    from jaxnvc.bitstream import StreamReader
    from jaxnvc.coding.decoder import Sequence

    reader = StreamReader(stream)
    sequence = Sequence(codec.bundle, reader.header)
    return _gaps(sequence.settle() for event in reader if sequence.launch(event))


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxnvc.evaluation.bench_codec", description=__doc__
    )
    parser.add_argument("--model", default="eem-lite")
    parser.add_argument("--clip", default="examples/cars.mkv")
    parser.add_argument("--size", action="append", help="WxH; may be repeated")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--qp", type=int, default=24)
    parser.add_argument("--parts", action="store_true", help="time the parts too")
    parser.add_argument("--cache", help="folder of compiled programs to reuse")
    args = parser.parse_args(argv)
    if args.cache:
        jax.config.update("jax_compilation_cache_dir", args.cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    try:
        codec = jaxnvc.load(args.model)
        with open_video(args.clip, frames=args.frames) as reader:
            frames = [frame.planes for frame in reader]
        sizes = [tuple(map(int, s.split("x"))) for s in args.size or ["416x240"]]
        report = bench_sizes(codec, frames, sizes, args.qp, parts=args.parts)
    except JaxnvcError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report, indent=1))
    return 0


def bench_sizes(
    codec: Codec, frames: list[Yuv420], sizes, qp: int = 24, *, parts: bool = False
) -> dict:
    """Measures a model at several sizes; says on what."""
    runs = []
    for size in sizes:
        pictures = [resized(frame, *size) for frame in frames]
        runs.append(bench_codec(codec, pictures, qp))
        if parts:
            runs[-1]["parts_ms"] = bench_parts(codec, pictures, qp)
    return {
        "model": codec.bundle.name,
        "model_id": codec.bundle.model_id.hex(),
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "processor": platform.processor() or platform.machine(),
        "runs": runs,
    }


def format_speeds(report: dict) -> str:
    """Returns a table for a person to read."""
    lines = [
        f"{report['model']} on {report['device']} ({report['processor']}), jax "
        f"{report['jax']}; inter frames, compilation apart",
        f"{'size':>10}{'bpp':>8}{'encode fps':>12}{'decode fps':>12}"
        f"{'first encode s':>16}{'first decode s':>16}",
    ]
    for run in report["runs"]:
        size = f"{run['width']}x{run['height']}"
        lines.append(
            f"{size:>10}{run['bpp']:>8.3f}{run['encode']['fps']:>12.1f}"
            f"{run['decode']['fps']:>12.1f}{run['encode_first_use_s']:>16.1f}"
            f"{run['decode_first_use_s']:>16.1f}"
        )
        for part, milliseconds in run.get("parts_ms", {}).items():
            lines.append(f"{part:>24}{milliseconds:>10.2f} ms")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
