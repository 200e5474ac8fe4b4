"""Reads a stream in order or from a frame on, and goes on after damage."""

import bisect
import copy
import dataclasses
import functools
from collections.abc import Iterator

from jaxnvc.bitstream.footer import (
    TRAILER_BYTES,
    IndexEntry,
    read_trailer,
    unpack_index,
)
from jaxnvc.bitstream.framing import (
    MAX_HEAD_BYTES,
    SYNC,
    Frame,
    PacketKind,
    check_crc,
    has_sync,
    unpack_frame,
)
from jaxnvc.bitstream.header import read_header_length, unpack_header
from jaxnvc.bitstream.limits import Limits
from jaxnvc.bitstream.packet import (
    Context,
    Packet,
    unpack_first_frame,
    unpack_packet,
)
from jaxnvc.bitstream.source import CHUNK_BYTES, ByteSource
from jaxnvc.errors import BitstreamError, UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Damage:
    """A place where the stream is not what its writer wrote.

    Attributes:
      offset: byte offset where it was noticed.
      reason: one sentence.
      first_lost: number of the first frame that cannot be decoded.
      resumed_frame: frame at which reading goes on, or where the stream is known to
        end; None if not known. Frames [first_lost, resumed_frame) are lost, possibly
        none.
      resumed_offset: byte offset at which reading goes on; None if it does not.
    """

    offset: int
    reason: str
    first_lost: int
    resumed_frame: int | None = None
    resumed_offset: int | None = None

    @property
    def num_lost(self) -> int | None:
        """Number of frames lost; None if not known."""
        if self.resumed_frame is None:
            return None
        return max(self.resumed_frame - self.first_lost, 0)


