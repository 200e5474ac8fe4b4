"""`jaxnvc bench`: how fast the parts are, compile time apart."""

import argparse
import json

from jaxnvc.cli import device, options


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "bench",
        help="measure speed",
        description="Measures speed, compile time apart.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("part", choices=["rans"], help="rans: the entropy coder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="small and less exact")
    options.add_cache(parser)


def run(args: argparse.Namespace) -> int:
    """Measures and prints; returns the exit code."""
    device.prepare(args.cache_dir)
    from jaxnvc.evaluation.bench_rans import bench_rans, format_table

    result = bench_rans(quick=args.quick)
    print(json.dumps(result, indent=1) if args.json else format_table(result))
    return 0
