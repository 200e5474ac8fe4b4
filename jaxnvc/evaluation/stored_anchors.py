"""Anchors nobody has to run again: stored curves, and tables that papers printed."""

import functools
import json
import pathlib

from jaxnvc.errors import UsageError

_HERE = pathlib.Path(__file__).parent


@functools.cache
def _curves() -> list[dict]:
    return [
        json.loads(p.read_text()) for p in sorted((_HERE / "stored").glob("*.json"))
    ]


def sources() -> dict[str, str]:
    """Where each stored anchor comes from, with its licence."""
    return {c["codec"]: f"{c['source']}; licence {c['licence']}" for c in _curves()}


def stored_points(line: dict) -> dict[str, list[dict] | UsageError]:
    """The stored curves of a measured clip.

    Args:
      line: a result of the clip; its `source` file and `frames` decide.

    Returns:
      By anchor its points (`bpp`, `psnr_y`, `psnr_u`, `psnr_v`, `psnr_yuv`, `setting`),
      or why there are none for a clip whose sequence the anchor has.
    """
    found = {}
    stem = pathlib.Path(line["source"]).stem
    for curve in _curves():
        for one in curve["sequences"]:
            if pathlib.Path(one["file"]).stem != stem:
                continue
            if one["frames"] == line["frames"]:
                found[curve["codec"]] = [_point(curve, p) for p in one["points"]]
            else:
                found[curve["codec"]] = UsageError(
                    f"{curve['codec']} is stored for all {one['frames']} frames and "
                    f"{line['frames']} were measured: measure the whole sequence"
                )
    return found


def _point(curve: dict, values: list[float]) -> dict:
    point = dict(zip(curve["columns"], values, strict=True))
    point["psnr_yuv"] = (6 * point["psnr_y"] + point["psnr_u"] + point["psnr_v"]) / 8
    point["setting"] = f"qp={point.pop('qp')}"
    return point


def published_tables(groups: set[str], clips: set[str]) -> list[dict]:
    """Tables of papers that have a class or a sequence of a run.

    Args:
      groups: classes of the run.
      clips: names of its clips.

    Returns:
      Tables as they are stored: `source`, `anchor`, `conditions`, `groups` or
      `sequences` (what they are about), `rows`, and `columns` where those are neither.
    """
    tables = []
    for path in sorted((_HERE / "published").glob("*_bd_rates.json")):
        table = json.loads(path.read_text())
        named = {part for g in table.get("groups", ()) for part in g.split(" + ")}
        if named & groups or set(table.get("sequences", ())) & clips:
            tables.append(table)
    return tables


def columns_of(table: dict) -> list[str]:
    """What the values of a table's rows are of."""
    return table.get("columns") or table.get("groups") or table["sequences"]
