"""`jaxnvc convert`: published PyTorch weights in, a bundle out."""

import argparse
import math
import os

import numpy as np

from jaxnvc.cli import options, outputs
from jaxnvc.cli.console import console
from jaxnvc.errors import UsageError
from jaxnvc.models.torch_checkpoint import read_state_dict

INTRA = "dcvc-uf-intra"
VIDEO = ("dcvc-uf-ld", "dcvc-uf-hts", "dcvc-uf-htl")
_SUFFIX = ".nvcm"

_DESCRIPTION = """\
Converts a published PyTorch checkpoint to a bundle for --model of encode and decode.
PyTorch is not needed. A video model codes its first frame with the intra model, so it
needs that checkpoint too (--intra); the intra model alone becomes a bundle that codes
every frame on its own.
"""

_EPILOG = """\
examples:
  jaxnvc convert dcvc-uf-ld cvpr2026_video_ld.pth.tar ld.nvcm \\
      --intra cvpr2026_image.pth.tar
  jaxnvc convert dcvc-uf-intra cvpr2026_image.pth.tar intra.nvcm

A checkpoint is data: nothing in it is run, and one that asks for more than tensors is
refused (exit 3). Names, shapes and values must be the model's, to the last one (exit
5 names the first that differs). Nothing is written unless all is well. The weights
keep their licence.
"""


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "convert",
        help="turn published PyTorch weights into a bundle",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    put = parser.add_argument
    put("family", metavar="FAMILY", choices=(INTRA, *VIDEO), help="%(choices)s")
    put("checkpoint", metavar="CKPT.pth", help="a file of torch.save, also .pth.tar")
    put("output", metavar=f"OUT{_SUFFIX}", help="the bundle to write")
    put("--intra", metavar="CKPT.pth", help="the intra model's checkpoint")
    options.add_overwrite(parser)


def run(args: argparse.Namespace) -> int:
    """Converts; returns the exit code."""
    checkpoints = _checkpoints(args)
    if not args.output.endswith(_SUFFIX):
        raise UsageError(
            f"{args.output} does not end in the name of a bundle: use {_SUFFIX}."
        )
    files = [path for _, path in checkpoints.values()]
    outputs.settle(files, [args.output], args.overwrite)
    # What is no checkpoint is told before JAX is loaded.
    states = {path: read_state_dict(path) for path in files}
    from jaxnvc.models.published import import_weights, pack_published

    units = {
        unit: import_weights(family, states[path], path)
        for unit, (family, path) in checkpoints.items()
    }
    name = os.path.basename(args.output).removesuffix(_SUFFIX)
    data, model_id = pack_published(name, units)
    with outputs.StreamFile(args.output) as out, out.errors():
        out.file.write(data)
    for family, path in checkpoints.values():
        console.say(f"{path}: {family}, {_summary(states[path])}")
    console.say(f"{args.output}: {len(data)} bytes, model id {model_id.hex()}")
    return 0


def _checkpoints(args: argparse.Namespace) -> dict[str, tuple[str, str]]:
    """Returns family and file of each unit kind.

    Raises:
      UsageError: --intra is missing, or given with nothing to serve.
    """
    if args.family == INTRA:
        if args.intra is not None:
            raise UsageError(f"{INTRA} is the intra model itself: leave --intra out.")
        return {"intra": (INTRA, args.checkpoint)}
    if args.intra is None:
        raise UsageError(
            f"{args.family} codes its first frame with {INTRA}: give that model's "
            "checkpoint with --intra."
        )
    return {"intra": (INTRA, args.intra), "inter": (args.family, args.checkpoint)}


def _summary(state: dict[str, np.ndarray]) -> str:
    count = sum(math.prod(value.shape) for value in state.values())
    kinds = ", ".join(sorted({value.dtype.name for value in state.values()}))
    return f"{len(state)} tensors, {count} parameters, {kinds}"
