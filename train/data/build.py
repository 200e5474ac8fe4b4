"""Builds a data set of clips from a local download.

    python -m train.data.build vimeo --source vimeo_septuplet --out DIR

Then train with `--set clips=DIR/vimeo_septuplet/1.0.0`, as the command says.
"""

import argparse
import sys
import warnings

from jaxnvc.errors import JaxnvcError
from jaxnvc.video import VideoWarning


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    from train.data.builders import BUILDERS

    parser = argparse.ArgumentParser(
        prog="python -m train.data.build", description=__doc__
    )
    parser.add_argument("dataset", choices=sorted(BUILDERS))
    parser.add_argument("--source", required=True, help="folder of the download")
    parser.add_argument("--out", required=True, help="folder to build in")
    args = parser.parse_args(argv)
    try:
        builder = BUILDERS[args.dataset](source=args.source, data_dir=args.out)
        with warnings.catch_warnings():
            warnings.simplefilter("always", VideoWarning)
            warnings.showwarning = _show_warning
            builder.download_and_prepare()
    except JaxnvcError as error:
        print(f"build: {error}", file=sys.stderr)
        return error.exit_code
    for problem in builder.problems:
        print(f"left out: {problem}", file=sys.stderr)
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    print(f"{builder.data_dir}: {counts}, {len(builder.problems)} problems")
    return 0


def _show_warning(message, *_, **__) -> None:
    print(f"note: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
