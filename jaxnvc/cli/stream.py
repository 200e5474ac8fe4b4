"""The input of `decode` and `verify`: packets, damage, and which frames it cost."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from jaxnvc.bitstream import Damage, Packet, StreamHeader, StreamReader
from jaxnvc.cli.console import console
from jaxnvc.errors import BitstreamError, InputError, UsageError
from jaxnvc.video import VideoInfo


@contextlib.contextmanager
def open_stream(path: str) -> Iterator[BinaryIO]:
    """Opens a stream's file, or standard input for `-`.

    Raises:
      InputError: it cannot be opened.
    """
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({os.strerror(error.errno).lower()}): check the "
            "name and its permissions."
        ) from error
    with file:
        yield file


def packets_and_damage(reader: StreamReader, start: int) -> Iterator[Packet | Damage]:
    """Yields what is needed to decode from frame `start` on; seeks if it can."""
    if start == 0 or not reader.seekable:
        return reader.events()
    return reader.events_from(start)


def load_codec(header: StreamHeader, model: str | None):
    """Returns the codec of a stream and the description of its video.

    Raises:
      ModelError: missing, or not the stream's.
      BitstreamError: the header describes video that cannot be.
    """
    import jax

    import jaxnvc
    from jaxnvc.coding.codec import here, load_for
    from jaxnvc.coding.decoder import check_model

    info = _video_info(header)
    codec = jaxnvc.load(model) if model else load_for(header)
    check_model(header, codec.bundle)
    made = header.profile
    if made is None:
        return codec, info
    codec = dataclasses.replace(codec, bundle=codec.bundle.in_precision(made.dtype))
    # As it was encoded, or its symbols do not come out.
    jax.config.update("jax_default_matmul_precision", made.dtype)
    if made != here(made.dtype):
        console.warn(
            f"the stream was made on {made.device_kind} with JAX {made.jax_version} by "
            "a model that is not portable: here it may not decode, and frames that do "
            "not are reported"
        )
    return codec, info


def _video_info(header: StreamHeader) -> VideoInfo:
    from jaxnvc.coding.codec import video_info

    if header.chroma_format != 1:
        raise BitstreamError(
            f"the stream has chroma format {header.chroma_format}, this version "
            "decodes 4:2:0 only; use the version that made it."
        )
    try:
        return video_info(header)
    except UsageError as error:
        raise BitstreamError(f"the header cannot be used: {error}") from error


@dataclasses.dataclass
class Losses:
    """Tells each damage together with the frames it cost, as soon as that is known.

    Attributes:
      expected: number of the frame that should come next.
      num_damages: damages told so far.
    """

    expected: int
    num_damages: int = 0
    _waiting: list[Damage] = dataclasses.field(default_factory=list)

    def add(self, damage: Damage) -> None:
        """Takes a damage; what it cost shows when a frame comes again."""
        self._waiting.append(damage)

    def frame(self, number: int) -> None:
        """Notes that a frame was decoded."""
        self._tell(number)
        self.expected = number + 1

    def end(self, frame_count: int) -> None:
        """Notes the end of the stream, with `frame_count` frames or 0 if unknown."""
        self._tell(max(frame_count, self.expected) if frame_count else None)

    def _tell(self, resumed: int | None) -> None:
        for damage, after in zip(
            self._waiting, [*self._waiting, None][1:], strict=True
        ):
            first = max(damage.first_lost, self.expected)
            stop = resumed if after is None else max(after.first_lost, first)
            self.num_damages += 1
            console.warn(f"byte {damage.offset}: {damage.reason}; {_lost(first, stop)}")
        self._waiting.clear()


def _lost(first: int, stop: int | None) -> str:
    """Says which of the frames [first, stop) are lost."""
    if stop is None:
        return f"everything from frame {first} on is lost"
    if stop <= first:
        return "no frame is lost"
    if stop == first + 1:
        return f"frame {first} is lost"
    return f"frames {first} to {stop - 1} are lost"
