"""Turns the results of a run into tables, plots and a report."""

import importlib.util
import json
import os
import pathlib

from jaxnvc.evaluation import report, tables
from jaxnvc.evaluation.run import ASKED, Run


def publish(run: Run, folder: str | os.PathLike) -> list[pathlib.Path]:
    """Writes what a person reads of a run; returns the paths.

    Judged are the models, or the first codec where there is none.

    Args:
      run: measured.
      folder: of the run.
    """
    folder, lines = pathlib.Path(folder), run.results
    if not lines:
        return []
    models = [coder.name for coder in run.coders if coder.model]
    tests = models or [run.coders[0].name]
    about = json.loads((folder / ASKED).read_text()) | {"failures": run.failures}
    found = tables.comparisons(lines, tests)
    text = tables.markdown(lines, tests, about)
    written = [_write(folder / "tables.md", text)]
    rows = {"bd_rates": [one.to_json() for one in found], "points": _points(lines)}
    written.append(_write(folder / "tables.json", _json(about, rows)))
    if importlib.util.find_spec("matplotlib"):
        from jaxnvc.evaluation.plots import write_plots

        written += write_plots(lines, folder / "plots")
    page = report.page(lines, found, about, folder)
    written.append(_write(folder / "report.html", page))
    return written


def _points(lines: list[dict]) -> list[dict]:
    """Results without what is said once of the whole run."""
    return [{k: v for k, v in line.items() if k != "environment"} for line in lines]


def _json(about: dict, rows: dict[str, list[dict]]) -> str:
    """JSON with a line for every row, so that versions of it can be compared."""
    parts = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in about.items()]
    for key, values in rows.items():
        text = ",\n".join(f"  {json.dumps(value)}" for value in values)
        parts.append(f" {json.dumps(key)}: [\n{text}\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _write(path: pathlib.Path, text: str) -> pathlib.Path:
    """Writes a file that appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return path
