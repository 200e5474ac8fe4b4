"""What is measured: sequences with the size, rate and length they must have.

A suite is a JSON file: `name`, `source` (where the sequences come from), `licence`
and `sequences`, each with `file` and, as far as they are known, `name`, `class`,
`width`, `height`, `fps`, `frames`, `bit_depth`, `colour` and `md5`; `optional` says
that missing sequences are no failure. Those that ship with the package are named by
their file name, such as `uvg`.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Sequence as Many
from fractions import Fraction

from jaxnvc.errors import InputError, UsageError
from jaxnvc.video import RawFormat, VideoInfo, VideoReader, open_video
from jaxnvc.video.frames import picture_num_bytes
from jaxnvc.video.reader import RAW_SUFFIXES

ROOT_VARIABLE = "JAXNVC_SUITE_ROOT"
"""Environment variable: the folder under which suites look for their sequences."""

_FOLDER = pathlib.Path(__file__).parent / "suites"
_HASH_CHUNK = 1 << 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sequence:
    """One sequence and what is known of it; None where nothing is.

    Attributes:
      name: how tables call it.
      file: expected file name.
      path: where it was found, None if it is missing.
      group: class of sequences it is averaged with.
      width: luma columns.
      height: luma rows.
      fps: frames per second.
      frames: frames of the whole sequence.
      bit_depth: 8 or 10.
      colour: matrix of its colours in words, such as "bt709".
      md5: of the file, hexadecimal.
    """

    name: str
    file: str
    path: str | None = None
    group: str = "all"
    width: int | None = None
    height: int | None = None
    fps: Fraction | None = None
    frames: int | None = None
    bit_depth: int | None = None
    colour: str | None = None
    md5: str | None = None

    def open(self, frames: int | None = None) -> VideoReader:
        """Opens the sequence for reading at most `frames` frames.

        Raises:
          InputError: it is missing or no video.
        """
        return open_video(self._found(), frames=frames, raw=self.raw_format)

    @property
    def raw_format(self) -> RawFormat | None:
        """The format of a raw file, None for files that say it themselves."""
        is_raw = pathlib.Path(self.file).suffix.lower() in RAW_SUFFIXES
        if not is_raw or None in (self.width, self.height):
            return None
        return RawFormat(
            width=self.width,
            height=self.height,
            bit_depth=self.bit_depth or 8,
            frame_rate=self.fps,
        )

    def check(self) -> None:
        """Checks the file against what is known of it.

        Raises:
          InputError: missing, or of another size, depth, length or checksum.
        """
        path = self._found()
        if self.raw_format is not None and self.frames is not None:
            raw = self.raw_format
            picture = picture_num_bytes(raw.width, raw.height, raw.bit_depth)
            self._expect("bytes", os.path.getsize(path), self.frames * picture)
        with self.open() as reader:
            info = reader.info
        for field in ("width", "height", "bit_depth"):
            wanted = getattr(self, field)
            self._expect(field, getattr(info, field), wanted or getattr(info, field))
        if self.md5 is not None:
            self._expect("MD5", _md5(path), self.md5)

    def frame_rate(self, info: VideoInfo) -> Fraction:
        """Frames per second by the suite, else by the file, else 25."""
        return self.fps or info.frame_rate or Fraction(25)

    def _found(self) -> str:
        if self.path is None:
            raise InputError(
                f"{self.file} is missing: put it under the folder given by --root or "
                f"${ROOT_VARIABLE}"
            )
        return self.path

    def _expect(self, what: str, found, wanted) -> None:
        if found != wanted:
            raise InputError(
                f"{self.path} has {what} {found}, but the suite says {wanted}: get the "
                "original file"
            )


@dataclasses.dataclass(frozen=True)
class Suite:
    """Sequences to be measured together.

    Attributes:
      name: of the suite, "clips" for files named one by one.
      sequences: in the order of tables.
      source: where they come from, in words.
      optional: whether a run without some of them is still whole.
    """

    name: str
    sequences: tuple[Sequence, ...]
    source: str = ""
    optional: bool = False

    @property
    def missing(self) -> list[str]:
        """The expected file names of the sequences that were not found."""
        return [one.file for one in self.sequences if one.path is None]


def built_in() -> dict[str, pathlib.Path]:
    """The suites that ship with the package, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.json"))}


def open_suite(names: Many[str], root: str | None = None) -> Suite:
    """Finds what a command line asks to measure.

    Args:
      names: one suite (its name, or a JSON file), or any number of clips.
      root: folder of a suite's sequences; `$JAXNVC_SUITE_ROOT` if None, else the
        folder of the suite file, or the current one for suites by name.

    Returns:
      The suite; its missing sequences have no path.

    Raises:
      UsageError: a suite among several names, two clips of one name, or nothing.
      InputError: the suite file cannot be used, or none of its sequences is there.
    """
    suites = [n for n in names if n in built_in() or n.lower().endswith(".json")]
    if suites and len(names) > 1:
        raise UsageError(
            f"{suites[0]} is a suite and stands among {len(names)} names: give one "
            "suite, or clips"
        )
    return _load(suites[0], root) if suites else _of_clips(names)


def _of_clips(paths: Many[str]) -> Suite:
    """Clips by path; a path that leads nowhere is found out when it is measured."""
    sequences = tuple(
        Sequence(name=pathlib.Path(p).stem, file=pathlib.Path(p).name, path=p)
        for p in paths
    )
    names = [one.name for one in sequences]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice or not names:
        raise UsageError(
            f"two clips are called {twice}: rename one, results are kept by name"
            if twice
            else "there is nothing to measure: give clips or a suite"
        )
    return Suite("clips", sequences)


def _load(name: str, root: str | None) -> Suite:
    path = built_in().get(name, pathlib.Path(name))
    try:
        suite = json.loads(path.read_text())
        sequences = [_sequence(fields) for fields in suite["sequences"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{name} is not a suite ({error}): give a JSON file with a list "
            "`sequences`, or one of " + ", ".join(built_in())
        ) from error
    title = suite.get("name", path.stem)
    beside = "." if name in built_in() else path.parent
    folder = pathlib.Path(root or os.environ.get(ROOT_VARIABLE) or beside)
    found = tuple(_located(one, folder, title) for one in sequences)
    optional = bool(suite.get("optional", False))
    suite = Suite(title, found, suite.get("source", ""), optional)
    if len(suite.missing) == len(found):
        raise InputError(
            f"no sequence of {title} is under {folder}: give --root, or put there "
            + ", ".join(suite.missing)
        )
    return suite


def _sequence(fields: dict) -> Sequence:
    fields = dict(fields)
    fields.setdefault("name", pathlib.Path(fields["file"]).stem)
    if "class" in fields:
        fields["group"] = fields.pop("class")
    if fields.get("fps") is not None:
        fields["fps"] = Fraction(fields["fps"])
    return Sequence(**fields)


def _located(sequence: Sequence, folder: pathlib.Path, suite: str) -> Sequence:
    """The sequence with its path: in the folder, or in one of the suite's name."""
    for place in (folder, folder / suite):
        if (place / sequence.file).is_file():
            return dataclasses.replace(sequence, path=str(place / sequence.file))
    return sequence


def _md5(path: str) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
