"""A frame without information in the middle of a clip, and how soon a codec recovers.

Source: EHVC's probe of robustness: frame 10 replaced by flat grey.
"""

import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from jaxnvc.errors import UsageError
from jaxnvc.video import Yuv420

INDEX = 10
SUFFIX = "_blank"
TOLERANCE_DB = 0.5
"""A frame this near to the undisturbed run's counts as recovered."""


def with_blank(frames: Sequence[Yuv420], index: int = INDEX) -> list[Yuv420]:
    """Replaces one frame by mid-grey.

    Args:
      frames: more than `index` + 1.
      index: of the frame, from 0.

    Raises:
      UsageError: nothing would come after the blank frame.
    """
    if len(frames) <= index + 1:
        raise UsageError(
            f"{len(frames)} frames end before one comes after frame {index}: give a "
            f"clip of at least {index + 2}"
        )
    grey = 1 << (frames[0].bit_depth - 1)
    blank = Yuv420(*(np.full_like(plane, grey) for plane in frames[0].planes))
    return [*frames[:index], blank, *frames[index + 1 :]]


def recoveries(
    lines: Sequence[dict], folder: pathlib.Path, index: int = INDEX
) -> list[dict]:
    """Compares each run with a blank frame with the one without.

    Args:
      lines: results of clips and of the same clips with `SUFFIX` to their names.
      folder: of the run, with its per-frame tables.
      index: of the blank frame.

    Returns:
      Per clip, codec and setting: `loss_db` of the frame after the blank one and
      `recovery_frames`, how many frames after it are further than TOLERANCE_DB below
      the undisturbed ones before the first that is not (None if there is none);
      `psnr` and `psnr_blank`, decibels per frame.
    """
    known = {(x["clip"], x["codec"], x["setting"]): x for x in lines}
    found = []
    for (clip, codec, setting), line in known.items():
        disturbed = known.get((clip + SUFFIX, codec, setting))
        if disturbed is None:
            continue
        clean, blank = (_psnr(folder, one) for one in (line, disturbed))
        losses = [a - b for a, b in zip(clean, blank, strict=True)][index + 1 :]
        after = (n for n, loss in enumerate(losses) if loss <= TOLERANCE_DB)
        found.append(
            {
                "clip": clip,
                "codec": codec,
                "setting": setting,
                "loss_db": round(losses[0], 3),
                "recovery_frames": next(after, None),
                "psnr": clean,
                "psnr_blank": blank,
            }
        )
    return found


def _psnr(folder: pathlib.Path, line: dict) -> list[float]:
    """PSNR YUV of each frame, as the run's table has it."""
    table = folder / "frames" / pathlib.Path(line["stream"]).relative_to("streams")
    with table.with_suffix(".csv").open(newline="") as file:
        return [float(row["psnr_yuv"]) for row in csv.DictReader(file)]
