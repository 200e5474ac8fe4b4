"""The Python face of a model: `encode`, `decode`, and streams that seek."""

import dataclasses
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, BinaryIO

import jax
import numpy as np

from jaxnvc.bitstream import (
    MINOR,
    ArithmeticProfile,
    Damage,
    StreamHeader,
    StreamReader,
    StreamWriter,
    pack_sample_aspect,
    pack_skip_schedule,
)
from jaxnvc.coding.decoder import DecodedFrame, decode_events
from jaxnvc.coding.encoder import EncodedUnit, EncodeSettings, encode_sequence
from jaxnvc.coding.gop import first_thresholds, rising_schedule
from jaxnvc.coding.programs import Pair, coded_size
from jaxnvc.errors import BitstreamError, UsageError
from jaxnvc.models import bundle as bundles
from jaxnvc.models.bundle import Bundle
from jaxnvc.video import (
    BT709,
    Colour,
    VideoFrame,
    VideoInfo,
    Yuv420,
    rgb_to_yuv420,
    yuv420_to_rgb,
)

_MOST_KIND = 64


@dataclasses.dataclass(frozen=True)
class Video:
    """Decoded frames.

    Attributes:
      info: size, times and colour.
      frames: planes in display order.
      numbers: frame number of each; gaps are frames lost to damage.
      damages: what could not be decoded.
      rgb: whether the source was RGB.
    """

    info: VideoInfo
    frames: list[Yuv420]
    numbers: list[int]
    damages: list[Damage]

    def to_rgb(self) -> np.ndarray:
        """Returns uint8 [T, H, W, 3], BT.709 where the stream does not say."""
        colour = self.info.colour.filled_from(BT709)
        return np.stack(yuv420_to_rgb(self.frames, colour))


