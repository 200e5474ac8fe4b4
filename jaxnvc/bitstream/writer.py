"""Writes a stream: header, packets, END packet, trailer."""

import dataclasses
import os
from typing import BinaryIO

from jaxnvc.bitstream.footer import IndexEntry, pack_end
from jaxnvc.bitstream.framing import PacketKind
from jaxnvc.bitstream.header import StreamHeader
from jaxnvc.bitstream.packet import Context, Packet, pack_packet
from jaxnvc.errors import UsageError


class StreamWriter:
    """Writes packets to a binary file, which may be a pipe, as they come.

    As a context manager it closes the stream when the block ends and when it is
    interrupted from the keyboard. Any other exception leaves the stream without its
    END packet, so that readers see that it is not whole.
    """

    def __init__(self, file: BinaryIO, header: StreamHeader):
        """Writes the header.

        Args:
          file: binary file open for writing; it is left open by `close`.
          header: its `frame_count` may be 0; it is corrected by `close` if the file
            can seek.
        """
        self._file = file
        self._header = header
        self._seekable = bool(getattr(file, "seekable", lambda: False)())
        self._start = file.tell() if self._seekable else 0
        self._context = Context()
        self._entries: list[IndexEntry] = []
        self._timed: bool | None = None
        self._closed = False
        self.num_bytes = 0
        self._append(header.pack())

    def __enter__(self) -> "StreamWriter":
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.close()

    @property
    def num_frames(self) -> int:
        """Number of frames written so far."""
        return self._context.next_frame

    def write(self, packet: Packet) -> int:
        """Appends a packet and returns its length in bytes.

        Raises:
          UsageError: if a field is outside its range, the packet cannot come next, or
            the stream is closed.
        """
        if self._closed:
            raise UsageError("the stream is closed; open another writer")
        timed = packet.pts is not None
        if self._timed not in (None, timed):
            raise UsageError(
                f"pts is {packet.pts}, but earlier packets differ; give times to all "
                "packets of a stream or to none"
            )
        context = self._context
        data = pack_packet(packet, self._header.frames_per_unit, context)
        if packet.kind == PacketKind.INTRA:
            entry = IndexEntry(
                first_frame=context.next_frame,
                offset=self.num_bytes,
                pts=packet.pts[0] if timed else None,
            )
            self._entries.append(entry)
        self._append(data)
        self._timed = timed
        packet = dataclasses.replace(packet, first_frame=context.next_frame)
        self._context = context.after(packet, int.from_bytes(data[-4:], "little"))
        return len(data)

    def close(self):
        """Appends the END packet and the index; corrects the header's frame count."""
        if self._closed:
            return
        self._closed = True
        self._append(pack_end(self.num_frames, self._entries))
        if self._seekable and self._header.frame_count != self.num_frames:
            end = self._file.tell()
            header = dataclasses.replace(self._header, frame_count=self.num_frames)
            self._file.seek(self._start)
            self._write_all(header.pack())
            self._file.seek(end, os.SEEK_SET)
        if hasattr(self._file, "flush"):
            self._file.flush()

    def _append(self, data: bytes):
        """Writes at the end and counts."""
        self._write_all(data)
        self.num_bytes += len(data)

    def _write_all(self, data: bytes):
        """Writes all of `data`; an unbuffered file may take it piece by piece."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            view = view[len(view) if written is None else written :]
