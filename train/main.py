"""Trains a model: `python -m train.main --config configs/avs_eem/lite.py`."""

import argparse
import sys

from jaxnvc.errors import JaxnvcError
from train.config import load_config, with_settings


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.main", description=__doc__)
    parser.add_argument("--config", required=True, help="a file with get_config()")
    parser.add_argument("--out", required=True, help="run folder; resumed if it exists")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--init", help="bundle whose weights to start from")
    parser.add_argument("--cache", help="folder of compiled programs to reuse")
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--export", help="write a bundle of the averaged weights here")
    args = parser.parse_args(argv)
    try:
        config = with_settings(load_config(args.config), args.set)
        _train(config, args)
    except JaxnvcError as error:
        print(f"train: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _train(config, args):
    import jax

    from train.loop import run

    if args.cache:
        jax.config.update("jax_compilation_cache_dir", args.cache)
    init = None
    if args.init:
        from jaxnvc.models.bundle import load_bundle

        init = load_bundle(args.init).params
    seconds = args.minutes * 60 if args.minutes else None
    state = run(config, args.out, init=init, until_s=seconds)
    if args.export:
        from train.export import export

        export(config, state, args.export)


if __name__ == "__main__":
    sys.exit(main())