class StreamReader:
    """Yields the packets of a stream whose integrity has been checked.

    After damage, reading goes on at the next intact intra packet.

    Attributes:
      header: the `StreamHeader`.
      header_bytes: its length in bytes.
      size: length in bytes of all that the source holds; None for a pipe.
      seekable: whether packets can be read more than once and out of order.
      damages: each `Damage` met by the latest pass over the packets, so far.
      complete: whether the latest pass has met the END packet.
      num_bytes: bytes up to the end of the last packet that the latest pass has read,
        END packet and trailer included.
    """

    def __init__(self, source, limits: Limits | None = None, *, strict: bool = False):
        """Reads the header.

        Args:
          source: bytes-like, or a binary file or pipe open for reading at the stream's
            first byte.
          limits: what to refuse; the defaults of `Limits` if None.
          strict: whether to raise at the first damage instead of going on.

        Raises:
          BitstreamError: if the header is damaged or over the limits.
          UsageError: if `source` is neither bytes nor a binary file.
        """
        self._source = ByteSource(source)
        self._limits = limits or Limits()
        self._strict = strict
        self.header_bytes = read_header_length(self._source.peek(0, 8))
        raw = self._source.peek(0, self.header_bytes)
        self.header = unpack_header(raw, self._limits)
        self.seekable = self._source.seekable
        self.size = self._source.size
        self._start_pass()

    def __iter__(self) -> Iterator[Packet]:
        """Yields the packets in order; see `damages` for what is missing.

        Raises:
          BitstreamError: at the first damage if the reader is strict.
        """
        return (item for item in self.events() if isinstance(item, Packet))

    def events(self) -> Iterator[Packet | Damage]:
        """Yields packets and, between them, each `Damage` where it lies.

        Raises:
          BitstreamError: at the first damage if the reader is strict.
        """
        self._start_pass()
        return self._walk(self.header_bytes, Context())

    def packets_from(self, frame: int) -> Iterator[Packet]:
        """Yields the packets of `events_from`, without the damage."""
        return (item for item in self.events_from(frame) if isinstance(item, Packet))

    def events_from(self, frame: int) -> Iterator[Packet | Damage]:
        """Yields packets and damage from the last intra packet at or before `frame`.

        Args:
          frame: number of a frame; beyond the last one, the last intra packet is taken.

        Raises:
          UsageError: if the frame is negative or the source cannot seek.
          BitstreamError: at the first damage if the reader is strict.
        """
        if frame < 0:
            raise UsageError(f"frame {frame} does not exist; frames count from 0")
        entries = self.index()
        place = bisect.bisect_right(entries, frame, key=lambda entry: entry.first_frame)
        self._start_pass()
        if not entries:
            return iter(())
        entry = entries[max(place - 1, 0)]
        return self._walk(entry.offset, Context(next_frame=entry.first_frame))

    def index(self) -> tuple[IndexEntry, ...]:
        """Returns where decoding can start, from the index or by reading all packets.

        Raises:
          UsageError: if the source cannot seek.
        """
        if not self.seekable:
            raise UsageError(
                "a stream that cannot seek has no index; read it in order or from a "
                "file"
            )
        return self._index

    @property
    def has_index(self) -> bool:
        """Whether an intact index stands at the end of a source that can seek."""
        return self.seekable and self._stored_index is not None

    @functools.cached_property
    def _index(self) -> tuple[IndexEntry, ...]:
        """The index, in one piece whatever state the stream is in."""
        if self._stored_index is not None:
            return self._stored_index
        # A copy, so that what it meets does not show in this reader's `damages`.
        other = copy.copy(self)
        other._strict = False
        return tuple(
            IndexEntry(
                first_frame=packet.first_frame,
                offset=packet.offset,
                pts=packet.pts[0] if packet.pts else None,
            )
            for packet in other
            if packet.kind == PacketKind.INTRA
        )

    @functools.cached_property
    def _stored_index(self) -> tuple[IndexEntry, ...] | None:
        """The index at the end of the stream; None if there is none to be trusted."""
        trailer_offset = max(self.size - TRAILER_BYTES, self.header_bytes)
        try:
            trailer = self._source.peek(trailer_offset, TRAILER_BYTES)
            offset = trailer_offset - read_trailer(trailer, trailer_offset)
            if offset < self.header_bytes:
                return None
            frame, packet, _ = self._read(offset, 0)
            ends_here = offset + frame.num_bytes == trailer_offset
            if frame.kind != PacketKind.END or not ends_here:
                return None
            entries = unpack_index(frame, packet, offset, self.header_bytes)
            return self._with_first_time(entries)
        except BitstreamError:
            return None

    def _with_first_time(self, entries):
        """Adds the time of the first intra packet, which only the packet knows."""
        if not entries:
            return entries
        frame, packet, _ = self._read(self.header_bytes, 0)
        first = unpack_packet(
            frame, packet, self.header_bytes, self.header.frames_per_unit, Context()
        )
        pts = first.pts[0] if first.pts else None
        return (dataclasses.replace(entries[0], pts=pts), *entries[1:])

    def _start_pass(self):
        """Forgets what an earlier pass has met."""
        self.damages: list[Damage] = []
        self.complete = False
        self.num_bytes = self.header_bytes
        self._resync_bytes = self._limits.max_resync_bytes

    def _walk(self, offset: int, context: Context) -> Iterator[Packet | Damage]:
        """Yields packets and damages from `offset` on."""
        item = frame = None
        while item is not PacketKind.END:
            try:
                frame, data, crc = self._read(offset, context.crc)
                item = self._interpret(frame, data, offset, context)
            except BitstreamError as error:
                found = None if self._strict else self._resync(offset, context)
                yield self._damage(error, context.next_frame, found)
                if found is None:
                    return
                offset, next_frame = found
                context = Context(next_frame=next_frame)
                continue
            offset += frame.num_bytes
            self.num_bytes = offset
            if isinstance(item, Packet):
                context = context.after(item, crc)
                yield item
            else:
                # Not a unit, yet part of the chain.
                context = dataclasses.replace(context, crc=crc)
        self.complete = True
        try:
            self._finish(offset, frame.num_bytes)
        except BitstreamError as error:
            yield self._damage(error, context.next_frame, (None, context.next_frame))

    def _read(self, offset: int, previous_crc: int | None) -> tuple[Frame, bytes, int]:
        """Returns the frame, the bytes and the CRC of the packet at `offset`.

        Raises:
          BitstreamError: if no intact packet is there.
        """
        head = self._source.peek(offset, MAX_HEAD_BYTES)
        if not head:
            raise BitstreamError(
                "the stream stops without its END packet; it was cut, obtain it again",
                offset,
            )
        frame = unpack_frame(head, offset, self._limits)
        if previous_crc is None and not has_sync(frame.kind):
            raise BitstreamError(
                "an inter packet stands where an intra packet must; the stream is "
                "damaged here, obtain it again",
                offset,
            )
        size = self.size
        present = None if size is None else size - offset
        if present is None or present >= frame.num_bytes:
            packet = self._source.peek(offset, frame.num_bytes)
            present = len(packet)
        if present < frame.num_bytes:
            raise BitstreamError(
                f"the packet claims {frame.num_bytes} bytes and {present} remain; the "
                "stream was cut or is damaged here, obtain it again",
                offset,
            )
        return frame, packet, check_crc(frame, packet, offset, previous_crc or 0)

    def _interpret(
        self, frame: Frame, data: bytes, offset: int, context: Context
    ) -> Packet | PacketKind | None:
        """Returns the packet, END for the end, or None for what is to be skipped.

        Raises:
          BitstreamError: if it is not valid or not the one that must come next.
        """
        if frame.kind == PacketKind.RESERVED:
            return None
        item: Packet | PacketKind = PacketKind.END
        first_frame = context.next_frame
        if frame.kind != PacketKind.END:
            per_unit = self.header.frames_per_unit
            item = unpack_packet(frame, data, offset, per_unit, context)
            first_frame = item.first_frame
        else:
            first_frame = unpack_first_frame(frame, data, offset)
        if first_frame != context.next_frame:
            raise BitstreamError(
                f"the stream goes on with frame {first_frame}, frame "
                f"{context.next_frame} must come next; packets are missing or out of "
                "order, obtain it again",
                offset,
            )
        return item

    def _resync(self, offset: int, context: Context) -> tuple[int, int] | None:
        """Returns offset and frame number of the next place to go on, None if none.

        Args:
          offset: where to start searching.
          context: what has been read so far; going back is not going on.
        """
        while (offset := self._source.find(SYNC, offset)) is not None:
            cost = CHUNK_BYTES
            try:
                head = self._source.peek(offset, MAX_HEAD_BYTES)
                cost += unpack_frame(head, offset, self._limits).num_bytes
                frame, packet, _ = self._read(offset, None)
                first_frame = unpack_first_frame(frame, packet, offset)
                resumed = Context(next_frame=first_frame)
                self._interpret(frame, packet, offset, resumed)
                if first_frame >= context.next_frame:
                    return offset, first_frame
            except BitstreamError:
                pass
            self._resync_bytes -= cost
            if self._resync_bytes < 0:
                return None
            offset += 1
        return None

    def _finish(self, offset: int, end_bytes: int):
        """Checks what stands after the END packet.

        Raises:
          BitstreamError: if it is not the trailer and nothing else.
        """
        trailer = self._source.peek(offset, TRAILER_BYTES)
        pointed = read_trailer(trailer, offset)
        self.num_bytes = offset + TRAILER_BYTES
        if pointed != end_bytes:
            raise BitstreamError(
                f"the trailer gives the END packet {pointed} bytes, it has "
                f"{end_bytes}; the stream is damaged here, obtain it again",
                offset,
            )
        # A pipe is not asked for more: its writer may be slow to close it.
        surplus = (self.size or 0) - self.num_bytes
        if surplus > 0:
            raise BitstreamError(
                f"{surplus} bytes follow the end of the stream; they are ignored, cut "
                "them off",
                self.num_bytes,
            )

    def _damage(
        self, error: BitstreamError, first_lost: int, found: tuple | None
    ) -> Damage:
        """Returns and records the damage that `error` tells of; raises it if strict."""
        if self._strict:
            raise error
        resumed_offset, resumed_frame = found or (None, self.header.frame_count or None)
        damage = Damage(
            offset=error.offset,
            reason=str(error).removesuffix(f" (byte {error.offset})"),
            first_lost=first_lost,
            resumed_frame=resumed_frame,
            resumed_offset=resumed_offset,
        )
        self.damages.append(damage)
        return damage
