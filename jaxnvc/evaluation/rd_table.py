"""Measures a model against x264 and JPEG on a folder of clips.

    python -m jaxnvc.evaluation.rd_table --model eem-lite --clips DIR --out rd.json
        [--qps 0 16 32 48 63] [--plot rd.png]

Writes every point as JSON, after each clip, and prints Markdown tables: BD-rate of the
model against each anchor per clip and on average, and average RD points. `--model
none` measures the anchors alone. Anchors: x264 `medium` and `veryfast`, zerolatency,
one keyframe, no B frames; FFmpeg's JPEG, every frame by itself.
"""

import argparse
import collections
import dataclasses
import functools
import json
import math
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

import jax

import jaxnvc
from jaxnvc.errors import InputError, JaxnvcError, UsageError
from jaxnvc.evaluation.anchors import encode_mjpeg, encode_x264
from jaxnvc.evaluation.rd import RdPoint, measure_anchor, measure_model
from jaxnvc.metrics import BdRate, bd_rate
from jaxnvc.metrics.bd_rate import quality_overlap
from jaxnvc.video import Yuv420, open_video

CLIP_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".webm", ".y4m", ".yuv")
NO_MODEL = "none"
_MEANS = ("bpp", "psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "ms_ssim")
_SPEEDS = ("encode_fps", "decode_fps")


@dataclasses.dataclass
class Report:
    """Everything measured so far.

    Attributes:
      run: what was run on what: command, commit, JAX, device, model.
      clips: name, size, depth and number of frames of each clip.
      points: clip name and point.
      comparisons: clip, anchor and a BD-rate, or the reason why there is none.
      refusals: clip, codec and the reason why it was not measured.
    """

    run: dict
    clips: list[dict] = dataclasses.field(default_factory=list)
    points: list[tuple[str, RdPoint]] = dataclasses.field(default_factory=list)
    comparisons: list[tuple[str, str, BdRate | str]] = dataclasses.field(
        default_factory=list
    )
    refusals: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)

    def to_json(self) -> dict:
        """Plain values, one flat object per point and comparison."""
        return {
            **self.run,
            "clips": self.clips,
            "points": [{"clip": c, **dataclasses.asdict(p)} for c, p in self.points],
            "bd_rate_psnr_yuv": [
                {"clip": clip, "anchor": anchor, **_bd_json(result)}
                for clip, anchor, result in self.comparisons
            ],
            "refusals": [
                {"clip": clip, "codec": codec, "reason": reason}
                for clip, codec, reason in self.refusals
            ],
        }


def _bd_json(result: BdRate | str) -> dict:
    if isinstance(result, str):
        return {"refused": result}
    return dataclasses.asdict(result)


def compare(anchor: Sequence[RdPoint], model: Sequence[RdPoint]) -> BdRate:
    """BD-rate of a model in YUV PSNR over bpp.

    Of the anchor, only the points within the model's range count and the next one on
    either side, so that what neither codec is used for bends no curve. How much the
    curves overlap is judged before that, on all points.

    Raises:
      UsageError: they do not compare; says why.
    """
    anchor, model = (sorted(points, key=lambda p: p.bpp) for points in (anchor, model))
    model_quality = [p.psnr_yuv for p in model]
    shared = quality_overlap([p.psnr_yuv for p in anchor], model_quality)
    below = [i for i, p in enumerate(anchor) if p.psnr_yuv <= min(model_quality)]
    above = [i for i, p in enumerate(anchor) if p.psnr_yuv >= max(model_quality)]
    first, last = max(below, default=0), min(above, default=len(anchor) - 1)
    near = anchor[first : last + 1]
    anchor = near if len(near) >= 4 else anchor
    result = bd_rate(
        [p.bpp for p in anchor],
        [p.psnr_yuv for p in anchor],
        [p.bpp for p in model],
        model_quality,
    )
    return dataclasses.replace(result, overlap=min(result.overlap, shared.share))


