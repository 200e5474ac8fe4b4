"""The END packet with the seek index in it, and the trailer that finds it from behind.

`docs/FORMAT.md`, section 6, is the normative description.
"""

import dataclasses
from collections.abc import Sequence

from jaxnvc.bitstream.fields import FieldReader, pack_varint, unzigzag, zigzag
from jaxnvc.bitstream.framing import Frame, PacketKind, pack_frame
from jaxnvc.errors import BitstreamError

TRAILER_MAGIC = b"CVN\x89"
TRAILER_BYTES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """One place where decoding can start.

    Attributes:
      first_frame: number of the intra unit's first frame.
      offset: byte offset of its packet from the start of the stream.
      pts: time of that frame in `time_base` ticks; None if the stream carries none.
    """

    first_frame: int
    offset: int
    pts: int | None = None


def pack_end(num_frames: int, entries: Sequence[IndexEntry]) -> bytes:
    """Returns the END packet and the trailer.

    Args:
      num_frames: frames in the whole stream.
      entries: every intra packet in order. The first is not written: it is known to
        follow the header.
    """
    timed = bool(entries) and all(entry.pts is not None for entry in entries)
    body = pack_varint(num_frames)
    for before, entry in zip(entries, entries[1:], strict=False):
        body += pack_varint(entry.first_frame - before.first_frame)
        body += pack_varint(entry.offset - before.offset)
        if timed:
            body += pack_varint(zigzag(entry.pts))
    end = pack_frame(Frame(kind=PacketKind.END, refresh=timed), body, 0)
    return end + len(end).to_bytes(4, "little") + TRAILER_MAGIC


def read_trailer(trailer: bytes, offset: int) -> int:
    """Returns the length in bytes of the END packet that the trailer points back to.

    Args:
      trailer: the stream's last 8 bytes, or fewer if it is cut.
      offset: their offset in the stream.

    Raises:
      BitstreamError: if this is no trailer.
    """
    if len(trailer) != TRAILER_BYTES or trailer[4:] != TRAILER_MAGIC:
        raise BitstreamError(
            f"the stream must close with {TRAILER_BYTES} bytes that end in "
            f"{TRAILER_MAGIC!r}, found {bytes(trailer)!r}; its end is damaged, obtain "
            "it again",
            offset,
        )
    return int.from_bytes(trailer[:4], "little")


def unpack_index(
    frame: Frame, packet: bytes, offset: int, header_bytes: int
) -> tuple[IndexEntry, ...]:
    """Reads the index in an END packet whose CRC has been checked.

    Args:
      frame: its framing fields.
      packet: the whole packet.
      offset: offset of the packet in the stream.
      header_bytes: length of the stream header, where the first packet starts.

    Returns:
      Every intra packet but for the time of the first one, which the index leaves out.

    Raises:
      BitstreamError: if an entry is invalid; only a faulty writer makes such an index.
    """
    body_end = frame.body_start + frame.num_body_bytes
    fields = FieldReader(packet[:body_end], frame.body_start, base=offset)
    num_frames = fields.varint()
    if num_frames == 0:
        return ()
    entries = [IndexEntry(first_frame=0, offset=header_bytes)]
    while fields.remaining:
        frame_step, byte_step = fields.varint(), fields.varint()
        entry = IndexEntry(
            first_frame=entries[-1].first_frame + frame_step,
            offset=entries[-1].offset + byte_step,
            pts=unzigzag(fields.varint()) if frame.refresh else None,
        )
        forward = frame_step > 0 and byte_step > 0
        if not forward or entry.first_frame >= num_frames or entry.offset >= offset:
            raise BitstreamError(
                f"index entry {entry} must lie after the one before it and before the "
                "end; the index is not valid, encode the stream again",
                fields.offset,
            )
        entries.append(entry)
    return tuple(entries)
