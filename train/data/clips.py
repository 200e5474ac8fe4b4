"""Videos and stills of a folder, decoded once into memory as 4:2:0 planes."""

import dataclasses
import pathlib
import sys

import numpy as np

from jaxnvc.errors import InputError
from train.config import Stage

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".y4m", ".avi")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclasses.dataclass(frozen=True)
class Clip:
    """A decoded clip with even sides.

    Attributes:
      name: file name.
      y: unsigned integers over the range of their type [T, H, W].
      uv: the same [T, H/2, W/2, 2].
    """

    name: str
    y: np.ndarray
    uv: np.ndarray

    def holds(self, stage: Stage) -> bool:
        """Tells whether a window of a stage fits."""
        fewest = 2 if stage.back_and_forth else stage.frames
        return len(self.y) >= fewest and min(self.y.shape[1:]) >= stage.crop


def _planes(packed: np.ndarray, height: int, width: int):
    """Splits PyAV's (3H/2, W) layout of an even-sized 4:2:0 frame."""
    quarter = height // 4 * width + (height % 4) * width // 4
    flat = packed.reshape(-1)
    y = flat[: height * width].reshape(height, width)
    u = flat[height * width : height * width + quarter]
    v = flat[height * width + quarter :]
    shape = (height // 2, width // 2)
    return y, np.stack([u.reshape(shape), v.reshape(shape)], -1)


def _decode(path: pathlib.Path) -> Clip:
    import av

    luma, chroma = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            width, height = frame.width // 2 * 2, frame.height // 2 * 2
            frame = frame.reformat(width=width, height=height, format="yuv420p")
            y, uv = _planes(frame.to_ndarray(), height, width)
            luma.append(y)
            chroma.append(uv)
    return Clip(path.name, np.stack(luma), np.stack(chroma))


def load_folder(folder: str, suffixes: tuple[str, ...]) -> list[Clip]:
    """Decodes every clip or still of a folder; reports and skips broken ones.

    Args:
      folder: path, searched flat, in name order.
      suffixes: lower-case file name endings to take.

    Raises:
      InputError: the folder holds nothing usable.
    """
    clips = []
    for path in sorted(pathlib.Path(folder).expanduser().glob("*")):
        if path.suffix.lower() not in suffixes:
            continue
        try:
            clips.append(_decode(path))
        except Exception as error:  # a broken file must not stop the run
            print(f"skipped {path.name}: {error}", file=sys.stderr)
    if not clips:
        raise InputError(
            f"folder {folder!r} holds no readable {'/'.join(suffixes)} file; "
            "point the configuration at a folder of clips."
        )
    return clips
