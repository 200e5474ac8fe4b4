"""Results as tables: points, BD-rates per clip, per class and on average."""

import collections
import dataclasses
import math
import statistics
from collections.abc import Iterator, Sequence

from jaxnvc.errors import UsageError
from jaxnvc.evaluation.stored_anchors import (
    columns_of,
    published_tables,
    sources,
    stored_points,
)
from jaxnvc.metrics import BdRate, bd_rate
from jaxnvc.metrics.bd_rate import quality_overlap

# What BD-rates are of, and what tables call it; the first is the headline.
BD_QUALITIES = {
    "psnr_yuv": "PSNR YUV 6:1:1",
    "psnr_y": "PSNR Y",
    "ms_ssim": "MS-SSIM",
    "psnr_rgb": "PSNR RGB",
    "ms_ssim_rgb": "MS-SSIM RGB",
    "vmaf": "VMAF",
    "xpsnr_y": "XPSNR Y",
}
# What is averaged over clips, and how it is written.
MEANS = {
    "bpp": ".4f",
    "psnr_y": ".2f",
    "psnr_u": ".2f",
    "psnr_v": ".2f",
    "psnr_yuv": ".2f",
    "ms_ssim": ".4f",
    "psnr_rgb": ".2f",
    "ms_ssim_rgb": ".4f",
    "vmaf": ".2f",
    "encode_fps": ".1f",
    "decode_fps": ".1f",
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A codec against another on a clip.

    Attributes:
      clip: its name.
      group: its class.
      test: the codec judged.
      anchor: the codec it is compared with.
      quality: key of `BD_QUALITIES`.
      result: the BD-rate, or why there is none.
    """

    clip: str
    group: str
    test: str
    anchor: str
    quality: str
    result: BdRate | str

    def to_json(self) -> dict:
        """Plain values."""
        fields = {k: v for k, v in vars(self).items() if k != "result"}
        if isinstance(self.result, str):
            return fields | {"refused": self.result}
        return fields | dataclasses.asdict(self.result)


def quality_of(point: dict, quality: str) -> float | None:
    """A quality on a scale that can be interpolated: MS-SSIM as decibels."""
    value = point.get(quality)
    if not quality.startswith("ms_ssim") or value is None:
        return value
    return -10 * math.log10(max(1 - value, 1e-9))


def compare(
    anchor: Sequence[dict], test: Sequence[dict], quality: str = "psnr_yuv"
) -> BdRate:
    """BD-rate of a codec over bpp.

    Of the anchor, only the points within the tested range count and the next one on
    either side, so that what neither codec is used for bends no curve. How much the
    curves overlap is judged before that, on all points.

    Raises:
      UsageError: they do not compare; says why.
    """
    sides = [sorted(points, key=lambda p: p["bpp"]) for points in (anchor, test)]
    if any(quality_of(p, quality) is None for points in sides for p in points):
        raise UsageError(f"{quality} was not measured of both")
    (a_rate, a_quality), (t_rate, t_quality) = (
        ([p["bpp"] for p in points], [quality_of(p, quality) for p in points])
        for points in sides
    )
    shared = quality_overlap(a_quality, t_quality)
    below = [i for i, q in enumerate(a_quality) if q <= min(t_quality)]
    above = [i for i, q in enumerate(a_quality) if q >= max(t_quality)]
    near = slice(max(below, default=0), min(above, default=len(a_rate) - 1) + 1)
    if len(a_rate[near]) >= 4:
        a_rate, a_quality = a_rate[near], a_quality[near]
    result = bd_rate(a_rate, a_quality, t_rate, t_quality)
    return dataclasses.replace(result, overlap=min(result.overlap, shared.share))


def by_clip(lines: Sequence[dict]) -> dict[str, dict[str, list[dict]]]:
    """Results by clip, then codec, in their order."""
    clips: dict = {}
    for line in lines:
        codecs = clips.setdefault(line["clip"], {})
        codecs.setdefault(line["codec"], []).append(line)
    return clips


def comparisons(lines: Sequence[dict], tests: Sequence[str]) -> list[Comparison]:
    """Compares codecs with all others on every clip, stored anchors included.

    Args:
      lines: results that went well.
      tests: names of the codecs to judge.
    """
    found = []
    for clip, codecs in by_clip(lines).items():
        first = next(iter(codecs.values()))[0]
        anchors = codecs | stored_points(first)
        for test in tests:
            for anchor, points in anchors.items():
                if anchor == test or test not in codecs:
                    continue
                for quality in BD_QUALITIES:
                    result = _compared(points, codecs[test], quality)
                    if result is not None:
                        group = first["class"]
                        found.append(
                            Comparison(clip, group, test, anchor, quality, result)
                        )
    return found


def _compared(anchor, test: list[dict], quality: str) -> BdRate | str | None:
    """A BD-rate, why there is none, or None if nobody measured this quality."""
    if isinstance(anchor, UsageError):
        return str(anchor) if quality == "psnr_yuv" else None
    if any(point.get(quality) is None for point in (*anchor, *test)):
        return None
    try:
        return compare(anchor, test, quality)
    except UsageError as error:
        return str(error)


def row(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def bd_table(found: Sequence[Comparison], test: str) -> Iterator[str]:
    """Markdown: BD-rate per clip and anchor, means per class and of all, reasons."""
    own = [c for c in found if c.test == test and c.quality == "psnr_yuv"]
    anchors = list(dict.fromkeys(c.anchor for c in own))
    if not anchors:
        return
    results = {(c.clip, c.anchor): c.result for c in own}
    groups = {c.clip: c.group for c in own}
    reasons: list[str] = []
    yield f"## BD-rate of {test}, {BD_QUALITIES['psnr_yuv']}\n"
    yield "Negative is better; in brackets the overlap of the quality ranges.\n"
    yield row(["clip", *anchors])
    yield row(["---"] * (1 + len(anchors)))
    for clip in groups:
        cells = (
            _bd_cell(results.get((clip, a), "not measured"), reasons) for a in anchors
        )
        yield row([clip, *cells])
    names = list(dict.fromkeys(groups.values()))
    for name in names if len(names) > 1 else []:
        kept = [c for c in own if c.group == name]
        yield row([f"**{name}**", *(_mean_cell(kept, anchor) for anchor in anchors)])
    yield row(["**mean**", *(_mean_cell(own, anchor) for anchor in anchors)])
    for number, reason in enumerate(reasons, 1):
        yield f"\n[{number}] {reason}"
    yield ""


def _bd_cell(result: BdRate | str, reasons: list[str]) -> str:
    """A BD-rate with its overlap, or a reference to the reason, which is added."""
    if isinstance(result, str):
        if result not in reasons:
            reasons.append(result)
        return f"none [{reasons.index(result) + 1}]"
    return f"{result.percent:+.1f} % ({result.overlap:.0%})"


def _mean_cell(own: Sequence[Comparison], anchor: str) -> str:
    """The mean over the clips that have one, and how many those are."""
    results = [c.result for c in own if c.anchor == anchor]
    percents = [result.percent for result in results if isinstance(result, BdRate)]
    if not percents:
        return f"none of {len(results)} clips"
    return f"{statistics.fmean(percents):+.1f} % ({len(percents)} of {len(results)})"


def means_table(found: Sequence[Comparison], test: str) -> Iterator[str]:
    """Markdown: mean BD-rates by quality measure and anchor."""
    own = [c for c in found if c.test == test]
    anchors = list(dict.fromkeys(c.anchor for c in own))
    if not anchors:
        return
    yield f"## Mean BD-rate of {test} by quality measure\n"
    yield row(["measure", *anchors])
    yield row(["---"] * (1 + len(anchors)))
    for quality, title in BD_QUALITIES.items():
        kept = [c for c in own if c.quality == quality]
        if kept:
            yield row([title, *(_mean_cell(kept, anchor) for anchor in anchors)])
    yield ""


def rd_table(lines: Sequence[dict], title: str = "all clips") -> Iterator[str]:
    """Markdown: points averaged over clips."""
    groups = collections.defaultdict(list)
    for line in lines:
        groups[line["codec"], line["setting"]].append(line)
    names = [n for n in MEANS if any(line.get(n) is not None for line in lines)]
    yield f"## Averages, {title}\n"
    yield row(["codec", "setting", "clips", *names])
    yield row(["---"] * (3 + len(names)))
    for (codec, setting), own in groups.items():
        cells = [_mean_text(own, name) for name in names]
        yield row([codec, setting, str(len(own)), *cells])
    yield ""


def _mean_text(lines: Sequence[dict], name: str) -> str:
    """The mean of a field, or nothing if a result lacks it."""
    values = [line.get(name) for line in lines]
    return "" if None in values else format(statistics.fmean(values), MEANS[name])


def clip_table(lines: Sequence[dict]) -> Iterator[str]:
    """Markdown: every point of every clip, short."""
    yield "## Points, bpp / PSNR YUV in dB\n"
    yield row(["clip", "codec", "points"])
    yield row(["---"] * 3)
    for clip, codecs in by_clip(lines).items():
        for codec, own in codecs.items():
            points = sorted((line["bpp"], line["psnr_yuv"]) for line in own)
            text = ", ".join(f"{bpp:.3f} / {psnr:.1f}" for bpp, psnr in points)
            yield row([clip, codec, text])
    yield ""


def published(lines: Sequence[dict]) -> Iterator[str]:
    """Markdown: what papers printed about these classes or sequences."""
    tables = published_tables(
        {line["class"] for line in lines}, {line["clip"] for line in lines}
    )
    for table in tables:
        columns = columns_of(table)
        yield f"## Published: {table['source']}\n"
        yield f"BD-rate in percent against {table['anchor']}. {table['conditions']}.\n"
        yield row(["codec", *columns])
        yield row(["---"] * (1 + len(columns)))
        for name, values in table["rows"].items():
            yield row([name, *(f"{value:+.2f}" for value in values)])
        yield ""


def markdown(lines: Sequence[dict], tests: Sequence[str], run: dict) -> str:
    """All tables of a run as one document.

    Args:
      lines: results that went well.
      tests: codecs to judge against all others.
      run: `command`, `environment`, `left_out`, `missing` and `failures` of the run.
    """
    found = comparisons(lines, tests)
    env = run["environment"]
    parts = [f"# Results\n\n`{run['command']}`\n"]
    parts.append(
        f"jaxnvc {env['jaxnvc']} ({env['commit']}), JAX {env['jax']}, PyAV "
        f"{env['av']}, {env['device']} device, {env['processor']}, "
        f"{env['cpus']} CPUs.\n"
    )
    for test in tests:
        parts += [*bd_table(found, test), *means_table(found, test)]
    groups = list(dict.fromkeys(line["class"] for line in lines))
    for group in groups if len(groups) > 1 else []:
        parts += rd_table([x for x in lines if x["class"] == group], group)
    parts += [*rd_table(lines), *clip_table(lines), *published(lines)]
    used = {c.anchor for c in found} & set(sources())
    parts += [f"{name}: {sources()[name]}.\n" for name in sorted(used)]
    parts += [f"Left out: {n}: {why}.\n" for n, why in run["left_out"].items()]
    parts += [f"Missing: {name}\n" for name in run["missing"]]
    for line in run["failures"]:
        what = " ".join(
            filter(None, (line["clip"], line["codec"], line.get("setting")))
        )
        parts.append(f"Failed: {what}: {line['reason']}\n")
    return "\n".join(parts)
