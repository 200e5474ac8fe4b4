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
    options.add_model(parser, "codec: the released model")
    put("--clip", metavar="FILE", help="codec: frames to code, at least 8")
    put(
        "--size",
        action="append",
        type=options.dimensions,
        metavar="WxH",
        help="codec: picture size, may be repeated (default: 416x240 and 1280x720)",
    )
    put("--parts", action="store_true", help="codec: time each part too")
    put("--config", metavar="FILE", help="train: a training configuration")
    put("--compile-only", action="store_true", help="train: memory, but no speed")
    options.add_cache(parser)


def run(args: argparse.Namespace) -> int:
    """Measures and prints; returns the exit code."""
    if args.part == "codec" and not args.clip:
        raise UsageError("bench codec needs frames: give a video with --clip.")
    if args.part == "train" and not args.config:
        raise UsageError(
            "bench train needs a run: give a file of configs/ with --config."
        )
    device.prepare(args.cache_dir)
    result, as_table = _PARTS[args.part](args)
    print(json.dumps(result, indent=1) if args.json else as_table(result))
    return 0


def _rans(args: argparse.Namespace) -> tuple[dict, Callable[[dict], str]]:
    from jaxnvc.evaluation.bench_rans import bench_rans, format_table

    return bench_rans(quick=args.quick), format_table


def _codec(args: argparse.Namespace) -> tuple[dict, Callable[[dict], str]]:
    import jaxnvc
    from jaxnvc.evaluation.bench_codec import bench_sizes, format_speeds
    from jaxnvc.video import open_video

    codec = jaxnvc.load(args.model) if args.model else jaxnvc.load()
    with open_video(args.clip, frames=_FRAMES) as reader:
        frames = [frame.planes for frame in reader]
    sizes = args.size or _SIZES
    return bench_sizes(codec, frames, sizes, parts=args.parts), format_speeds


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