def anchor_measurements(args: argparse.Namespace) -> dict[str, functools.partial]:
    """What measures each anchor, by name; each takes frames."""
    measurements = {}
    for preset in ("medium", "veryfast"):
        name = f"x264-{preset}"
        encode = functools.partial(encode_x264, preset=preset, tune=args.x264_tune)
        measurements[name] = functools.partial(
            measure_anchor, name, encode, settings=args.crfs
        )
    measurements["jpeg"] = functools.partial(
        measure_anchor,
        "jpeg",
        encode_mjpeg,
        settings=args.qscales,
        setting_name="qscale",
    )
    return measurements


def measure_clip(
    report: Report, clip: str, frames: list[Yuv420], args: argparse.Namespace, codec
) -> None:
    """Adds one clip's points and comparisons to the report."""
    by_codec = {}
    for name, measure in anchor_measurements(args).items():
        try:
            by_codec[name] = measure(frames=frames)
        except UsageError as error:
            report.refusals.append((clip, name, str(error)))
    anchors = list(by_codec)
    if codec is not None:
        model = measure_model(
            codec,
            frames,
            args.qps,
            args.gop,
            name=report.run["model"],
            warmup_frames=1 + codec.bundle.inter.frames_per_unit,
        )
        by_codec[report.run["model"]] = model
        for name in anchors:
            try:
                result = compare(by_codec[name], model)
            except UsageError as error:
                result = str(error)
            report.comparisons.append((clip, name, result))
    report.points += [(clip, p) for points in by_codec.values() for p in points]


def bd_table(report: Report) -> Iterator[str]:
    """Markdown: BD-rate per clip and anchor, their averages, and the reasons."""
    anchors = list(dict.fromkeys(anchor for _, anchor, _ in report.comparisons))
    results = {(clip, anchor): r for clip, anchor, r in report.comparisons}
    reasons: list[str] = []
    yield f"BD-rate of {report.run['model']} in YUV PSNR, negative is better:\n"
    yield _row(["clip", *anchors])
    yield _row(["---"] * (1 + len(anchors)))
    for clip in dict.fromkeys(clip for clip, _, _ in report.comparisons):
        cells = [clip]
        for anchor in anchors:
            result = results.get((clip, anchor), "not measured: see the JSON")
            cells.append(_bd_cell(result, reasons))
        yield _row(cells)
    yield _row(["**mean**", *(_mean_cell(results, anchor) for anchor in anchors)])
    for number, reason in enumerate(reasons, 1):
        yield f"\n[{number}] {reason}"


def _bd_cell(result: BdRate | str, reasons: list[str]) -> str:
    """A BD-rate with its range, or a reference to the reason, which is added."""
    if isinstance(result, str):
        reasons.append(result)
        return f"none [{len(reasons)}]"
    return (
        f"{result.percent:+.1f} % ({result.low:.1f} to {result.high:.1f} dB, "
        f"overlap {result.overlap:.0%})"
    )


def _mean_cell(results: dict, anchor: str) -> str:
    """The mean over the clips that have one, and how many those are."""
    own = [result for (_, name), result in results.items() if name == anchor]
    percents = [result.percent for result in own if isinstance(result, BdRate)]
    if not percents:
        return f"none of {len(own)} clips"
    return f"{statistics.fmean(percents):+.1f} % ({len(percents)} of {len(own)} clips)"


def rd_table(report: Report) -> Iterator[str]:
    """Markdown: RD points averaged over clips; speeds of one core for anchors."""
    groups = collections.defaultdict(list)
    for _, point in report.points:
        groups[point.codec, point.setting].append(point)
    yield "Averages over clips; fps without compilation, of anchors on one thread:\n"
    head = ["codec", "setting", "clips", *_MEANS, *_SPEEDS]
    yield _row(head)
    yield _row(["---"] * len(head))
    for (codec, setting), points in groups.items():
        means = [_mean(points, name) for name in _MEANS + _SPEEDS]
        formats = [".4f", *[".2f"] * 4, ".4f", ".1f", ".1f"]
        numbers = [
            "" if mean is None else format(mean, spec)
            for mean, spec in zip(means, formats, strict=True)
        ]
        yield _row([codec, setting, str(len(points)), *numbers])


