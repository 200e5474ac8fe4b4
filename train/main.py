"""Trains a model: `python -m train.main --config configs/avs_eem/lite.py`."""

import argparse
import sys

from jaxnvc.errors import JaxnvcError, UsageError
from train.config import load_config, with_settings


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.main", description=__doc__)
    parser.add_argument("--config", required=True, help="a file with get_config()")
    parser.add_argument("--out", required=True, help="run folder; resumed if it exists")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--init", help="bundle whose weights to start from")
    parser.add_argument("--cache", help="folder of compiled programs to reuse")
    parser.add_argument(
        "--resume",
        choices=["auto", "never"],
        default="auto",
        help="auto goes on from the folder's newest checkpoint; never refuses one",
    )
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="join the processes of a cluster, which JAX finds by itself on TPU",
    )
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0")
    parser.add_argument("--processes", type=int, help="how many there are")
    parser.add_argument("--process", type=int, help="index of this one")
    parser.add_argument(
        "--tensorboard", action="store_true", help="write event files into the run too"
    )
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

    if args.distributed or args.coordinator:
        from train.mesh import start_distributed

        start_distributed(args.coordinator, args.processes, args.process)
    from train.loop import run

    if args.resume == "never":
        _refuse_checkpoints(args.out)
    if args.cache:
        jax.config.update("jax_compilation_cache_dir", args.cache)
    init = None
    if args.init:
        from train.warm_start import load_start

        init = load_start(args.init, config)
    seconds = args.minutes * 60 if args.minutes else None
    state = run(
        config, args.out, init=init, until_s=seconds, tensorboard=args.tensorboard
    )
    if args.export and jax.process_index() == 0:
        from train.export import export

        export(config, state, args.export)


def _refuse_checkpoints(folder: str) -> None:
    from etils import epath

    path = epath.Path(folder) / "checkpoints"
    if path.exists() and any(path.iterdir()):
        raise UsageError(
            f"{folder!r} holds checkpoints and --resume never was given; choose "
            "another folder, or --resume auto to go on."
        )


if __name__ == "__main__":
    sys.exit(main())
