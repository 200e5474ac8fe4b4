"""Whether a test clip, or a frame of it, is among the training data.

    python -m train.data.overlap --train DIR --train DIR --test DIR --out FILE.json

Every frame gets a perceptual hash that scaling, coding and brightness hardly change;
frames of one scene differ in few bits, others in about half of them. The file says how
near the nearest of all pairs is, and lists the hash of every twelfth frame.

Source: the difference hash, N. Krawetz, "Kind of like that", 2013, at 16x16.
"""

import argparse
import hashlib
import json
import pathlib
import sys

import numpy as np

from jaxnvc.errors import JaxnvcError
from train.data.clips import IMAGE_SUFFIXES, VIDEO_SUFFIXES, load_folder

_SIDE = 16
# Nearer frames are taken for the same picture.
SAME = 30
_EVERY = 12


def difference_hash(luma: np.ndarray) -> str:
    """Hashes a picture [H, W] by which of its regions is brighter than the next.

    Returns:
      256 bits, one for each of 16x16 pairs of horizontal neighbours, as hexadecimals.
    """
    rows = _averages(luma.astype(np.float32), _SIDE)
    cells = _averages(rows.T, _SIDE + 1).T
    return np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes().hex()


def distances(ours: list[str], theirs: list[str]) -> np.ndarray:
    """Counts the bits in which hashes differ, int [len(ours), len(theirs)]."""
    a, b = (
        np.unpackbits(np.frombuffer(bytes.fromhex("".join(h)), np.uint8))
        .reshape(len(h), -1)
        .astype(np.float32)
        for h in (ours, theirs)
    )
    return (a @ (1 - b).T + (1 - a) @ b.T).astype(int)


def describe(folder: pathlib.Path) -> list[dict]:
    """Lists the files of a folder: name, SHA-256 and the hash of every frame.

    Raises:
      InputError: there is no video or picture that can be decoded.
    """
    return [
        {
            "file": clip.name,
            "sha256": hashlib.sha256((folder / clip.name).read_bytes()).hexdigest(),
            "frames": [difference_hash(luma) for luma in clip.y],
        }
        for clip in load_folder(str(folder), VIDEO_SUFFIXES + IMAGE_SUFFIXES)
    ]


def nearest(train: list[dict], test: list[dict]) -> dict:
    """Finds the test and training frames that are most alike.

    Args:
      train: as `describe` gives it.
      test: the same.

    Returns:
      Number of differing bits, and file and frame number of both.
    """
    ours, theirs = (
        [(one["file"], n, h) for one in files for n, h in enumerate(one["frames"])]
        for files in (test, train)
    )
    found = distances([h for *_, h in ours], [h for *_, h in theirs])
    i, j = np.unravel_index(found.argmin(), found.shape)
    return {
        "bits": int(found[i, j]),
        "test": list(ours[i][:2]),
        "train": list(theirs[j][:2]),
    }


def _averages(x: np.ndarray, count: int) -> np.ndarray:
    """Averages [H, W] over `count` stretches of rows, as equal as they come."""
    edges = np.linspace(0, len(x), count + 1).round().astype(int)
    edges = np.minimum(edges, len(x) - 1)
    return np.add.reduceat(x, edges[:-1]) / np.maximum(np.diff(edges), 1)[:, None]


def _thinned(files: list[dict]) -> list[dict]:
    return [one | {"frames": one["frames"][::_EVERY]} for one in files]


def _one_file_per_line(report: dict) -> str:
    lists = ("train", "test")
    head = json.dumps({k: v for k, v in report.items() if k not in lists})[:-1]
    tails = (
        f'"{name}": [\n ' + ",\n ".join(map(json.dumps, report[name])) + "]"
        for name in lists
    )
    return ",\n".join((head, *tails)) + "}\n"


def main(argv: list[str] | None = None) -> int:
    """Writes the file; returns 1 where a test frame is among the training data."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--train", action="append", required=True, type=pathlib.Path)
    parser.add_argument("--test", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    args = parser.parse_args(argv)
    try:
        train = [one for folder in args.train for one in describe(folder)]
        test = describe(args.test)
    except JaxnvcError as error:
        print(f"overlap: {error}", file=sys.stderr)
        return error.exit_code
    pair = nearest(train, test)
    report = {
        "every": _EVERY,
        "nearest": pair,
        "train": _thinned(train),
        "test": _thinned(test),
    }
    args.out.write_text(_one_file_per_line(report))
    print(f"nearest pair: {pair['bits']} of {_SIDE**2} bits differ, {pair}")
    return int(pair["bits"] < SAME)


if __name__ == "__main__":
    sys.exit(main())
