"""A run's figures in short, for a model's card: what was measured, how, and BD-rates.

    jaxnvc eval ... --out DIR --summary docs/models/NAME.eval.json

On a folder where everything is measured the command only writes.
"""

import collections
import statistics
from collections.abc import Iterator, Sequence

from jaxnvc.evaluation.tables import MEANS, Comparison

_ABOUT = ("command", "suite", "source", "missing", "frames", "left_out")
_FAILURE = ("clip", "codec", "setting", "reason")


def summary(lines: Sequence[dict], found: Sequence[Comparison], about: dict) -> dict:
    """Condenses a run.

    Args:
      lines: results that went well.
      found: BD-rates.
      about: what was asked, and `failures`.

    Returns:
      What was asked; lists `environments` (versions, commit and machine; more than one
      where a run went on elsewhere or later), `codecs` (version, model id and one whole
      parameter string each), `failures`, `bd_means`, `bd_rates` (percent, to two
      decimals) and `points` (to six digits).
    """
    environments = []
    for line in lines:
        if line["environment"] not in environments:
            environments.append(line["environment"])
    failures = [{k: f.get(k) for k in _FAILURE} for f in about["failures"]]
    return {name: about[name] for name in _ABOUT} | {
        "environments": environments,
        "codecs": list(_codecs(lines)),
        "failures": failures,
        "bd_means": list(_means(found)),
        "bd_rates": [_short(one.to_json()) for one in found],
        "points": [_point(line) for line in lines],
    }


def _codecs(lines: Sequence[dict]) -> Iterator[dict]:
    """Each codec as its first result has it."""
    for name in dict.fromkeys(line["codec"] for line in lines):
        first = next(line for line in lines if line["codec"] == name)
        known = ("version", "model_id", "parameters")
        yield {"codec": name} | {key: first[key] for key in known}


def _means(found: Sequence[Comparison]) -> Iterator[dict]:
    """Mean BD-rates over the clips that have one, and how many those are."""
    groups = collections.defaultdict(list)
    for one in found:
        groups[one.test, one.anchor, one.quality].append(one.result)
    for (test, anchor, quality), results in groups.items():
        percents = [result.percent for result in results if not isinstance(result, str)]
        yield {
            "test": test,
            "anchor": anchor,
            "quality": quality,
            "percent": round(statistics.fmean(percents), 2) if percents else None,
            "clips": len(percents),
            "of": len(results),
        }


def _short(fields: dict) -> dict:
    return {k: round(v, 2) if isinstance(v, float) else v for k, v in fields.items()}


def _point(line: dict) -> dict:
    names = [name for name in MEANS if line.get(name) is not None]
    words = ("clip", "codec", "setting", "frames", "num_bytes")
    values = {name: float(f"{line[name]:.6g}") for name in names}
    return {name: line[name] for name in words} | values