def _mean(points: list[RdPoint], name: str) -> float | None:
    """The mean of a field, or None if a point lacks it."""
    values = [getattr(point, name) for point in points]
    return None if None in values else statistics.fmean(values)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plot(report: Report, path: pathlib.Path) -> None:
    """Draws YUV PSNR over bpp, one panel per clip."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    clips = [clip["clip"] for clip in report.clips]
    columns = math.ceil(math.sqrt(len(clips)))
    rows = math.ceil(len(clips) / columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(5 * columns, 4 * rows), squeeze=False
    )
    for axis in axes.flat[len(clips) :]:
        axis.set_visible(False)
    for axis, clip in zip(axes.flat, clips, strict=False):
        curves = collections.defaultdict(list)
        for name, point in report.points:
            if name == clip:
                curves[point.codec].append((point.bpp, point.psnr_yuv))
        for codec, curve in curves.items():
            axis.plot(*zip(*sorted(curve), strict=True), marker=".", label=codec)
        axis.set(xscale="log", xlabel="bpp", ylabel="PSNR YUV (dB)", title=clip)
        axis.grid(alpha=0.3)
    axes.flat[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def describe_run(args: argparse.Namespace, codec) -> dict:
    """What a reader needs to repeat the run."""
    git = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    folder = pathlib.Path(__file__).parent
    try:
        commit = subprocess.run(
            git, cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "command": shlex.join(sys.argv),
        "commit": commit,
        "jaxnvc": jaxnvc.__version__,
        "jax": jax.__version__,
        "device_kind": jax.devices()[0].device_kind,
        "model": None if codec is None else codec.bundle.name,
        "model_id": None if codec is None else codec.bundle.model_id.hex(),
        "gop": args.gop,
    }


def clip_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """The videos of a folder by name.

    Raises:
      InputError: it holds none, or is no folder.
    """
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in CLIP_SUFFIXES)
    if not paths:
        raise InputError(
            f"{folder} holds no clip: give a folder of {' '.join(CLIP_SUFFIXES)} files"
        )
    return paths


def write_json(report: Report, path: pathlib.Path) -> None:
    """Replaces the file with all that is measured so far."""
    staged = path.with_name(f"{path.name}.tmp")
    staged.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    os.replace(staged, path)


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    summary = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(
        description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--model", required=True, help=f"released name or file, or {NO_MODEL}")
    add("--clips", required=True, type=pathlib.Path, help="folder of clips")
    add("--frames", type=int, help="first frames of each clip, all if left out")
    add("--out", required=True, type=pathlib.Path, help="JSON file to write")
    add("--plot", type=pathlib.Path, help="picture of RD curves to write")
    add("--qps", type=int, nargs="+", default=[0, 16, 32, 48, 63], help="of the model")
    add("--gop", type=int, default=-1, help="intra distance of the model, -1 once")
    add("--crfs", type=int, nargs="+", default=list(range(8, 45, 4)), help="of x264")
    add("--x264-tune", default="zerolatency", help="or zerolatency,psnr")
    qscales = [1, 2, 3, 5, 8, 13, 20, 31]
    add("--qscales", type=int, nargs="+", default=qscales, help="of JPEG")
    return parser.parse_args()


def main() -> int:
    """Measures, writes and prints; returns the exit code."""
    args = parse_arguments()
    try:
        codec = None if args.model == NO_MODEL else jaxnvc.load(args.model)
        report = Report(describe_run(args, codec))
        for path in clip_paths(args.clips):
            print(f"measuring {path.name}", file=sys.stderr)
            with open_video(path, frames=args.frames) as reader:
                frames = [frame.planes for frame in reader]
            first = frames[0]
            report.clips.append(
                {
                    "clip": path.stem,
                    "width": first.width,
                    "height": first.height,
                    "bit_depth": first.bit_depth,
                    "frames": len(frames),
                }
            )
            measure_clip(report, path.stem, frames, args, codec)
            write_json(report, args.out)
    except JaxnvcError as error:
        print(f"rd_table: {error}", file=sys.stderr)
        return error.exit_code
    if report.comparisons:
        print("\n".join(bd_table(report)), end="\n\n")
    print("\n".join(rd_table(report)))
    for clip, name, reason in report.refusals:
        print(f"\nNot measured: {name} on {clip}: {reason}")
    if args.plot:
        plot(report, args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
