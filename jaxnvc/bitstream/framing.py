"""How every packet is framed: who starts it, how long it is, and whether it is intact.

    [sync 4]  head 2  length 1..10  check 2  body `length`  crc 4

Only packets that decoding can start from (or stop at) carry the sync word. The CRC of
an inter packet continues that of the packet before it, so that a packet that is lost,
repeated or out of place breaks the chain; it costs no byte. `docs/FORMAT.md`, section
4, is the normative description.
"""

import dataclasses
import enum

from jaxnvc.bitstream.crc32c import crc32c
from jaxnvc.bitstream.fields import MAX_VARINT_BYTES, FieldReader, pack_varint
from jaxnvc.bitstream.limits import Limits
from jaxnvc.errors import BitstreamError

# The low two bits of the first byte are 00, those of an inter packet never are.
SYNC = b"\x9cnvc"
MAX_HEAD_BYTES = len(SYNC) + 2 + MAX_VARINT_BYTES
_CHECK_BYTES = 2
_CRC_BYTES = 4
_REFRESH_BIT = 0x04
_EXTENDED_BIT = 0x08


class PacketKind(enum.IntEnum):
    """What a packet holds."""

    INTRA = 0
    INTER = 1
    END = 2
    RESERVED = 3  # Framed like INTER; readers of version 1 check it and pass on.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """The framing fields of one packet.

    Attributes:
      kind: what the body holds.
      refresh: the flag bit 2 (END: whether the index carries times).
      extended: whether a mask of optional fields is in the body.
      log2_lanes: log2 of the number of coder lanes, in [0, 15].
      qp: in [0, 63].
      level: in [0, 3].
      check: 16 bits of the checksum of the decoded symbols.
      num_body_bytes: length of the body.
      body_start: index of the body's first byte in the packet.
    """

    kind: PacketKind
    refresh: bool = False
    extended: bool = False
    log2_lanes: int = 0
    qp: int = 0
    level: int = 0
    check: int = 0
    num_body_bytes: int = 0
    body_start: int = 0

    @property
    def num_bytes(self) -> int:
        """Length of the whole packet in bytes."""
        return self.body_start + self.num_body_bytes + _CRC_BYTES


def has_sync(kind: PacketKind) -> bool:
    """Returns whether packets of this kind start with the sync word."""
    return kind in (PacketKind.INTRA, PacketKind.END)


def pack_frame(frame: Frame, body: bytes, previous_crc: int) -> bytes:
    """Returns a whole packet.

    Args:
      frame: its fields; `num_body_bytes` and `body_start` are not read.
      body: the body.
      previous_crc: CRC of the packet before; ignored by packets with a sync word.
    """
    flags = frame.refresh * _REFRESH_BIT | frame.extended * _EXTENDED_BIT
    head = bytes(
        [frame.kind | flags | frame.log2_lanes << 4, frame.qp | frame.level << 6]
    )
    sync = SYNC if has_sync(frame.kind) else b""
    check = frame.check.to_bytes(_CHECK_BYTES, "little")
    packet = b"".join([sync, head, pack_varint(len(body)), check, body])
    seed = 0 if has_sync(frame.kind) else previous_crc
    return packet + crc32c(packet, seed).to_bytes(_CRC_BYTES, "little")


def unpack_frame(data: bytes, offset: int, limits: Limits) -> Frame:
    """Reads the framing fields at the front of `data`; checks no CRC.

    Args:
      data: the first `MAX_HEAD_BYTES` bytes of the packet, or all that there are.
      offset: offset of `data[0]` in the stream.
      limits: what to refuse.

    Raises:
      BitstreamError: if this cannot be a packet or is over the limits.
    """
    starts_with_sync = data[:4] == SYNC
    fields = FieldReader(data, len(SYNC) if starts_with_sync else 0, base=offset)
    head, quality = fields.byte(), fields.byte()
    kind = PacketKind(head & 3)
    if has_sync(kind) != starts_with_sync:
        raise BitstreamError(
            f"byte {data[0]:#04x} starts no packet; the stream is damaged here, obtain "
            "it again",
            offset,
        )
    log2_lanes = head >> 4
    if 1 << log2_lanes > limits.max_lanes:
        raise BitstreamError(
            f"the packet claims {1 << log2_lanes} lanes, at most {limits.max_lanes} "
            "are allowed; raise the limit if the stream is to be trusted",
            offset,
        )
    num_body_bytes = fields.varint()
    frame = Frame(
        kind=kind,
        refresh=bool(head & _REFRESH_BIT),
        extended=bool(head & _EXTENDED_BIT),
        log2_lanes=log2_lanes,
        qp=quality & 63,
        level=quality >> 6,
        check=fields.uint16(),
        num_body_bytes=num_body_bytes,
        body_start=fields.position,
    )
    if frame.num_bytes > limits.max_packet_bytes:
        raise BitstreamError(
            f"the packet claims {frame.num_bytes} bytes, at most "
            f"{limits.max_packet_bytes} are allowed; raise the limit if the stream is "
            "to be trusted",
            offset,
        )
    return frame


def check_crc(frame: Frame, packet: bytes, offset: int, previous_crc: int) -> int:
    """Returns the CRC of a whole packet after checking it.

    Args:
      frame: its framing fields.
      packet: its `frame.num_bytes` bytes.
      offset: offset of the packet in the stream.
      previous_crc: CRC of the packet before; ignored by packets with a sync word.

    Raises:
      BitstreamError: if the CRC is wrong.
    """
    covered = memoryview(packet)[: frame.num_bytes - _CRC_BYTES]
    crc = crc32c(covered, 0 if has_sync(frame.kind) else previous_crc)
    if crc != int.from_bytes(packet[len(covered) : frame.num_bytes], "little"):
        raise BitstreamError(
            "the packet does not match its CRC, or the packet before it is missing; "
            "the stream is damaged here, obtain it again",
            offset,
        )
    return crc
