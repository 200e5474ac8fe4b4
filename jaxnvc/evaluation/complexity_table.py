"""One table of what every registered model costs; README shows it.

    python -m jaxnvc.evaluation.complexity_table --out docs/bench/complexity.json
        --readme README.md

Multiply-accumulates are counted at 1920x1080. Speed and memory are measured, each
preset in a process of its own, on units of real frames: an intra codec's units, or
inter units after a reference. Released weights where there are some, else those that
training starts from. `--format-only` makes the table of README from the file again.
"""

import argparse
import functools
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import Cond
from jaxnvc.coding.unit import decode_unit, encode_unit, estimate_unit
from jaxnvc.errors import JaxnvcError
from jaxnvc.evaluation.bench_codec import resized
from jaxnvc.evaluation.complexity import complexity
from jaxnvc.evaluation.run import environment
from jaxnvc.evaluation.tables import row
from jaxnvc.evaluation.worker import peak_mib
from jaxnvc.models.presets import UNTRAINED, weights_of
from jaxnvc.ops.frame import from_planes
from jaxnvc.video import open_video

_BEGIN, _END = "<!-- complexity: begin -->", "<!-- complexity: end -->"
_ROUNDS = 5
_QP = 24


def presets() -> list[str]:
    """The registered models, without those that exist for tests."""
    return [name for name in registry.PRESETS if "tiny" not in name]


def measure_preset(preset: str, clip: str, size: tuple[int, int]) -> dict:
    """Measures one preset in this process.

    Args:
      preset: key of `registry.PRESETS`.
      clip: a video of at least two frames.
      size: width and height of the frames that are timed.

    Returns:
      `weights` (the released model, or "untrained"), `encode_fps`, `decode_fps`,
      seconds of first use, `peak_mib`, and `bits_share` by name of the stage where the
      weights are trained.
    """
    model = registry.build(preset)
    weights, params = weights_of(model)
    with open_video(clip, frames=1 + model.frames_per_unit) as reader:
        frames = [resized(frame.planes, *size) for frame in reader]
    multiple = model.size_multiple
    before, *unit = (
        from_planes(*frame.planes, multiple=multiple)[None] for frame in frames
    )
    x = unit[0] if len(unit) == 1 else jnp.stack(unit, 1)
    cond = Cond.of(_QP)
    state = model.apply({"params": params}, before, cond, method="reset")
    encode = jax.jit(functools.partial(encode_unit, model))
    (payload, _, _), first_encode, encode_s = _timed(
        encode, params, state, x, before, cond
    )
    decode = jax.jit(functools.partial(decode_unit, model), static_argnums=4)
    lanes = int(payload.lanes[0])
    words = payload.words, payload.num_words
    _, first_decode, decode_s = _timed(decode, params, state, *words, lanes, cond)
    peak = peak_mib()
    share = None
    if weights != UNTRAINED:
        source = model.apply({"params": params}, x, before, cond, method="analyse")
        estimate = jax.jit(functools.partial(estimate_unit, model))
        bits = np.asarray(estimate(params, state, source, cond).bits[0])
        shares = [round(float(one), 4) for one in bits / bits.sum()]
        share = dict(zip(model.stage_names, shares, strict=True))
    return {
        "weights": weights,
        "encode_fps": model.frames_per_unit / encode_s,
        "decode_fps": model.frames_per_unit / decode_s,
        "encode_first_use_seconds": first_encode,
        "decode_first_use_seconds": first_decode,
        "peak_mib": round(peak, 1),
        "bits_share": share,
    }


def _timed(program, *args) -> tuple:
    """Runs a program; returns its result, seconds of first use and median seconds."""
    began = time.perf_counter()
    result = jax.block_until_ready(program(*args))
    first, times = time.perf_counter() - began, []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        result = jax.block_until_ready(program(*args))
        times.append(time.perf_counter() - began)
    return result, first, statistics.median(times)


