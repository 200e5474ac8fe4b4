"""How fast a GPU could run DCVC-UF at best: an estimate, nothing is run.

    python -m jaxnvc.evaluation.roofline --out docs/bench/roofline.json

Convolutions and matrix products are listed from the traced programs of a unit at
1920x1080. Each takes the longer of its operations at the device's peak and its bytes
at the bandwidth of its memory, one product after the other:

    seconds of a unit = sum of max(2 MAC / peak, bytes / bandwidth)

`fused` counts the operands and the result of each product once, as if all that lies
between products were part of them; `apart` counts activations twice, as if it were
kernels of its own. No device reaches its peak: the figures are bounds. Entropy coder,
transfers and launches of kernels are not in them.
"""

import argparse
import functools
import json
import pathlib
import shlex
import sys

import jax
import jax.numpy as jnp

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import UnitCodec, run_unit
from jaxnvc.evaluation.complexity import (
    FULL_HD,
    Product,
    decode,
    encode,
    products,
    shapes_of,
)

# Data sheets of the SXM boards, dense: operations a second and bytes a second.
DEVICES = {
    "H100": {"bfloat16": 989e12, "float32": 67e12, "bandwidth": 3.35e12},
    "H200": {"bfloat16": 989e12, "float32": 67e12, "bandwidth": 4.8e12},
}
# DCVC-UF with its own kernels on an H100-class GPU, 16-bit floats, rANS included.
PUBLISHED_FPS = {
    "dcvc_uf/ld": {"encode": 504, "decode": 505},
    "dcvc_uf/hts": {"encode": 957, "decode": 669},
    "dcvc_uf/htl": {"encode": 512, "decode": 394},
}
_TRAFFIC = {"fused": 1, "apart": 2}


def _encode_and_show(model: UnitCodec, params, x):
    """Runs the encoder's networks and reconstructs the frames, as `jaxnvc encode`."""
    return model.apply(
        {"params": params}, x, method=functools.partial(run_unit, encoding=True)
    )


_PROGRAMS = {
    "encode": encode,
    "encode and reconstruct": _encode_and_show,
    "decode": decode,
}


def estimate(preset: str, size: tuple[int, int] = FULL_HD) -> list[dict]:
    """Estimates a preset.

    Args:
      preset: of a family whose modules have a `dtype`.
      size: width and height.

    Returns:
      Per program and dtype: `gmac_per_frame`, `mib_per_frame` of activations, read and
      written once, and of weights, and by device and kind of traffic the bound in
      frames per second `fps`.
    """
    rows = []
    for name, program in _PROGRAMS.items():
        for dtype in ("float32", "bfloat16"):
            model = registry.build(preset).clone(dtype=getattr(jnp, dtype))
            traced = jax.make_jaxpr(functools.partial(program, model))(
                *shapes_of(model, size)
            )
            found = [p for p in products(traced.jaxpr) if p.is_usual]
            count = model.frames_per_unit
            activations = sum(p.activation_bytes for p in found)
            weights = sum(p.weight_bytes for p in found)
            rows.append(
                {
                    "program": name,
                    "dtype": dtype,
                    "gmac_per_frame": round(
                        sum(p.macs for p in found) / count / 1e9, 2
                    ),
                    "mib_per_frame": {
                        "activations": round(activations / count / 2**20, 1),
                        "weights": round(weights / count / 2**20, 1),
                    },
                    "fps": {
                        device: {
                            traffic: round(
                                count / seconds_of(found, peaks, dtype, passes)
                            )
                            for traffic, passes in _TRAFFIC.items()
                        }
                        for device, peaks in DEVICES.items()
                    },
                }
            )
    return rows


def seconds_of(found: list[Product], peaks: dict, dtype: str, passes: int) -> float:
    """Returns the bound of products one after the other."""
    return sum(
        max(
            2 * p.macs / peaks[dtype],
            (passes * p.activation_bytes + p.weight_bytes) / peaks["bandwidth"],
        )
        for p in found
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxnvc.evaluation.roofline", description=__doc__
    )
    parser.add_argument("--out", default="docs/bench/roofline.json")
    args = parser.parse_args(argv)
    report = {
        "command": shlex.join(
            ["python", "-m", "jaxnvc.evaluation.roofline", "--out", args.out]
        ),
        "kind": "estimate: counted from traced programs, nothing was run on a GPU",
        "size": list(FULL_HD),
        "devices": DEVICES,
        "models": {
            preset: {"published_fps": published, "programs": estimate(preset)}
            for preset, published in PUBLISHED_FPS.items()
        },
    }
    pathlib.Path(args.out).write_text(json.dumps(report, indent=1) + "\n")
    for preset, one in report["models"].items():
        for row in one["programs"]:
            print(
                preset, row["program"], row["dtype"], row["gmac_per_frame"], row["fps"]
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