@dataclasses.dataclass(frozen=True, eq=False)
class Codec:
    """A loaded model. Immutable; its methods are pure.

    Attributes:
      bundle: modules and parameters.
    """

    bundle: Bundle

    @property
    def params(self) -> dict:
        """Returns the parameters, {"intra": .., "inter": ..}."""
        return self.bundle.params

    @property
    def config(self) -> dict[str, Any]:
        """Returns the configurations of the two modules."""
        return {
            "intra": self.bundle.intra.config,
            "inter": self.bundle.inter.config,
        }

    @property
    def portable(self) -> bool:
        """Returns whether symbols decode alike on every device."""
        return self.bundle.portable

    @property
    def info(self) -> dict[str, Any]:
        """Returns what the bundle says of itself."""
        return self.bundle.info

    def settings(
        self, *, qp: int = 32, gop: int = -1, num_frames: int | None = None
    ) -> EncodeSettings:
        """Returns this model's encoding settings.

        Args:
          qp: quality 0..63, higher is better.
          gop: distance of intra frames, -1 for only the first.
          num_frames: length of the sequence, if it is known; a model whose skip
            thresholds rise along it needs it.
        """
        thresholds = self.bundle.skip_thresholds
        rises = self.info.get("skip_rises", False) and num_frames
        return EncodeSettings(
            qp=qp,
            gop=gop,
            skip_thresholds=first_thresholds(thresholds) if rises else thresholds,
            skip_schedule=rising_schedule(thresholds, num_frames) if rises else (),
            refresh_period=self.info.get("refresh_period", 0),
            intra_boost=self.info.get("intra_boost", 0),
        )

    def header(
        self, info: VideoInfo, settings: EncodeSettings, num_frames: int = 0
    ) -> StreamHeader:
        """Returns the stream header of a sequence."""
        pair = Pair(self.bundle.intra, self.bundle.inter)
        height, width = coded_size(pair, info.height, info.width)
        rate = info.frame_rate or Fraction(0)
        base = info.time_base
        extensions = (
            *pack_sample_aspect(info.sample_aspect),
            *pack_skip_schedule(settings.skip_schedule),
        )
        return StreamHeader(
            family=self.bundle.family,
            model_id=self.bundle.model_id,
            model_name=self.bundle.name,
            display_width=info.width,
            display_height=info.height,
            coded_width=width,
            coded_height=height,
            bit_depth=info.bit_depth,
            primaries=info.colour.primaries,
            transfer=info.colour.transfer,
            matrix=info.colour.matrix,
            full_range=info.colour.full_range,
            time_base_num=base.numerator,
            time_base_den=base.denominator,
            frame_rate_num=rate.numerator if rate else 0,
            frame_rate_den=rate.denominator if rate else 0,
            frame_count=num_frames,
            gop=settings.gop,
            frames_per_unit=self.bundle.inter.frames_per_unit,
            skip_thresholds=settings.skip_thresholds,
            refresh_period=settings.refresh_period,
            profile=None if self.portable else here(self.bundle.precision),
            minor=MINOR if extensions else 0,
            extensions=extensions,
        )

    def encode(
        self,
        frames: Sequence[Yuv420] | np.ndarray,
        *,
        qp: int = 32,
        gop: int = -1,
        frame_rate: Fraction | int | None = None,
    ) -> bytes:
        """Encodes frames to a stream.

        Args:
          frames: planes of one size, or uint8 RGB [T, H, W, 3].
          qp: 0..63, higher is better quality and more bits.
          gop: distance of intra frames, -1 for only the first.
          frame_rate: frames per second, if known.

        Returns:
          The bytes of a `.nvc` file.

        Raises:
          UsageError: no frame, unequal sizes, or a setting out of range.
        """
        planes, colour = _as_planes(frames)
        settings = self.settings(qp=qp, gop=gop, num_frames=len(planes))
        rate = Fraction(frame_rate) if frame_rate else None
        info = VideoInfo(
            width=planes[0].width,
            height=planes[0].height,
            bit_depth=planes[0].bit_depth,
            colour=colour,
            time_base=1 / rate if rate else Fraction(1, 25),
            frame_rate=rate,
            num_frames=len(planes),
        )
        out = io.BytesIO()
        with StreamWriter(out, self.header(info, settings, len(planes))) as writer:
            units = map(VideoFrame, planes)
            for coded in self.encode_iter(units, settings, reconstruct=False):
                writer.write(coded.packet)
        return out.getvalue()

    def encode_iter(
        self,
        frames: Iterable[VideoFrame],
        settings: EncodeSettings,
        *,
        with_times: bool = False,
        reconstruct: bool = True,
    ) -> Iterator[EncodedUnit]:
        """Encodes frames as they come; see `coding.encoder.encode_sequence`."""
        return encode_sequence(
            self.bundle,
            frames,
            settings,
            with_times=with_times,
            reconstruct=reconstruct,
        )

    def decode(self, stream: bytes | BinaryIO, *, strict: bool = False) -> Video:
        """Decodes a stream.

        Args:
          stream: bytes or a binary file.
          strict: raises at the first damage instead of going on after it.

        Raises:
          ModelError: the stream was made with another model.
          BitstreamError: the header is damaged, or anything is if `strict`.
        """
        reader = StreamReader(stream, strict=strict)
        events = decode_events(self.bundle, reader.header, reader.events())
        return collect(reader.header, events, strict=strict)


def here(precision: str = "float32") -> ArithmeticProfile:
    """Returns where this process computes, as far as it decides what decodes.

    Args:
      precision: of the model, see `Bundle.precision`.
    """
    return ArithmeticProfile(
        device_kind=jax.devices()[0].device_kind[:_MOST_KIND],
        dtype=precision,
        jax_version=jax.__version__,
    )


