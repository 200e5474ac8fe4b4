"""Parameters and multiply-accumulates of a model, counted from its traced programs.

Counted are convolutions and matrix products, as the papers do: not warps,
correlations, activations, resampling, selections, nor the entropy coder. Nothing is
run and no table of layers is consulted, so a figure is what the program would do.
The encoder is charged what the next unit needs, not the picture it could show.

Source of the convention: AVS-EEM v9.2 Table V, whose 27.44 KMAC per pixel for the
flow network closes only this way.
"""

import collections
import functools
import json
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import REFRESH_SCOPE, UnitCodec, first_params, run_unit
from jaxnvc.layers.quarters import SELECTION
from jaxnvc.ops.frame import PACKED_CHANNELS
from jaxnvc.ops.spatial import ceil_to

FULL_HD = (1920, 1080)
# Modules that run only where the reference features start afresh.
_REFRESH_ONLY = ("adaptor_i", "feature_adaptor_i")
# Fixed transforms, which have no parameters.
_OTHER = "other"


def complexity(preset: str, size: tuple[int, int] = FULL_HD) -> dict[str, Any]:
    """Counts a preset.

    Args:
      preset: a key of `registry.PRESETS`.
      size: width and height in luma samples; rates are per luma sample of the coded
        (padded) size, of every frame of a unit.

    Returns:
      `model`, `size`, `coded_size`, `parameters`, `modules` (per part of the model
      its `parameters`, `encoder_kmac`, `decoder_kmac` and, where the `source` has
      them, `paper_encoder_kmac` and `paper_decoder_kmac`), `encoder_kmac` and
      `decoder_kmac` in total, without parts that run on refreshed frames only,
      `union_kmac` and `union_gmac` (per frame) of what runs on either side, beside
      `paper_union_gmac` where a paper prints it, and `notes`.

    Raises:
      ModelError: the preset is unknown.
    """
    counted = count(registry.build(preset), size)
    published = _published(preset)
    for name, row in counted["modules"].items():
        row |= _paper(published, name)
    return {
        "model": preset,
        **counted,
        "paper_encoder_kmac": published.get("encoder_total"),
        "paper_decoder_kmac": published.get("decoder_total"),
        "paper_union_gmac": published.get("union_gmac"),
        "source": published.get("source"),
        "notes": published.get("notes", []),
    }


