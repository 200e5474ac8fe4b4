"""`jaxnvc eval`: clips x codecs x settings, from real bytes, into one folder."""

import argparse
import importlib.util
import json
import pathlib
import re

from jaxnvc.cli import device, options
from jaxnvc.cli.console import console
from jaxnvc.cli.progress import Style, choose_style, duration_text
from jaxnvc.errors import InputError, UsageError

_DESCRIPTION = """\
Measures codecs on clips: every stream is a file on disk, decoded from that file alone
by another process and compared with the source frame by frame.

Writes DIR/results.jsonl (a line per clip, codec and setting), frames/*.csv, streams/,
tables.md, tables.json, plots/ (PNG and SVG, with the `bench` extra) and report.html.
Stopped or killed, the same command goes on where it was.

CLIPS are video files, or one suite: a JSON file, or one of
  {suites}
whose sequences are looked for under --root. Codecs: a released model, a model file, or
TOOL[-ld|-ra][-PRESET] with TOOL one of {tools};
ld is low delay with one intra frame (the default), ra random access.
"""

_EPILOG = """\
A clip or codec that fails is recorded and the rest goes on; the exit code is then that
of the first failure.
"""


def add(commands) -> None:
    """Adds the command to a parser's subcommands."""
    parser = commands.add_parser(
        "eval",
        help="measure codecs on clips: rate, distortion, speed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_description(),
        epilog=_EPILOG,
    )
    parser.set_defaults(run=run)
    put = parser.add_argument
    put("clips", nargs="+", metavar="CLIPS", help="videos, or one suite")
    put("--root", metavar="DIR", help="folder of a suite's sequences")
    put("--frames", type=options.count, metavar="N", help="first N frames of each clip")
    add_measuring(parser)


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Adds what every command that measures codecs can be told."""
    put = parser.add_argument
    put(
        "--codecs",
        default="eem-lite,x264,x265,svtav1",
        metavar="A,B,..",
        help="what to measure (default: %(default)s)",
    )
    put("--qps", type=_numbers, metavar="Q,Q,..", help="of models (0,16,32,48,63)")
    put(
        "--rates",
        action="append",
        default=[],
        metavar="CODEC=R,R,..",
        help="of an encoder or of one of its configurations; may be repeated",
    )
    put(
        "--gop", type=options.gop, default=-1, metavar="N", help="of models: see encode"
    )
    put("--vmaf", action="store_true", help="measure VMAF and XPSNR too")
    put("--rgb", action="store_true", help="measure PSNR and MS-SSIM in RGB too")
    put(
        "--jobs", type=options.count, default=1, metavar="N", help="measure N at a time"
    )
    put("--out", required=True, metavar="DIR", help="folder of the run")
    put("--summary", metavar="FILE.json", help="write the figures in short, for a card")
    options.add_progress(parser)
    options.add_cache(parser)


def _description() -> str:
    folder = pathlib.Path(__file__).parents[1] / "evaluation" / "suites"
    suites = ", ".join(sorted(path.stem for path in folder.glob("*.json")))
    # The names are said here and not imported, since that would take a second.
    tools = "x264, x265, svtav1, vvenc, aom, jpeg"
    return _DESCRIPTION.format(suites=suites, tools=tools)


def _numbers(text: str) -> tuple[int, ...]:
    """Parses `0,10,20`."""
    if not re.fullmatch(r"\d{1,3}([ ,]\d{1,3})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be numbers such as 0,10,20")
    return tuple(sorted({int(number) for number in re.split("[ ,]", text)}))


def run(args: argparse.Namespace) -> int:
    """Measures and reports; returns the exit code."""
    from jaxnvc.evaluation.suite import open_suite

    suite = open_suite(args.clips, args.root)
    return measure(args, lambda: suite)


def measure(args: argparse.Namespace, make_suite, finish=None) -> int:
    """Measures a suite as the options say, and writes tables, plots and report.

    Args:
      args: of `add_measuring`, and `frames`.
      make_suite: returns the clips; what it writes goes to a folder that no other run
        is using.
      finish: called with the results before anything is written, to add to it.

    Returns:
      The exit code.
    """
    coders = _coders(args)
    if args.summary and not pathlib.Path(args.summary).parent.is_dir():
        raise UsageError(f"--summary {args.summary} lies in no folder: make it first")
    device.prepare(args.cache_dir)
    from jaxnvc.evaluation.run_lock import locked

    with locked(args.out):
        return _measure(args, coders, make_suite(), finish)


def _measure(args: argparse.Namespace, coders: tuple, suite, finish) -> int:
    from jaxnvc.evaluation.measure import Extras
    from jaxnvc.evaluation.program_metrics import missing_reason
    from jaxnvc.evaluation.publish import publish
    from jaxnvc.evaluation.run import Plan, Run

    if not importlib.util.find_spec("matplotlib"):
        console.warn("plots are left out: install jaxnvc[bench]")
    if args.vmaf and missing_reason():
        console.warn(f"VMAF and XPSNR are left out: {missing_reason()}")
    plan = Plan(
        suite=suite,
        coders=coders,
        frames=args.frames,
        extras=Extras(with_vmaf=args.vmaf and not missing_reason(), with_rgb=args.rgb),
        jobs=args.jobs,
        environment=_environment(args),
    )
    style = choose_style(quiet=args.quiet, as_json=args.progress == "json")
    meter = _Meter(style)
    evaluation = Run(plan, args.out, meter.step)
    for name, reason in evaluation.left_out.items():
        console.warn(f"{name} is left out: {reason}")
    for name in suite.missing:
        console.say(f"missing: {name}")
    evaluation.measure()
    meter.finish()
    written = publish(evaluation, args.out, args.summary)
    if finish is not None:
        written += finish(evaluation)
    if style is not Style.QUIET:
        console.say("wrote " + ", ".join(str(path) for path in written))
    if not evaluation.results:
        reason = "no codec is left" if not evaluation.coders else "see above"
        error = InputError(f"nothing was measured: {reason}")
        error.exit_code = evaluation.exit_code or error.exit_code
        raise error
    return evaluation.exit_code


def _coders(args: argparse.Namespace) -> tuple:
    from jaxnvc.evaluation.coders import MODEL_QPS, parse

    rates = {}
    for text in args.rates:
        name, _, numbers = text.partition("=")
        try:
            rates[name] = _numbers(numbers)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"--rates {text}: {error}") from error
    qps = args.qps or MODEL_QPS
    if max(qps) > 63:
        raise UsageError(f"--qps has {max(qps)}: a model's qp is 0 to 63")
    names = [name.strip() for name in args.codecs.split(",") if name.strip()]
    coders = tuple(parse(n, qps=qps, gop=args.gop, rates=rates) for n in names)
    titles = [coder.name for coder in coders]
    twice = next((title for title in titles if titles.count(title) > 1), None)
    if twice or not titles:
        raise UsageError(f"--codecs {args.codecs} names {twice or 'nothing'} twice")
    return coders


def _environment(args: argparse.Namespace) -> dict[str, str]:
    """Variables that make other processes compute as this one would."""
    folder = device.cache_folder(args.cache_dir)
    told = {
        "JAX_DEFAULT_MATMUL_PRECISION": "float32",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    return told | ({"JAX_COMPILATION_CACHE_DIR": str(folder)} if folder else {})


class _Meter:
    """Shows how far a run is, in the style of all commands."""

    def __init__(self, style: Style):
        self._style = style

    def step(self, step) -> None:
        """Shows a step; failures are always said."""
        line = step.line
        if line["status"] == "failed":
            where = " ".join(filter(None, (line["clip"], line["codec"])))
            setting = line.get("setting", "")
            console.say(f"jaxnvc: {where} {setting}: {line['reason']}")
        if self._style is Style.QUIET:
            return
        if self._style is Style.JSON:
            names = ("clip", "codec", "setting", "status", "num_bytes", "psnr_yuv")
            fields = {name: line.get(name) for name in names}
            counts = {"done": step.done, "total": step.total, "failed": step.failed}
            console.say(json.dumps(counts | {"eta_s": step.eta_s} | fields))
        elif self._style is Style.TERMINAL:
            console.status(self._text(step))
        else:
            console.say(self._text(step))

    def finish(self) -> None:
        """Leaves the status line."""
        console.end_status()

    @staticmethod
    def _text(step) -> str:
        line = step.line
        parts = [f"done={step.done}/{step.total}"]
        if step.failed:
            parts.append(f"failed={step.failed}")
        parts += [line["clip"], line["codec"] or "", line.get("setting", "")]
        if line["status"] == "ok":
            parts.append(f"bpp={line['bpp']:.4f} yuv={line['psnr_yuv']:.2f}dB")
        if step.eta_s is not None and step.done < step.total:
            parts.append(f"eta={duration_text(step.eta_s)}")
        return " ".join(filter(None, parts))
