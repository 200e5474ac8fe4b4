"""`jaxnvc info`: what a stream says about itself, without JAX."""

import argparse
import json
import sys

from jaxnvc.bitstream import Limits, describe, format_info
from jaxnvc.cli import options
from jaxnvc.errors import BitstreamError


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "info",
        help="say what a stream holds",
        description="Says what a stream holds. Exits with 4 if it is damaged.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("input", metavar="IN.nvc", help="a stream, or -")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options.add_max_pixels(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the description; returns the exit code."""
    source = sys.stdin.buffer if args.input == "-" else args.input
    found = describe(source, Limits(max_pixels=args.max_pixels))
    print(json.dumps(found, indent=1) if args.json else format_info(found))
    return BitstreamError.exit_code if found["damages"] else 0
