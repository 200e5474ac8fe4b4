"""TensorFlow Datasets builders of video clips, which need no TensorFlow.

Each reads what its user has downloaded and writes ArrayRecord files of short clips
as 4:2:0 planes, all alike, so that one reader serves every data set. RGB sources
become YUV by `jaxnvc.video.rgb_to_yuv420` (BT.709, limited range).

    python -m train.data.build vimeo --source vimeo_septuplet --out DIR
    python -m train.data.build bvi --source BVI-DVC --out DIR
    python -m train.data.build clips --source any/folder --out DIR

What cannot be read is listed in `problems` and left out; the rest is built.
"""

import itertools
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from jaxnvc.errors import InputError, JaxnvcError
from jaxnvc.video import Yuv420, open_video, rgb_to_yuv420
from train.data.clips import VIDEO_SUFFIXES

SEPTUPLET = 7


class Source(NamedTuple):
    """A video to cut into examples: its name, its split and its file or folder."""

    name: str
    split: str
    path: pathlib.Path


class ClipBuilder(tfds.core.GeneratorBasedBuilder):
    """Cuts videos into examples of planes.

    Examples have `y` [T, H, W] and `uv` [T, H/2, W/2, 2] (uint16 values of
    `bit_depth` bits, H and W even), `bit_depth`, `name` and `start`, the number of
    the first frame.

    Attributes:
      problems: what was left out, one sentence each; filled while building.
    """

    VERSION = tfds.core.Version("1.0.0")
    name = "clips"
    # Frames of an example at most, and at least.
    longest, shortest = 64, 2

    def __init__(self, *, source: str, data_dir: str, **kwargs):
        self._source = pathlib.Path(source).expanduser()
        self.problems: list[str] = []
        kwargs.setdefault("file_format", "array_record")
        super().__init__(data_dir=data_dir, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        def planes(*shape):
            return tfds.features.Tensor(
                shape=shape, dtype=np.uint16, encoding=tfds.features.Encoding.ZLIB
            )

        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "y": planes(None, None, None),
                    "uv": planes(None, None, None, 2),
                    "bit_depth": np.int32,
                    "name": tfds.features.Text(),
                    "start": np.int32,
                }
            ),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        sources = list(self.sources())
        if not sources:
            raise InputError(
                f"{str(self._source)!r} holds nothing to build from: {self.layout}"
            )
        splits = sorted({source.split for source in sources})
        return {
            split: self._generate_examples(s for s in sources if s.split == split)
            for split in splits
        }

    def _generate_examples(self, sources: Iterable[Source]):
        for source in sources:
            frames, start = self.frames(source), 0
            while segment := list(self._readable(source, frames)):
                if len(segment) >= self.shortest:
                    yield f"{source.name}@{start}", _example(source, segment, start)
                start += len(segment)

    def _readable(self, source: Source, frames: Iterator[Yuv420]) -> Iterator[Yuv420]:
        """Yields frames of the next example, up to the first that cannot be read."""
        try:
            yield from itertools.islice(frames, self.longest)
        except (JaxnvcError, OSError) as error:
            self.problems.append(f"{source.name}: {error}")

    @property
    def layout(self) -> str:
        """Returns what the source folder should look like, as a sentence."""
        raise NotImplementedError

    def sources(self) -> Iterator[Source]:
        """Yields the videos of the source folder, reporting what is missing."""
        raise NotImplementedError

    def frames(self, source: Source) -> Iterator[Yuv420]:
        """Yields the frames of a video."""
        with open_video(source.path) as reader:
            for frame in reader:
                yield frame.planes


class VideoClips(ClipBuilder):
    """Any folder of ordinary videos, searched in depth; one split, `train`."""

    name = "video_clips"
    suffixes = VIDEO_SUFFIXES
    layout = f"give a folder with {' '.join(VIDEO_SUFFIXES)} files."

    def sources(self) -> Iterator[Source]:
        """Yields the videos in name order."""
        for path in sorted(self._source.rglob("*")):
            if path.suffix.lower() in self.suffixes:
                name = str(path.relative_to(self._source))
                yield Source(name, "train", path)


class BviDvc(VideoClips):
    """BVI-DVC: clips of 64 frames at four resolutions, 8 or 10 bits.

    Files are `.mp4`, or `.yuv` whose names say size and depth, as in
    `DBookcaseBVITexture_480x272_120fps_10bit_420.yuv`. Source: Ma, Zhang and Bull,
    "BVI-DVC: A Training Database for Deep Video Compression", 2021.
    """

    name = "bvi_dvc"
    suffixes = (".yuv", ".mp4", ".y4m", ".mkv")
    layout = "give the folder with BVI-DVC's .yuv or .mp4 files."


class VimeoSeptuplet(ClipBuilder):
    """Vimeo-90k septuplets: 7 PNG frames of 448x256 in two splits.

    Layout: `sep_trainlist.txt`, `sep_testlist.txt` and
    `sequences/00001/0001/im1.png` to `im7.png`. Source: Xue et al., "Video
    Enhancement with Task-Oriented Flow", 2019.
    """

    name = "vimeo_septuplet"
    longest = shortest = SEPTUPLET
    layout = (
        "give the unpacked folder with sep_trainlist.txt, sep_testlist.txt and "
        "sequences/00001/0001/im1.png and so on."
    )

    def sources(self) -> Iterator[Source]:
        """Yields the septuplets of both lists."""
        for split in ("train", "test"):
            listed = self._source / f"sep_{split}list.txt"
            if not listed.is_file():
                self.problems.append(f"{listed.name} is missing")
                continue
            for name in listed.read_text().split():
                yield Source(name, split, self._source / "sequences" / name)

    def frames(self, source: Source) -> Iterator[Yuv420]:
        """Yields the seven frames; a missing one is an error of the septuplet."""
        from PIL import Image, UnidentifiedImageError

        paths = [source.path / f"im{i}.png" for i in range(1, SEPTUPLET + 1)]
        missing = [path.name for path in paths if not path.is_file()]
        if missing:
            raise InputError(f"{', '.join(missing)} missing")
        for path in paths:
            try:
                with Image.open(path) as image:
                    rgb = np.asarray(image.convert("RGB"))
            except (UnidentifiedImageError, SyntaxError) as error:
                raise InputError(f"{path.name} is no readable image") from error
            yield rgb_to_yuv420(rgb)


BUILDERS = {"vimeo": VimeoSeptuplet, "bvi": BviDvc, "clips": VideoClips}


def _example(source: Source, frames: list[Yuv420], start: int) -> dict:
    height, width = (side // 2 * 2 for side in frames[0].y.shape)
    y = np.stack([f.y[:height, :width] for f in frames])
    uv = np.stack([np.stack([f.u, f.v], -1) for f in frames])
    return {
        "y": y.astype(np.uint16),
        "uv": uv[:, : height // 2, : width // 2].astype(np.uint16),
        "bit_depth": frames[0].bit_depth,
        "name": source.name,
        "start": start,
    }
