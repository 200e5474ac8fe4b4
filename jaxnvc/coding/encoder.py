"""Frames in, packets out: the sequence encoder of every family."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.bitstream import Packet, PacketKind, skip_threshold
from jaxnvc.codecs.protocol import NUM_QP, Cond
from jaxnvc.coding.gop import is_intra, is_refresh, level_of
from jaxnvc.coding.joint_programs import choose_programs
from jaxnvc.coding.programs import Encoded, Pair, Size
from jaxnvc.entropy import rans
from jaxnvc.errors import UsageError
from jaxnvc.models.bundle import Bundle
from jaxnvc.video.frames import VideoFrame, Yuv420


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """How a sequence is coded.

    Attributes:
      qp: 0..63, higher is better quality and more bits.
      gop: distance of intra frames, -1 for only the first.
      skip_thresholds: scale index per level below which symbols are skipped.
      skip_schedule: (first frame, thresholds) where they change.
      refresh_period: frames between drops of the temporal history, 0 for none.
      intra_boost: added to the qp of intra frames (up to 63): every later frame
        is predicted from them, so their quality pays many times over.
    """

    qp: int = 32
    gop: int = -1
    skip_thresholds: tuple[int, ...] = (0, 0, 0)
    skip_schedule: tuple[tuple[int, tuple[int, ...]], ...] = ()
    refresh_period: int = 0
    intra_boost: int = 0

    def __post_init__(self):
        if not 0 <= self.qp < NUM_QP:
            raise UsageError(
                f"qp is {self.qp}, but quality levels run from 0 to {NUM_QP - 1}, "
                "higher is better; choose one of them."
            )
        if self.gop != -1 and self.gop < 1:
            raise UsageError(
                f"gop is {self.gop}, but it is a number of frames or -1 for a single "
                "intra frame; choose another value."
            )

    def intra_cond(self, frame: int) -> Cond:
        """Returns the conditions of an intra unit of one clip."""
        qp = min(self.qp + self.intra_boost, NUM_QP - 1)
        return Cond.of(qp, 0, self._skip(frame, 0))

    def inter_cond(self, frame: int, level: int, *, refresh: bool = False) -> Cond:
        """Returns the conditions of an inter unit of one clip."""
        return Cond.of(self.qp, level, self._skip(frame, level), refresh)

    def _skip(self, frame: int, level: int) -> int:
        return skip_threshold(self.skip_thresholds, self.skip_schedule, frame, level)


@dataclasses.dataclass(frozen=True)
class EncodedFrame:
    """A coded frame.

    Attributes:
      packet: for the stream.
      reconstruction: what a decoder shows.
    """

    packet: Packet
    reconstruction: Yuv420


def encode_sequence(
    bundle: Bundle,
    frames: Iterable[VideoFrame],
    settings: EncodeSettings,
    *,
    with_times: bool = False,
) -> Iterator[EncodedFrame]:
    """Encodes frames of one size, one packet each, in order.

    The device works on frame n + 1 while the host fetches frame n.

    Args:
      bundle: the model.
      frames: planes of equal size and bit depth, with times if `with_times`.
      settings: quality and structure.
      with_times: puts the frames' times into the packets.

    Raises:
      UsageError: a frame differs in size or bit depth from the first.
    """
    pair = Pair(bundle.intra, bundle.inter)
    size, last, programs = None, None, None
    pending: collections.deque = collections.deque()
    since_intra = 0
    for number, frame in enumerate(frames):
        size = size or _size_of(frame.planes)
        programs = programs or choose_programs(pair, size)
        _check_size(frame.planes, size, number)
        planes = tuple(jnp.asarray(p)[None] for p in frame.planes.planes)
        if is_intra(number, settings.gop):
            since_intra = 0
            cond = settings.intra_cond(number)
            last = programs.encode_intra(bundle.params, planes, cond)
        else:
            since_intra += 1
            refresh = is_refresh(since_intra, settings.refresh_period)
            level = level_of(since_intra)
            cond = settings.inter_cond(number, level, refresh=refresh)
            last = programs.encode_inter(
                bundle.params, last.state, last.x, planes, cond
            )
        kind = PacketKind.INTER if since_intra else PacketKind.INTRA
        times = (frame.pts,) if with_times else None
        # The state is donated to the next program; only results are kept here.
        pending.append((kind, cond, times, last.replace(state=None, x=None)))
        if len(pending) > 1:
            yield _fetch(*pending.popleft())
    while pending:
        yield _fetch(*pending.popleft())


def _size_of(planes: Yuv420) -> Size:
    return Size(planes.height, planes.width, planes.bit_depth)


def _check_size(planes: Yuv420, size: Size, number: int) -> None:
    if _size_of(planes) != size:
        raise UsageError(
            f"frame {number} is {planes.width}x{planes.height} at {planes.bit_depth} "
            f"bits, but the first is {size.width}x{size.height} at {size.bit_depth}; "
            "a stream has one size, split the input."
        )


def _fetch(kind: PacketKind, cond: Cond, times, encoded: Encoded) -> EncodedFrame:
    """Waits for a unit and makes its packet."""
    payload, planes = jax.device_get((encoded.payload, encoded.planes))
    packet = Packet(
        kind=kind,
        qp=int(cond.qp[0]),
        level=int(cond.level),
        refresh=bool(cond.refresh),
        log2_lanes=int(payload.lanes[0]).bit_length() - 1,
        check=int(payload.check[0]) & 0xFFFF,
        payload=rans.to_bytes(payload.words[0], int(payload.num_words[0])),
        pts=times,
    )
    return EncodedFrame(packet, Yuv420(*(np.asarray(plane[0]) for plane in planes)))