def collect(header: StreamHeader, events, *, strict: bool = False) -> Video:
    """Gathers decoded frames and damage into a `Video`."""
    frames: list[DecodedFrame] = []
    damages: list[Damage] = []
    for event in events:
        if not isinstance(event, Damage):
            frames.append(event)
        elif strict:
            raise BitstreamError(event.reason, event.offset)
        else:
            damages.append(event)
    return Video(
        info=video_info(header, len(frames)),
        frames=[frame.planes for frame in frames],
        numbers=[frame.number for frame in frames],
        damages=damages,
    )


def video_info(header: StreamHeader, num_frames: int | None = None) -> VideoInfo:
    """Returns what a stream's header says of its video.

    Raises:
      BitstreamError: no picture of ours has such a size or depth.
    """
    try:
        return _video_info(header, num_frames)
    except UsageError as error:
        raise BitstreamError(f"the header is not usable: {error}") from error


def _video_info(header: StreamHeader, num_frames: int | None) -> VideoInfo:
    rate = None
    if header.frame_rate_num:
        rate = Fraction(header.frame_rate_num, header.frame_rate_den)
    return VideoInfo(
        width=header.display_width,
        height=header.display_height,
        bit_depth=header.bit_depth,
        colour=Colour(
            primaries=header.primaries,
            transfer=header.transfer,
            matrix=header.matrix,
            full_range=header.full_range,
        ),
        time_base=Fraction(header.time_base_num, header.time_base_den),
        frame_rate=rate,
        num_frames=num_frames or header.frame_count or None,
        sample_aspect=header.sample_aspect,
    )


def _as_planes(frames) -> tuple[list[Yuv420], Colour]:
    if len(frames) == 0:
        raise UsageError("there are 0 frames to encode, but a stream needs 1 or more.")
    if isinstance(frames, np.ndarray):
        return list(rgb_to_yuv420(frames, BT709)), BT709
    return list(frames), Colour()


class Stream:
    """A stored stream that decodes by frame number: `stream[120:180]`."""

    def __init__(self, path: str | os.PathLike, codec: Codec | None = None):
        self._path = path
        with open(path, "rb") as file:
            self.header = StreamReader(file).header
        self.codec = codec or load_for(self.header)

    @property
    def info(self) -> VideoInfo:
        """Returns size, times and colour."""
        return video_info(self.header)

    def __len__(self) -> int:
        return self.header.frame_count

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[DecodedFrame]:
        """Decodes frames [start, stop) from the nearest intra frame on.

        Raises:
          BitstreamError: one of them is damaged.
        """
        with open(self._path, "rb") as file:
            reader = StreamReader(file)
            events = reader.events_from(start)
            for event in decode_events(self.codec.bundle, self.header, events):
                if isinstance(event, Damage):
                    raise BitstreamError(event.reason, event.offset)
                if stop is not None and event.number >= stop:
                    return
                if event.number >= start:
                    yield event

    def __getitem__(self, key: slice | int) -> list[Yuv420] | Yuv420:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step < 1:
                raise UsageError(f"step {step} is not possible, frames go forwards.")
            return [frame.planes for frame in self.frames(start, stop)][::step]
        if not -len(self) <= key < len(self):
            raise IndexError(f"frame {key} of a stream of {len(self)} frames")
        return next(self.frames(key % len(self))).planes


def load(
    name_or_path: str = bundles.DEFAULT_MODEL, *, precision: str = "float32"
) -> Codec:
    """Loads a model by released name or by path.

    Args:
      name_or_path: which.
      precision: of the float networks when encoding, "float32" or "bfloat16"; see
        `Bundle.in_precision`. A decoder takes what the stream was made in.

    Raises:
      ModelError: missing or damaged, or no such precision.
    """
    return Codec(bundles.load_bundle(name_or_path).in_precision(precision))


def load_for(header: StreamHeader) -> Codec:
    """Loads the installed model that a stream names.

    Raises:
      ModelError: it is not installed.
    """
    return Codec(
        bundles.load_bundle(str(bundles.find(header.model_id, header.model_name)))
    )
