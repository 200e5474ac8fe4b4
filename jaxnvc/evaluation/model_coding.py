"""Encodes clips with a model to `.nvc` files, and decodes them again.

A size's programs are compiled on its first frames before any clock starts. The bytes
are those of `jaxnvc encode`.
"""

import functools
import io
import itertools
import time
from collections.abc import Iterator

import jaxnvc
from jaxnvc.bitstream import Damage, StreamReader, StreamWriter
from jaxnvc.coding.codec import Codec, load_for, video_info
from jaxnvc.coding.decoder import decode_events
from jaxnvc.errors import BitstreamError
from jaxnvc.evaluation.coders import Coder
from jaxnvc.evaluation.coding import Decoded, Encoded
from jaxnvc.evaluation.suite import Sequence
from jaxnvc.video import VideoFrame, VideoInfo, create_video

_load = functools.lru_cache(maxsize=1)(jaxnvc.load)
_warm: set = set()


def encode(
    coder: Coder, rate: int, sequence: Sequence, frames: int, out: str
) -> Encoded:
    """Encodes the first frames of a clip to a file.

    Args:
      coder: a model.
      rate: its qp.
      sequence: the clip.
      frames: how many; it must have them.
      out: file to write, replaced if it exists.

    Raises:
      ModelError: no such model.
      InputError: the clip cannot be read.
    """
    codec, result = _load(coder.model), Encoded()
    settings = codec.settings(qp=rate, gop=coder.gop, num_frames=frames)
    with sequence.open(frames) as reader, open(out, "wb") as file:
        result.first_use_seconds = _warm_up(codec, sequence, settings)
        writer = StreamWriter(file, codec.header(reader.info, settings))
        began = time.perf_counter()
        for coded in codec.encode_iter(reader, settings, reconstruct=False):
            num_bytes = writer.write(coded.packet)
            seconds = time.perf_counter() - began
            result.seconds += seconds
            others = [None] * (coded.packet.num_frames - 1)
            result.frame_bytes += [num_bytes, *others]
            result.frame_seconds += [seconds, *others]
            result.frame_kinds += [coded.packet.kind.name.lower()] * (1 + len(others))
            began = time.perf_counter()
        writer.close()
    result.version = f"jaxnvc {jaxnvc.__version__}"
    result.model_id = codec.bundle.model_id.hex()
    return result


def _warm_up(codec: Codec, sequence: Sequence, settings) -> float:
    """Compiles what a size needs, once; returns the seconds that took."""
    count = 1 + codec.bundle.inter.frames_per_unit
    with sequence.open(count) as reader:
        key = ("encode", reader.info.width, reader.info.height, reader.info.bit_depth)
        if key in _warm:
            return 0.0
        _warm.add(key)
        began = time.perf_counter()
        for _ in codec.encode_iter(reader, settings, reconstruct=False):
            pass
    return time.perf_counter() - began


def decode(path: str, out: str, model: str | None) -> Decoded:
    """Decodes a stream to a y4m file.

    Args:
      path: the stream; nothing else is known of it.
      out: file to write.
      model: bundle file of a model that is not among the released ones.

    Raises:
      BitstreamError: the stream is damaged.
      ModelError: it was made with another model.
    """
    result = Decoded()
    with open(path, "rb") as file:
        reader = StreamReader(file, strict=True)
        codec = _load(model) if model else load_for(reader.header)
        info = video_info(reader.header)
        key = ("decode", info.width, info.height, info.bit_depth)
        if key not in _warm:
            _warm.add(key)
            result.first_use_seconds = _decode_start(codec, path)
        _write(_timed(codec, reader, result), out, info)
    return result


def _decode_start(codec: Codec, path: str) -> float:
    """Decodes the first units to nowhere; returns the seconds that took."""
    began = time.perf_counter()
    with open(path, "rb") as file:
        reader = StreamReader(io.BytesIO(file.read()), strict=True)
        events = decode_events(codec.bundle, reader.header, reader.events())
        for _ in itertools.islice(events, 1 + codec.bundle.inter.frames_per_unit):
            pass
    return time.perf_counter() - began


def _timed(codec: Codec, reader: StreamReader, result: Decoded) -> Iterator[VideoFrame]:
    """Decodes frame by frame and notes the time that takes."""
    began = time.perf_counter()
    for event in decode_events(codec.bundle, reader.header, reader.events()):
        if isinstance(event, Damage):
            raise BitstreamError(event.reason, event.offset)
        result.frame_seconds.append(time.perf_counter() - began)
        result.seconds += result.frame_seconds[-1]
        yield VideoFrame(event.planes)
        began = time.perf_counter()


def _write(frames: Iterator[VideoFrame], out: str, info: VideoInfo) -> None:
    with create_video(out, info, overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)
