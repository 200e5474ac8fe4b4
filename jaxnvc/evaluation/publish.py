"""Turns the results of a run into tables, plots and a report."""

import importlib.util
import json
import os
import pathlib

from jaxnvc.evaluation import report, tables
from jaxnvc.evaluation.run import ASKED, Run
from jaxnvc.evaluation.summary import summary


def publish(
    run: Run, folder: str | os.PathLike, short: str | os.PathLike | None = None
) -> list[pathlib.Path]:
    """Writes what a person reads of a run; returns the paths.

    Judged are the models, or the first codec where there is none.

    Args:
      run: measured.
      folder: of the run.
      short: JSON file for the summary, None for no summary.
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
    written.append(_write(folder / "tables.json", _json(about | rows)))
    if importlib.util.find_spec("matplotlib"):
        from jaxnvc.evaluation.plots import write_plots

        written += write_plots(lines, folder / "plots")
    page = report.page(lines, found, about, folder)
    written.append(_write(folder / "report.html", page))
    if short is not None:
        text = _json(summary(lines, found, about))
        written.append(_write(pathlib.Path(short), text))
    return written


def _points(lines: list[dict]) -> list[dict]:
    """Results without what is said once of the whole run."""
    return [{k: v for k, v in line.items() if k != "environment"} for line in lines]


def _json(values: dict) -> str:
    """JSON with a line for every row, so that versions of it can be compared."""
    parts = []
    for key, value in values.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = ",\n".join(f"  {json.dumps(row)}" for row in value)
            text = f"[\n{text}\n ]"
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _write(path: pathlib.Path, text: str) -> pathlib.Path:
    """Writes a file that appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return path
