"""`jaxnvc models`: the bundles that ship with the package."""

import argparse
import io
import json
import math
import pathlib
import zipfile
from typing import Any

import numpy as np


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "models",
        help="list the released models",
        description="Lists the released models.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the models; returns the exit code."""
    from jaxnvc.models import bundle

    cards = [card(path) for path in bundle.released().values()]
    if args.json:
        print(json.dumps(cards, indent=1))
        return 0
    if not cards:
        print("no model is installed; give encode and decode a bundle with --model")
    for entry in cards:
        default = " (default)" if entry["name"] == bundle.DEFAULT_MODEL else ""
        where = "portable: decodes alike on every device"
        if not entry["portable"]:
            where = "not portable: decode where it was encoded"
        counts = f"{entry['parameters']} parameters, {entry['bytes']} bytes"
        print(f"{entry['name']}{default}: {entry['family']}, {counts}, {where}")
        print(f"  licence: {entry['licence'] or 'not stated'}")
        if entry["rd"] is not None:
            print(f"  measured: {json.dumps(entry['rd'])}")
    return 0


def card(path: pathlib.Path) -> dict[str, Any]:
    """Returns what a bundle says of itself, without building its networks.

    Raises:
      ModelError: the file is damaged.
    """
    from jaxnvc.errors import ModelError

    try:
        with zipfile.ZipFile(path) as archive:
            meta = json.loads(archive.read("meta.json"))
            counts = _parameters(archive)
        return {
            "name": path.stem,
            "family": meta["inter"]["family"],
            "parameters": sum(counts.values()),
            "parameters_per_unit": counts,
            "bytes": path.stat().st_size,
            "portable": meta["portable"],
            "licence": meta.get("licence"),
            "rd": meta.get("rd"),
        }
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"model file {str(path)!r} is damaged ({error}); install the package again."
        ) from error


def _parameters(archive: zipfile.ZipFile) -> dict[str, int]:
    """Returns the number of parameters per unit kind, from the arrays' headers."""
    counts: dict[str, int] = {}
    for name in archive.namelist():
        if name.endswith(".npy"):
            with archive.open(name) as member:
                start = io.BytesIO(member.read(1 << 10))
            version = np.lib.format.read_magic(start)
            reads = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            shape, _, _ = reads[version](start)
            unit = name.split("/")[0]
            counts[unit] = counts.get(unit, 0) + math.prod(shape)
    return counts
