"""The entry point: options, commands, and every failure as one sentence and a code."""

import argparse
import os
import sys
import traceback
import warnings

import jaxnvc
from jaxnvc.cli import (
    bench,
    complexity,
    convert,
    decode,
    encode,
    info,
    models,
    outputs,
    verify,
)
from jaxnvc.cli import interrupts as interrupting
from jaxnvc.cli.console import console
from jaxnvc.cli.device import is_device_error
from jaxnvc.errors import DeviceError, InputError, JaxnvcError

_COMMANDS = (encode, decode, info, verify, models, complexity, bench, convert)

_EPILOG = """\
exit codes:
  0 ok                                 4 stream corrupt or truncated
  1 internal error                     5 model missing or not the stream's
  2 usage                              6 no device, or not enough memory
  3 file unreadable or unsupported,    7 verification failed
    or output not writable           130 interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="jaxnvc",
        description="A neural video codec. Quality: higher qp = better = more bits.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"jaxnvc {jaxnvc.__version__}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs a command.

    Args:
      argv: arguments without the program's name; the process's if None.

    Returns:
      The exit code.
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    with warnings.catch_warnings():
        warnings.simplefilter("always", jaxnvc.video.VideoWarning)
        warnings.showwarning = _show_warning
        try:
            code = args.run(args)
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
        except BrokenPipeError:
            # The reader has seen enough, as `head` does.
            outputs.silence_standard_output()
            return 0
        except (Exception, KeyboardInterrupt) as error:
            return _explain(error)


def _show_warning(message, *_, **__) -> None:
    # Another process may be writing the same cache entry; JAX then compiles, and
    # there is nothing for the user to do about it.
    if "persistent compilation cache entry" not in str(message):
        console.warn(str(message))


def _explain(error: BaseException) -> int:
    """Says what went wrong and returns the exit code."""
    if os.environ.get("JAXNVC_TRACEBACK") == "1":
        console.say("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, KeyboardInterrupt):
        console.say("jaxnvc: interrupted")
        return interrupting.EXIT_CODE
    if isinstance(error, JaxnvcError):
        console.say(f"jaxnvc: {error}")
        return error.exit_code
    text = " ".join(str(error).split()) or type(error).__name__
    if is_device_error(error):
        console.say(
            f"jaxnvc: there is no usable device or not enough memory ({text[:300]}): "
            "use a smaller picture or another device (JAX_PLATFORMS=cpu)"
        )
        return DeviceError.exit_code
    if isinstance(error, OSError):
        console.say(f"jaxnvc: a file cannot be read or written ({text})")
        return InputError.exit_code
    console.say(
        f"jaxnvc: internal error, {type(error).__name__}: {text[:300]}; set "
        "JAXNVC_TRACEBACK=1 to see where, and please report it"
    )
    return 1
