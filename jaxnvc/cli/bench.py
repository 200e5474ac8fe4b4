"""`jaxnvc bench`: how fast the parts are, compile time apart."""

import argparse
import importlib
import importlib.util
import json
from collections.abc import Callable

from jaxnvc.cli import device, options
from jaxnvc.errors import UsageError

_SIZES = ((416, 240), (1280, 720))
_FRAMES = 16


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "bench",
        help="measure speed",
        description="Measures speed, compile time apart.",
    )
    parser.set_defaults(run=run)
    put = parser.add_argument
    put("part", choices=list(_PARTS), help="what to measure")
    put("--json", action="store_true", help="print JSON")
    put("--quick", action="store_true", help="rans: small and less exact")
    put(
        "--model",
        metavar="NAME|PATH|PRESET",
        help="codec: released model, bundle file, or preset such as dcvc_uf/hts, "
        "untrained where no weights are released (default: the released model)",
    )
    put("--clip", metavar="FILE", help="codec: frames to code (default: synthetic)")
    put(
        "--size",
        action="append",
        type=options.dimensions,
        metavar="WxH",
        help="codec: picture size, may be repeated (default: 416x240 and 1280x720)",
    )
    put("--qp", type=options.qp, default=24, help="codec: quality (default: 24)")
    put(
        "--units",
        type=options.count,
        default=12,
        metavar="N",
        help="codec: inter frames, or chunks of frames, to code (default: 12)",
    )
    put(
        "--precision",
        choices=["float32", "bfloat16"],
        default="float32",
        help="codec: of the networks (default: float32)",
    )
    put("--stages", action="store_true", help="codec: time each step of a unit too")
    put("--config", metavar="FILE", help="train: a training configuration")
    put("--compile-only", action="store_true", help="train: memory, but no speed")
    options.add_cache(parser)


def run(args: argparse.Namespace) -> int:
    """Measures and prints; returns the exit code."""
    if args.part == "train" and not args.config:
        raise UsageError(
            "bench train needs a run: give a file of configs/ with --config."
        )
    if args.units < 4:
        raise UsageError(
            f"{args.units} units are too few to time, as the first two and the last "
            "are left out; give 4 or more with --units."
        )
    device.prepare(args.cache_dir, args.precision)
    result, as_table = _PARTS[args.part](args)
    print(json.dumps(result, indent=1) if args.json else as_table(result))
    return 0


def _rans(args: argparse.Namespace) -> tuple[dict, Callable[[dict], str]]:
    from jaxnvc.evaluation.bench_rans import bench_rans, format_table

    return bench_rans(quick=args.quick), format_table


def _codec(args: argparse.Namespace) -> tuple[dict, Callable[[dict], str]]:
    from jaxnvc.coding.codec import Codec
    from jaxnvc.evaluation.bench_codec import bench_sizes, format_speeds
    from jaxnvc.models.bundle import DEFAULT_MODEL
    from jaxnvc.models.presets import open_model
    from jaxnvc.video import open_video

    frames = None
    if args.clip:
        with open_video(args.clip, frames=_FRAMES) as reader:
            frames = [frame.planes for frame in reader]
    bundle, weights = open_model(args.model or DEFAULT_MODEL)
    result = bench_sizes(
        Codec(bundle.in_precision(args.precision)),
        frames,
        args.size or _SIZES,
        qp=args.qp,
        units=args.units,
        stages=args.stages,
    )
    return {"weights": weights, **result}, format_speeds


def _train(args: argparse.Namespace) -> tuple[dict, Callable[[dict], str]]:
    # Training stands beside the package, in a checkout; it is not installed with it.
    if importlib.util.find_spec("train") is None:
        raise UsageError(
            "training lives in the repository and not in the installed package; run "
            "this from the root of a checkout, as python -m jaxnvc bench train."
        )
    bench = importlib.import_module("train.bench")
    config = importlib.import_module("train.config").load_config(args.config)
    result = bench.bench_config(config, run=not args.compile_only)
    return result, bench.format_bench


_PARTS = {"rans": _rans, "codec": _codec, "train": _train}