def count(model: UnitCodec, size: tuple[int, int] = FULL_HD) -> dict[str, Any]:
    """Counts a model.

    Args:
      model: its module.
      size: as of `complexity`.

    Returns:
      What `complexity` returns, less its name and what papers print.
    """
    multiple = model.size_multiple
    width, height = (ceil_to(side, multiple) for side in size)
    key = jax.random.key(0)
    params = jax.eval_shape(functools.partial(first_params, model), key)
    x = jax.ShapeDtypeStruct((1, height // 2, width // 2, PACKED_CHANNELS), jnp.float32)
    pixels = width * height * model.frames_per_unit
    counts = {}
    for side, program in (("encoder", _encode), ("decoder", _decode)):
        traced = jax.make_jaxpr(functools.partial(program, model))(params, x)
        macs = collections.Counter()
        _count(traced.jaxpr, "", 1, macs)
        counts[side] = _by_module(macs, params)
    modules = {
        name: {
            "parameters": _size(params.get(name, ())),
            **{f"{side}_kmac": counts[side][name] / (1e3 * pixels) for side in counts},
        }
        for name in sorted({*params, *counts["encoder"]})
    }
    usual = [row for name, row in modules.items() if name not in _REFRESH_ONLY]
    union = math.fsum(max(row["encoder_kmac"], row["decoder_kmac"]) for row in usual)
    return {
        "size": list(size),
        "coded_size": [width, height],
        "parameters": _size(params),
        "modules": modules,
        "encoder_kmac": math.fsum(row["encoder_kmac"] for row in usual),
        "decoder_kmac": math.fsum(row["decoder_kmac"] for row in usual),
        "union_kmac": union,
        "union_gmac": union * width * height / 1e6,
    }


def count_macs(jaxpr) -> int:
    """Counts the multiply-accumulates of any traced program.

    A loop whose number of turns is not known counts once.

    Args:
      jaxpr: as `jax.make_jaxpr` gives it.
    """
    macs = collections.Counter()
    _count(jaxpr.jaxpr, "", 1, macs)
    return macs.total()


def format_complexity(result: dict[str, Any]) -> str:
    """Returns a table for a person to read."""
    width, height = result["coded_size"]
    lines = [
        f"{result['model']}: {result['parameters']} parameters; KMAC per luma pixel "
        f"at {width}x{height}",
        f"{'module':<24}{'parameters':>12}{'encoder':>10}{'decoder':>10}"
        f"{'paper enc':>11}{'paper dec':>11}",
    ]
    total = {"parameters": result["parameters"], **result}
    rows = [*result["modules"].items(), ("total", total)]
    for name, row in rows:
        paper = "".join(
            f"{row.get(f'paper_{side}_kmac') or '':>11}"
            for side in ("encoder", "decoder")
        )
        lines.append(
            f"{name:<24}{row['parameters']:>12}{row['encoder_kmac']:>10.3f}"
            f"{row['decoder_kmac']:>10.3f}{paper}"
        )
    if result["paper_union_gmac"]:
        lines.append(
            f"encoder or decoder: {result['union_gmac']:.1f} GMAC per frame; the paper "
            f"prints {result['paper_union_gmac']}"
        )
    return "\n".join(lines + result["notes"])


def _published(preset: str) -> dict[str, Any]:
    """Returns the table of the paper that a preset follows, or nothing."""
    for path in sorted((pathlib.Path(__file__).parent / "published").glob("*.json")):
        table = json.loads(path.read_text())
        if table.get("preset") == preset:
            return table
    return {}


def _paper(published: dict[str, Any], name: str) -> dict[str, float | None]:
    row = published.get("modules", {}).get(name, {})
    return {f"paper_{side}_kmac": row.get(side) for side in ("encoder", "decoder")}


def _size(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _encode(model: UnitCodec, params, x):
    state, _ = model.apply(
        {"params": params}, x, method=functools.partial(run_unit, encoding=True)
    )
    return state


def _decode(model: UnitCodec, params, x):
    return model.apply(
        {"params": params}, x, method=functools.partial(run_unit, encoding=False)
    )


def _count(jaxpr, path: str, times: int, macs: collections.Counter) -> None:
    """Adds the multiply-accumulates of a program, by the path of names they have."""
    for equation in _live(jaxpr):
        name = equation.primitive.name
        here = f"{path}/{equation.source_info.name_stack}"
        if REFRESH_SCOPE in here.split("/"):
            continue
        if name == "conv_general_dilated":
            macs[here] += times * _convolution(equation)
        elif name == "dot_general" and SELECTION not in here:
            macs[here] += times * _product(equation)
        elif name == "cond":
            _count_dearest(equation.params["branches"], here, times, macs)
        else:
            repeats = equation.params.get("length", 1) if name == "scan" else 1
            for inner in _programs_in(equation):
                _count(inner, here, times * repeats, macs)


def _live(jaxpr) -> list:
    """Lists the equations on which the program's results depend."""
    needed, live = _variables(jaxpr.outvars), []
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            live.append(equation)
            needed |= _variables(equation.invars)
    return live


def _variables(atoms) -> set:
    """Keeps variables; literals carry their value."""
    return {atom for atom in atoms if not hasattr(atom, "val")}


def _count_dearest(branches, path: str, times: int, macs: collections.Counter) -> None:
    """Adds the most expensive of a conditional's branches."""
    counted = []
    for branch in branches:
        counted.append(collections.Counter())
        _count(branch.jaxpr, path, times, counted[-1])
    macs.update(max(counted, key=lambda one: sum(one.values())))


def _programs_in(equation) -> list:
    """Lists the programs among an equation's parameters."""
    found = []
    for value in equation.params.values():
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
            found.append(inner)
    return found


def _convolution(equation) -> int:
    kernel = equation.invars[1].aval.shape
    spec = equation.params["dimension_numbers"].rhs_spec
    per_output = math.prod(kernel) // kernel[spec[0]]
    # A transposed convolution meets zeros in between: only real samples count.
    between = math.prod(equation.params["lhs_dilation"])
    return math.prod(equation.outvars[0].aval.shape) * per_output // between


def _product(equation) -> int:
    (summed, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    out = math.prod(equation.outvars[0].aval.shape)
    return out * math.prod(left[axis] for axis in summed)


def _by_module(macs: collections.Counter, params) -> collections.Counter:
    """Sums by the first name on each path that is a part of the model, or `_OTHER`."""
    total = collections.Counter()
    for path, count in macs.items():
        names = (part.split(".")[0] for part in path.split("/"))
        total[next((name for name in names if name in params), _OTHER)] += count
    return total
