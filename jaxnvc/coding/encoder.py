"""Frames in, packets out: the sequence encoder of every family."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.bitstream import Packet, PacketKind, skip_threshold
from jaxnvc.codecs.protocol import NUM_QP, Cond, UnitCodec
from jaxnvc.coding.gop import Unit, in_units, is_refresh, level_of
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
      refresh_period: inter units between drops of the temporal history, 0 for none.
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

    def cond(self, unit: Unit, model: UnitCodec) -> Cond:
        """Returns the conditions of a unit of one clip; `model` is the inter module."""
        if unit.position == 0:
            return self.intra_cond(unit.first)
        level = level_of(unit.position, model.num_levels)
        refresh = is_refresh(unit.position, self.refresh_period)
        return self.inter_cond(unit.first, level, refresh=refresh)

    def _skip(self, frame: int, level: int) -> int:
        return skip_threshold(self.skip_thresholds, self.skip_schedule, frame, level)


@dataclasses.dataclass(frozen=True)
class EncodedUnit:
    """A coded unit.

    Attributes:
      packet: for the stream.
      reconstructions: what a decoder shows, a picture per frame; none where they
        were not asked for.
    """

    packet: Packet
    reconstructions: tuple[Yuv420, ...]


def encode_sequence(
    bundle: Bundle,
    frames: Iterable[VideoFrame],
    settings: EncodeSettings,
    *,
    with_times: bool = False,
    reconstruct: bool = True,
) -> Iterator[EncodedUnit]:
    """Encodes frames of one size, one packet per unit, in order.

    The device works on unit n + 1 while the host fetches unit n.

    Args:
      bundle: the model.
      frames: planes of equal size and bit depth, with times if `with_times`.
      settings: quality and structure.
      with_times: puts the frames' times into the packets.
      reconstruct: returns what a decoder shows; without, the bytes are the same, and a
        family that predicts from features alone saves the work.

    Raises:
      UsageError: a frame differs in size or bit depth from the first.
    """
    pair = Pair(bundle.intra, bundle.inter)
    size, last, programs = None, None, None
    shown = jnp.bool_(reconstruct)
    pending: collections.deque = collections.deque()
    for unit in in_units(frames, settings.gop, pair.inter.frames_per_unit):
        size = size or _size_of(unit.frames[0].planes)
        programs = programs or choose_programs(pair, size)
        for number, frame in enumerate(unit.frames, unit.first):
            _check_size(frame.planes, size, number)
        cond = settings.cond(unit, pair.inter).replace(shown=shown)
        planes = unit_planes([[f.planes for f in unit.frames]], unit, pair.inter)
        if unit.position == 0:
            last = programs.encode_intra(bundle.params, planes, cond)
        else:
            last = programs.encode_inter(
                bundle.params, last.state, last.x, planes, cond
            )
        times = tuple(frame.pts for frame in unit.frames) if with_times else None
        # The state is donated to the next program; only results are kept here.
        planes = last.planes if reconstruct else None
        kept = last.replace(state=None, x=None, planes=planes)
        pending.append((unit, cond, times, kept))
        if len(pending) > 1:
            yield _fetch(*pending.popleft())
    while pending:
        yield _fetch(*pending.popleft())


def unit_planes(clips, unit: Unit, model: UnitCodec) -> tuple[np.ndarray, ...]:
    """Stacks the planes y, u, v of a unit, its last frame repeated to fill it.

    Args:
      clips: for each clip of a batch, the planes of the unit's frames.
      unit: tells whether it is intra.
      model: the inter module.

    Returns:
      Each [B, rows, columns], or [B, N, rows, columns] of a chunk.
    """
    count = model.frames_per_unit
    if unit.position == 0 or count == 1:
        return _stacked([frames[0].planes for frames in clips])
    fill = count - len(unit.frames)
    filled = ([*frames, *[frames[-1]] * fill] for frames in clips)
    return _stacked([_stacked([f.planes for f in frames]) for frames in filled])


def _stacked(rows) -> tuple[np.ndarray, ...]:
    return tuple(np.stack(plane) for plane in zip(*rows, strict=True))


def _size_of(planes: Yuv420) -> Size:
    return Size(planes.height, planes.width, planes.bit_depth)


def _check_size(planes: Yuv420, size: Size, number: int) -> None:
    if _size_of(planes) != size:
        raise UsageError(
            f"frame {number} is {planes.width}x{planes.height} at {planes.bit_depth} "
            f"bits, but the first is {size.width}x{size.height} at {size.bit_depth}; "
            "a stream has one size, split the input."
        )


def _fetch(unit: Unit, cond: Cond, times, encoded: Encoded) -> EncodedUnit:
    """Waits for a unit and makes its packet."""
    payload, planes = jax.device_get((encoded.payload, encoded.planes))
    packet = make_packet(unit, cond, payload, 0, times)
    shown = () if planes is None else pictures(planes, 0, len(unit.frames))
    return EncodedUnit(packet, shown)


def make_packet(unit: Unit, cond: Cond, payload, clip: int, times=None) -> Packet:
    """Makes the packet of one clip of a batch.

    Args:
      unit: what was coded.
      cond: its conditions.
      payload: fetched `Payload`.
      clip: which of the batch.
      times: of its frames, or None.
    """
    return Packet(
        kind=PacketKind.INTER if unit.position else PacketKind.INTRA,
        qp=int(cond.qp[clip]),
        level=int(cond.level),
        refresh=bool(cond.refresh),
        num_frames=len(unit.frames),
        log2_lanes=int(payload.lanes[clip]).bit_length() - 1,
        check=int(payload.check[clip]) & 0xFFFF,
        payload=rans.to_bytes(payload.words[clip], int(payload.num_words[clip])),
        pts=times,
    )


def pictures(planes, clip: int, count: int) -> tuple[Yuv420, ...]:
    """Returns the first `count` pictures of a unit of one clip of a batch.

    Args:
      planes: fetched y, u, v, each [B, rows, columns] or [B, N, rows, columns].
      clip: which of the batch.
      count: frames that are no filling.
    """
    own = [np.asarray(plane[clip]) for plane in planes]
    if own[0].ndim == 2:
        return (Yuv420(*own),)
    return tuple(Yuv420(*(plane[i] for plane in own)) for i in range(count))
