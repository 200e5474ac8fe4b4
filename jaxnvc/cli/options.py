"""Options that several commands share, and how their values are written."""

import argparse
import re
from fractions import Fraction

from jaxnvc.bitstream import Limits

_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BINARY_SCALES = {"ki": 2**10, "mi": 2**20, "gi": 2**30}


def qp(text: str) -> int:
    """Parses a quality level, 0..63."""
    value = whole(text)
    if value > 63:
        raise argparse.ArgumentTypeError(
            f"{text} is not a quality level: use 0 to 63, higher is better"
        )
    return value


def whole(text: str) -> int:
    """Parses a number of frames, 0 or more."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 0 or more")
    return int(text)


def count(text: str) -> int:
    """Parses a number, 1 or more."""
    value = whole(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 must be 1 or more")
    return value


def gop(text: str) -> int:
    """Parses a distance of intra frames: 1 or more, or -1."""
    return -1 if text == "-1" else count(text)


def decibels(text: str) -> float:
    """Parses a PSNR."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(f"{text!r} must be decibels such as 38.5")
    return value


def bitrate(text: str) -> int:
    """Parses bits per second: `800k`, `1.5M`, `64000`."""
    return _scaled(text, r"(?:b/s|bps|bit/s)?", _SCALES, "bits per second such as 800k")


def size(text: str) -> int:
    """Parses bytes: `10MB`, `500kB`, `2MiB`, `4096`."""
    scales = _SCALES | _BINARY_SCALES
    return _scaled(text, "b?", scales, "bytes such as 10MB or 2MiB")


def _scaled(text: str, unit: str, scales: dict[str, int], meaning: str) -> int:
    pattern = rf"(\d+(?:\.\d+)?)\s*({'|'.join(sorted(scales, reverse=True))}){unit}"
    match = re.fullmatch(pattern, text.strip().lower())
    value = int(Fraction(match[1]) * scales[match[2]]) if match else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be {meaning}")
    return value


def dimensions(text: str) -> tuple[int, int]:
    """Parses `416x240` as width and height."""
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} must be WIDTHxHEIGHT, as 416x240")
    return int(match[1]), int(match[2])


def frame_rate(text: str) -> Fraction:
    """Parses `25`, `29.97` or `30000/1001`."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if value <= 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be frames per second, as 25 or 30000/1001"
        )
    return value


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Adds -y and -n, as `overwrite`: True, False, or None to ask."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-y",
        dest="overwrite",
        action="store_true",
        default=None,
        help="replace outputs that exist",
    )
    group.add_argument(
        "-n",
        dest="overwrite",
        action="store_false",
        help="never replace an output: exit with 2 if one exists (without -y and -n: "
        "ask on a terminal, else as -n)",
    )


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Adds --quiet and --progress."""
    parser.add_argument(
        "--quiet", action="store_true", help="no progress; warnings and errors remain"
    )
    parser.add_argument(
        "--progress",
        choices=["text", "json"],
        default="text",
        help="json: one JSON object a line on standard error",
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Adds --cache-dir."""
    parser.add_argument(
        "--cache-dir",
        metavar="DIR|none",
        help="where compiled programs are kept (default: $JAXNVC_CACHE, else the "
        "user's cache folder)",
    )


def add_model(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds --model."""
    parser.add_argument(
        "--model",
        metavar="NAME|PATH",
        help=f"released model or bundle file (default: {default})",
    )


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Adds --max-pixels."""
    parser.add_argument(
        "--max-pixels",
        type=count,
        default=Limits().max_pixels,
        metavar="N",
        help="refuse streams of larger pictures (default: %(default)s)",
    )