def table(report: dict) -> str:
    """The table of a report, as Markdown."""
    width, height = report["size"]
    env = report["environment"]
    head = ["model", "parameters", "KMAC/px enc", "dec", "fps enc", "dec", "peak MiB"]
    lines = [row([*head, "bits by symbol group"]), row(["---", *["--:"] * 6, "---"])]
    for one in report["models"]:
        numbers = [
            f"{one['parameters']:,}",
            f"{one['encoder_kmac']:.1f}",
            f"{one['decoder_kmac']:.1f}",
        ]
        if "reason" in one:
            numbers += ["–", "–", "–", one["reason"]]
        else:
            numbers += [
                f"{one['encode_fps']:.1f}",
                f"{one['decode_fps']:.1f}",
                f"{one['peak_mib']:.0f}",
                _shares(one["bits_share"]),
            ]
        lines.append(row([f"`{one['preset']}`", *numbers]))
    lines.append(
        f"\nParameters and MACs of one codec of the pair; MACs at 1920x1080. Speed of "
        f"its units at {width}x{height}, compilation apart, and peak memory of a "
        f"process that encodes and decodes with it: {env['device']} device, "
        f"{env['processor']}, {env['cpus']} cores, JAX "
        f"{env['jax']}. `{report['command']}`"
    )
    return "\n".join(lines)


def _shares(by_stage: dict[str, float] | None) -> str:
    """What each group of symbols takes of the bits; the parts of one are added up."""
    groups: dict[str, float] = {}
    for stage, share in (by_stage or {}).items():
        group = stage.rstrip(" 0123456789")
        groups[group] = groups.get(group, 0.0) + share
    return ", ".join(f"{g} {s:.0%}" for g, s in groups.items()) or "untrained"


def put_into(readme: str, text: str) -> str:
    """Returns a document with the text between its two marks replaced.

    Raises:
      ValueError: it has no marks.
    """
    start, stop = readme.index(_BEGIN) + len(_BEGIN), readme.index(_END)
    return f"{readme[:start]}\n{text}\n{readme[stop:]}"


def _measure_apart(preset: str, args: argparse.Namespace) -> dict:
    """Counts a preset and measures it in a new process, or says why it is not timed."""
    counted = complexity(preset)
    names = ("parameters", "encoder_kmac", "decoder_kmac")
    known = {"preset": preset} | {name: counted[name] for name in names}
    if args.timed and preset not in args.timed.split(","):
        return known | {"reason": "not timed"}
    words = ["--only", preset, "--clip", args.clip, "--size", args.size, "--out", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "jaxnvc.evaluation.complexity_table", *words],
        stdout=subprocess.PIPE,
        env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return known | json.loads(done.stdout)
    return known | {"reason": f"not timed: status {done.returncode}"}


def _report(args: argparse.Namespace) -> dict:
    """Measures all presets and writes the file after each."""
    report = {
        "command": shlex.join(
            ["python", "-m", "jaxnvc.evaluation.complexity_table", *sys.argv[1:]]
        ),
        "clip": args.clip,
        "size": [int(side) for side in args.size.split("x")],
        "environment": environment(),
        "models": [],
    }
    for preset in presets():
        print(f"measuring {preset}", file=sys.stderr)
        report["models"].append(_measure_apart(preset, args))
        pathlib.Path(args.out).write_text(json.dumps(report, indent=1) + "\n")
    return report


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxnvc.evaluation.complexity_table", description=__doc__
    )
    parser.add_argument("--out", default="docs/bench/complexity.json")
    parser.add_argument("--readme", help="document whose table is replaced")
    parser.add_argument("--clip", default="examples/cars.mkv")
    parser.add_argument("--size", default="416x240", help="WxH of the frames timed")
    parser.add_argument("--timed", help="presets to run, by commas; all if left out")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--format-only", action="store_true")
    args = parser.parse_args(argv)
    try:
        if args.only:
            size = tuple(int(side) for side in args.size.split("x"))
            print(json.dumps(measure_preset(args.only, args.clip, size)))
            return 0
        if args.format_only:
            report = json.loads(pathlib.Path(args.out).read_text())
        else:
            report = _report(args)
    except JaxnvcError as error:
        print(f"complexity_table: {error}", file=sys.stderr)
        return error.exit_code
    text = table(report)
    if args.readme:
        path = pathlib.Path(args.readme)
        path.write_text(put_into(path.read_text(), text))
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
