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
from typing import Any, NamedTuple

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
    params, x = shapes_of(model, size)
    width, height = 2 * x.shape[2], 2 * x.shape[1]
    pixels = width * height * model.frames_per_unit
    counts = {}
    for side, program in (("encoder", encode), ("decoder", decode)):
        traced = jax.make_jaxpr(functools.partial(program, model))(params, x)
        counts[side] = _by_module(products(traced.jaxpr), params)
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


def shapes_of(model: UnitCodec, size: tuple[int, int]):
    """Returns the shapes of the parameters and of a packed picture, padded."""
    width, height = (ceil_to(side, model.size_multiple) for side in size)
    key = jax.random.key(0)
    params = jax.eval_shape(functools.partial(first_params, model), key)
    shape = (1, height // 2, width // 2, PACKED_CHANNELS)
    return params, jax.ShapeDtypeStruct(shape, jnp.float32)


def count_macs(jaxpr) -> int:
    """Counts the multiply-accumulates of any traced program.

    A loop whose number of turns is not known counts once.

    Args:
      jaxpr: as `jax.make_jaxpr` gives it.
    """
    return sum(product.macs for product in products(jaxpr.jaxpr))


class Product(NamedTuple):
    """A convolution or matrix product of a traced program, all its turns together.

    Attributes:
      path: the names it has, of modules and scopes.
      macs: multiply-accumulates.
      activation_bytes: of its first operand and its result.
      weight_bytes: of its second operand.
    """

    path: str
    macs: int
    activation_bytes: int
    weight_bytes: int

    @property
    def is_usual(self) -> bool:
        """Whether it runs on every unit, not only where references start afresh."""
        names = (part.split(".")[0] for part in self.path.split("/"))
        return not set(_REFRESH_ONLY).intersection(names)


def products(jaxpr, path: str = "", times: int = 1) -> list[Product]:
    """Lists the products of a program, of conditionals the dearest branch.

    Args:
      jaxpr: as `jax.make_jaxpr(...)(...).jaxpr`.
      path: of names it is run under.
      times: it is run.
    """
    found = []
    for equation in _live(jaxpr):
        name = equation.primitive.name
        here = f"{path}/{equation.source_info.name_stack}"
        if REFRESH_SCOPE in here.split("/"):
            continue
        if name == "conv_general_dilated":
            found.append(_product_of(equation, here, times, _convolution(equation)))
        elif name == "dot_general" and SELECTION not in here:
            found.append(_product_of(equation, here, times, _matmul(equation)))
        elif name == "cond":
            branches = [
                products(b.jaxpr, here, times) for b in equation.params["branches"]
            ]
            found += max(branches, key=lambda some: sum(p.macs for p in some))
        else:
            repeats = equation.params.get("length", 1) if name == "scan" else 1
            for inner in _programs_in(equation):
                found += products(inner, here, times * repeats)
    return found


def _product_of(equation, path: str, times: int, macs: int) -> Product:
    left, right = (times * _num_bytes(atom) for atom in equation.invars[:2])
    out = times * _num_bytes(equation.outvars[0])
    return Product(path, times * macs, left + out, right)


def _num_bytes(atom) -> int:
    return math.prod(atom.aval.shape) * atom.aval.dtype.itemsize


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


def encode(model: UnitCodec, params, x):
    """Runs the encoder's networks as far as the next unit needs them."""
    state, _ = model.apply(
        {"params": params}, x, method=functools.partial(run_unit, encoding=True)
    )
    return state


def decode(model: UnitCodec, params, x):
    """Runs the decoder's networks."""
    return model.apply(
        {"params": params}, x, method=functools.partial(run_unit, encoding=False)
    )


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


def _matmul(equation) -> int:
    (summed, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    out = math.prod(equation.outvars[0].aval.shape)
    return out * math.prod(left[axis] for axis in summed)


def _by_module(found: list[Product], params) -> collections.Counter:
    """Sums by the first name on each path that is a part of the model, or `_OTHER`."""
    total = collections.Counter()
    for product in found:
        names = (part.split(".")[0] for part in product.path.split("/"))
        total[next((name for name in names if name in params), _OTHER)] += product.macs
    return total
