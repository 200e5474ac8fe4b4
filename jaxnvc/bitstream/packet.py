"""Packets of coded units: one unit (a frame, or a chunk of frames) each.

`docs/FORMAT.md`, section 5, is the normative description of the body.
"""

import dataclasses
import itertools

from jaxnvc.bitstream.fields import FieldReader, pack_varint, unzigzag, zigzag
from jaxnvc.bitstream.framing import Frame, PacketKind, pack_frame
from jaxnvc.bitstream.header import MAX_FRAMES
from jaxnvc.errors import BitstreamError, UsageError

_NUM_FRAMES_BIT = 0x01
_TIMES_BIT = 0x02
_SKIPPED_BIT = 0x04
_MAX_TIME = 2**63 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Packet:
    """One coded unit.

    Attributes:
      kind: INTRA or INTER.
      qp: quality, in [0, 63], higher is better.
      level: quality level of the unit within its hierarchy, in [0, 3].
      refresh: whether the unit refreshes the decoded buffer.
      num_frames: frames in the unit, in [1, header.frames_per_unit].
      log2_lanes: log2 of the number of coder lanes, in [0, 15].
      check: 16 bits of the checksum of the decoded symbols.
      payload: bytes of the coder.
      pts: time of each frame in `time_base` ticks, strictly increasing; None if the
        frame rate of the header says it all.
      first_frame: number of the unit's first frame. Written packets may leave it None.
      offset: byte offset in the stream it was read from; not compared.
      num_bytes: bytes it took in that stream, overhead included; not compared.
    """

    kind: PacketKind
    qp: int
    level: int = 0
    refresh: bool = False
    num_frames: int = 1
    log2_lanes: int = 0
    check: int = 0
    payload: bytes = b""
    pts: tuple[int, ...] | None = None
    first_frame: int | None = None
    offset: int | None = dataclasses.field(default=None, compare=False)
    num_bytes: int = dataclasses.field(default=0, compare=False)

    @property
    def num_lanes(self) -> int:
        """Number of interleaved coder lanes in the payload."""
        return 1 << self.log2_lanes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What a packet inherits from those before it.

    Attributes:
      next_frame: number of the frame that comes next.
      crc: CRC of the packet before; None where decoding cannot continue.
      last_pts: time of the frame before; None if it carries none.
    """

    next_frame: int = 0
    crc: int | None = None
    last_pts: int | None = None

    def after(self, packet: Packet, crc: int) -> "Context":
        """Returns what the packet after `packet` inherits."""
        return Context(
            next_frame=packet.first_frame + packet.num_frames,
            crc=crc,
            last_pts=packet.pts[-1] if packet.pts else None,
        )


def default_num_frames(kind: PacketKind, frames_per_unit: int) -> int:
    """Returns the frames in a unit whose packet does not say: intra units have 1."""
    return 1 if kind == PacketKind.INTRA else frames_per_unit


def pack_packet(packet: Packet, frames_per_unit: int, context: Context) -> bytes:
    """Returns the bytes of a packet that follows what `context` describes.

    Args:
      packet: the packet; its frames are numbered from `context.next_frame`.
      frames_per_unit: the header's.
      context: what comes before.

    Raises:
      UsageError: if a field is outside its range or the packet cannot follow.
    """
    _check_packet(packet, frames_per_unit, context)
    mask, fields = 0, b""
    if packet.num_frames != default_num_frames(packet.kind, frames_per_unit):
        mask |= _NUM_FRAMES_BIT
        fields += pack_varint(packet.num_frames)
    if packet.pts is not None:
        mask |= _TIMES_BIT
        fields += _pack_times(packet, context)
    parts = [bytes([mask]) + fields if mask else b"", packet.payload]
    if packet.kind == PacketKind.INTRA:
        parts.insert(0, pack_varint(context.next_frame))
    frame = Frame(
        kind=packet.kind,
        refresh=packet.refresh,
        extended=mask != 0,
        log2_lanes=packet.log2_lanes,
        qp=packet.qp,
        level=packet.level,
        check=packet.check,
    )
    return pack_frame(frame, b"".join(parts), context.crc or 0)


def unpack_first_frame(frame: Frame, packet: bytes, offset: int) -> int:
    """Returns the first field of an INTRA or END packet: the first frame's number.

    Args:
      frame: its framing fields.
      packet: the whole packet, or at least the body's first 10 bytes.
      offset: offset of the packet in the stream.

    Raises:
      BitstreamError: if it is cut or too large.
    """
    return _take_first_frame(FieldReader(packet, frame.body_start, base=offset))


def unpack_packet(
    frame: Frame, packet: bytes, offset: int, frames_per_unit: int, context: Context
) -> Packet:
    """Reads an INTRA or INTER packet whose CRC has been checked.

    Args:
      frame: its framing fields.
      packet: the whole packet.
      offset: offset of the packet in the stream.
      frames_per_unit: the header's.
      context: what comes before.

    Raises:
      BitstreamError: if a field is invalid; only a faulty writer makes such a packet.
    """
    body_end = frame.body_start + frame.num_body_bytes
    fields = FieldReader(packet[:body_end], frame.body_start, base=offset)
    first_frame = context.next_frame
    if frame.kind == PacketKind.INTRA:
        first_frame = _take_first_frame(fields)
    mask = fields.byte() if frame.extended else 0
    num_frames = default_num_frames(frame.kind, frames_per_unit)
    if mask & _NUM_FRAMES_BIT:
        num_frames = fields.varint()
    if not 1 <= num_frames <= frames_per_unit:
        raise BitstreamError(
            f"the unit claims {num_frames} frames, it must have 1 to "
            f"{frames_per_unit}; the stream is not valid, encode it again",
            offset,
        )
    pts = None
    if mask & _TIMES_BIT:
        pts = _take_times(fields, frame.kind, num_frames, context)
    if mask & _SKIPPED_BIT:
        fields.take(fields.varint())
    if mask >= _SKIPPED_BIT << 1:
        raise BitstreamError(
            f"the mask {mask:#04x} names fields that version 1 does not have; the "
            "stream is not valid, encode it again",
            offset,
        )
    return Packet(
        kind=frame.kind,
        qp=frame.qp,
        level=frame.level,
        refresh=frame.refresh,
        num_frames=num_frames,
        log2_lanes=frame.log2_lanes,
        check=frame.check,
        payload=fields.take(fields.remaining),
        pts=pts,
        first_frame=first_frame,
        offset=offset,
        num_bytes=frame.num_bytes,
    )


def _take_first_frame(fields: FieldReader) -> int:
    """Reads a frame number, at most `MAX_FRAMES`."""
    first_frame = fields.varint()
    if first_frame > MAX_FRAMES:
        raise BitstreamError(
            f"frame number {first_frame} is above {MAX_FRAMES}; the stream is not "
            "valid, encode it again",
            fields.offset,
        )
    return first_frame


def _pack_times(packet: Packet, context: Context) -> bytes:
    """Returns the times: absolute after an intra start, then as differences."""
    if packet.kind == PacketKind.INTRA:
        start = pack_varint(zigzag(packet.pts[0]))
    else:
        start = pack_varint(packet.pts[0] - context.last_pts)
    steps = (b - a for a, b in itertools.pairwise(packet.pts))
    return start + b"".join(map(pack_varint, steps))


def _take_times(
    fields: FieldReader, kind: PacketKind, num_frames: int, context: Context
) -> tuple[int, ...]:
    """Reads what `_pack_times` wrote."""
    if kind == PacketKind.INTRA:
        times = [unzigzag(fields.varint())]
    elif context.last_pts is None:
        raise BitstreamError(
            "the unit's times continue those of a unit that has none; the stream is "
            "not valid, encode it again",
            fields.offset,
        )
    else:
        times = [context.last_pts]
        num_frames += 1
    while len(times) < num_frames:
        step = fields.varint()
        times.append(times[-1] + step)
        if step == 0 or times[-1] > _MAX_TIME:
            raise BitstreamError(
                f"time {times[-1]} must be above the one before and below 2**63; the "
                "stream is not valid, encode it again",
                fields.offset,
            )
    return tuple(times if kind == PacketKind.INTRA else times[1:])


def _check_packet(packet: Packet, frames_per_unit: int, context: Context):
    """Raises `UsageError` unless `packet` may be written after `context`."""
    if packet.kind not in (PacketKind.INTRA, PacketKind.INTER):
        raise UsageError(f"kind is {packet.kind!r}, it must be INTRA or INTER; use one")
    ranges = {
        "qp": (0, 63),
        "level": (0, 3),
        "num_frames": (1, frames_per_unit),
        "log2_lanes": (0, 15),
        "check": (0, 0xFFFF),
    }
    for name, (low, high) in ranges.items():
        value = getattr(packet, name)
        if not low <= value <= high:
            raise UsageError(
                f"{name} is {value}, it must lie in [{low}, {high}]; correct it"
            )
    if packet.kind == PacketKind.INTER and context.crc is None:
        raise UsageError("an inter packet comes first; start with an intra packet")
    if packet.first_frame not in (None, context.next_frame):
        raise UsageError(
            f"first_frame is {packet.first_frame}, the next frame is "
            f"{context.next_frame}; write packets in order or leave it None"
        )
    if context.next_frame + packet.num_frames > MAX_FRAMES:
        raise UsageError(f"a stream has at most {MAX_FRAMES} frames; start another")
    if packet.pts is not None:
        _check_times(packet, context)


def _check_times(packet: Packet, context: Context):
    """Raises `UsageError` unless the times are one per frame and increase."""
    times = packet.pts
    if len(times) != packet.num_frames:
        raise UsageError(
            f"pts has {len(times)} times for {packet.num_frames} frames; give one each"
        )
    if context.last_pts is not None:
        times = (context.last_pts, *times)
    increasing = all(a < b for a, b in itertools.pairwise(times))
    if not increasing or times[-1] > _MAX_TIME or times[0] < -_MAX_TIME:
        raise UsageError(
            f"the times {times} must increase strictly within 63 bits; correct them"
        )
