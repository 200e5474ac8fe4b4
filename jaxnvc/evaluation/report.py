"""A report of a run in one HTML file that needs nothing else."""

import base64
import csv
import json
import math
import pathlib
import statistics
from collections.abc import Sequence

from jaxnvc.errors import ModelError, UsageError
from jaxnvc.evaluation.stored_anchors import sources, stored_points
from jaxnvc.evaluation.tables import Comparison, by_clip, quality_of

_TEMPLATE = pathlib.Path(__file__).parent / "report.html"
_POINT = (
    "clip",
    "codec",
    "setting",
    "bpp",
    "kbps",
    "psnr_yuv",
    "psnr_y",
    "psnr_rgb",
    "vmaf",
)
_SPEEDS = ("encode_fps", "decode_fps", "encode_peak_mib", "decode_peak_mib")


def page(
    lines: Sequence[dict],
    found: Sequence[Comparison],
    about: dict,
    folder: pathlib.Path,
) -> str:
    """Writes the report.

    Args:
      lines: results that went well.
      found: BD-rates.
      about: what was asked, and the failures.
      folder: of the run, with its per-frame tables and crops.

    Returns:
      HTML.
    """
    points = [_point(line, folder) for line in lines]
    values = {
        "about": {k: about[k] for k in ("command", "suite", "environment")},
        "codecs": [{"name": n} for n in dict.fromkeys(line["codec"] for line in lines)],
        "clips": [],
        "points": points,
        "bd_rates": [one.to_json() for one in found],
        "costs": _costs(lines, found),
        "notes": _notes(about, found),
    }
    for clip, codecs in by_clip(lines).items():
        values["clips"].append(_clip(clip, codecs, points, found, folder))
        first = next(iter(codecs.values()))[0]
        for anchor, stored in stored_points(first).items():
            if not isinstance(stored, UsageError):
                points += [{"clip": clip, "codec": anchor, **p} for p in stored]
                if {"name": anchor} not in values["codecs"]:
                    values["codecs"].append({"name": anchor})
    # The one sequence that ends a script element must not come from a file's name.
    text = json.dumps(values).replace("</", "<\\/")
    return _TEMPLATE.read_text(encoding="utf-8").replace("/*DATA*/", text)


def _point(line: dict, folder: pathlib.Path) -> dict:
    """What the report shows of a result."""
    table = folder / "frames" / pathlib.Path(line["stream"]).relative_to("streams")
    with table.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        **{name: line.get(name) for name in (*_POINT, *_SPEEDS)},
        "xpsnr_y": line.get("xpsnr_y"),
        **{name: quality_of(line, name) for name in ("ms_ssim", "ms_ssim_rgb")},
        "frame_psnr": [round(float(row["psnr_yuv"]), 2) for row in rows],
        "frame_bytes": [int(row["bytes"]) if row["bytes"] else None for row in rows],
    }


def _clip(
    name: str,
    codecs: dict[str, list[dict]],
    points: Sequence[dict],
    found: Sequence[Comparison],
    folder: pathlib.Path,
) -> dict:
    """A clip's points nearest in rate, and what they look like."""
    tests = [c.test for c in found if c.clip == name]
    own = codecs.get(tests[0] if tests else "") or next(iter(codecs.values()))
    rate = sorted(line["bpp"] for line in own)[len(own) // 2]
    matched = {
        codec: min(lines, key=lambda line: abs(math.log(line["bpp"] / rate)))
        for codec, lines in codecs.items()
    }
    crops = {"source": folder / "crops" / name / "source.png"}
    for codec, line in matched.items():
        stem = pathlib.Path(line["stream"]).relative_to("streams")
        crops[codec] = (folder / "crops" / stem).with_suffix(".png")
    settings = {codec: line["setting"] for codec, line in matched.items()}
    return {
        "name": name,
        "matched": {
            point["codec"]: index
            for index, point in enumerate(points)
            if point["clip"] == name
            and settings.get(point["codec"]) == point["setting"]
        },
        "crops": {key: _data_url(path) for key, path in crops.items() if path.exists()},
    }


def _data_url(path: pathlib.Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f"data:image/png;base64,{data}"


def _costs(lines: Sequence[dict], found: Sequence[Comparison]) -> list[dict]:
    """Mean speeds and memory by codec, rate relative to the first judged, and MACs."""
    rows = []
    tests = list(dict.fromkeys(c.test for c in found))
    for codec in dict.fromkeys(line["codec"] for line in lines):
        own = [line for line in lines if line["codec"] == codec]
        row = {k: statistics.fmean(line[k] for line in own) for k in _SPEEDS}
        row |= {"codec": codec, "rate": 1.0 if codec in tests[:1] else None}
        judged = [
            1 / (1 + c.result.percent / 100)
            for c in found
            if [c.test] == tests[:1] and c.anchor == codec
            if c.quality == "psnr_yuv" and not isinstance(c.result, str)
        ]
        if judged:
            row["rate"] = statistics.geometric_mean(judged)
        rows.append(row | (_model_cost(own[0]) if own[0]["model_id"] else {}))
    return rows


def _model_cost(line: dict) -> dict:
    """Parameters and multiply-accumulates of a model that ships with the package."""
    from jaxnvc.evaluation.complexity import count
    from jaxnvc.models.bundle import load_bundle

    try:
        bundle = load_bundle(line["codec"])
    except ModelError:
        return {}
    counted = count(bundle.inter, (line["width"], line["height"]))
    names = ("parameters", "encoder_kmac", "decoder_kmac")
    return {name: counted[name] for name in names}


def _notes(about: dict, found: Sequence[Comparison]) -> list[str]:
    """What is left out, failed, or comes from elsewhere."""
    notes = [f"{name} is left out: {why}" for name, why in about["left_out"].items()]
    notes += [f"Missing: {name}" for name in about["missing"]]
    for line in about["failures"]:
        what = " ".join(filter(None, (line["clip"], line["codec"])))
        notes.append(f"Failed: {what}: {line['reason']}")
    used = {c.anchor for c in found}
    return notes + [f"{k}: {v}" for k, v in sources().items() if k in used]
