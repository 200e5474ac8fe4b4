"""`jaxnvc complexity`: parameters and multiply-accumulates of a model."""

import argparse
import json

from jaxnvc.cli import options


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "complexity",
        help="count parameters and multiply-accumulates",
        description="Counts parameters and multiply-accumulates per module, from the "
        "traced programs: convolutions and matrix products, per luma pixel.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="preset, as avs_eem/base")
    parser.add_argument(
        "--size",
        type=options.dimensions,
        default=(1920, 1080),
        metavar="WxH",
        help="picture size (default: 1920x1080)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Counts and prints; returns the exit code."""
    from jaxnvc.evaluation.complexity import complexity, format_complexity

    result = complexity(args.model, args.size)
    print(json.dumps(result, indent=1) if args.json else format_complexity(result))
    return 0
