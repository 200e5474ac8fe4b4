"""Rate-distortion curves as PNG and SVG; needs matplotlib."""

import math
import pathlib
from collections.abc import Sequence

import matplotlib

from jaxnvc.errors import UsageError
from jaxnvc.evaluation.stored_anchors import stored_points
from jaxnvc.evaluation.tables import BD_QUALITIES, by_clip, quality_of

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402, after the choice of a back end


def write_plots(lines: Sequence[dict], folder: pathlib.Path) -> list[pathlib.Path]:
    """Draws quality over bpp, a panel per clip, for each measure there is.

    Args:
      lines: results that went well.
      folder: where `rd_MEASURE.png` and `.svg` go.

    Returns:
      The files written.
    """
    folder.mkdir(exist_ok=True)
    written = []
    for quality, title in BD_QUALITIES.items():
        kept = [line for line in lines if line.get(quality) is not None]
        if kept and quality != "psnr_y":
            label = title if quality == "vmaf" else f"{title} (dB)"
            figure = _panels(kept, quality, label)
            written += save(figure, folder / f"rd_{quality}")
    return written


def save(figure, stem: pathlib.Path) -> list[pathlib.Path]:
    """Writes a figure as PNG and as SVG; returns both paths."""
    paths = [stem.with_name(stem.name + suffix) for suffix in (".png", ".svg")]
    for path in paths:
        figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return paths


def _panels(lines: Sequence[dict], quality: str, label: str):
    clips = by_clip(lines)
    columns = math.ceil(math.sqrt(len(clips)))
    rows = math.ceil(len(clips) / columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(5 * columns, 4 * rows), squeeze=False
    )
    for axis in axes.flat[len(clips) :]:
        axis.set_visible(False)
    for axis, (clip, codecs) in zip(axes.flat, clips.items(), strict=False):
        first = next(iter(codecs.values()))[0]
        for codec, points in (codecs | stored_points(first)).items():
            if isinstance(points, UsageError):
                continue
            curve = [(p["bpp"], quality_of(p, quality)) for p in points]
            if all(value is not None for _, value in curve):
                x, y = zip(*sorted(curve), strict=True)
                axis.plot(x, y, marker=".", label=codec)
        axis.set(xscale="log", xlabel="bits per pixel", ylabel=label, title=clip)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize="small")
    figure.tight_layout()
    return figure


def recovery(found: Sequence[dict]):
    """Draws PSNR per frame with a blank frame and without; a panel per clip.

    Args:
      found: as `blank_frame.recoveries` gives it.
    """
    clips = list(dict.fromkeys(one["clip"] for one in found))
    figure, axes = pyplot.subplots(
        len(clips), 1, figsize=(8, 4 * len(clips)), squeeze=False
    )
    for axis, clip in zip(axes.flat, clips, strict=True):
        for one in found:
            if one["clip"] != clip:
                continue
            label = f"{one['codec']} {one['setting']}"
            (curve,) = axis.plot(one["psnr"], linestyle=":")
            axis.plot(one["psnr_blank"], color=curve.get_color(), label=label)
        axis.set(xlabel="frame", ylabel="PSNR YUV (dB)", title=f"{clip}; dotted: whole")
        axis.grid(alpha=0.3)
        axis.legend(fontsize="x-small")
    figure.tight_layout()
    return figure


def drift(report: dict):
    """Draws PSNR YUV span by span after one intra frame.

    Args:
      report: as `drift.drift_report` gives it.
    """
    figure, axis = pyplot.subplots(figsize=(8, 4))
    for qp, spans in report["spans_by_qp"].items():
        frames = [span["first"] for span in spans]
        axis.plot(
            frames, [span["psnr_yuv"] for span in spans], marker=".", label=f"qp {qp}"
        )
    title = f"{report['model']}, spans of {report['span']} frames"
    axis.set(xlabel="first frame of the span", ylabel="PSNR YUV (dB)", title=title)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    return figure
