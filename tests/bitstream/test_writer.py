import io

import pytest

from jaxnvc.bitstream import Packet, PacketKind, StreamReader, StreamWriter
from jaxnvc.errors import UsageError


class Sink(io.RawIOBase):
    """A pipe: it cannot seek, and takes a few bytes at a time."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data[:5])
        return min(len(data), 5)


def test_the_frame_count_is_corrected_where_the_file_can_seek(make):
    packets = make.packets(2, 2)
    reader = StreamReader(make.stream(packets, frame_count=999))
    assert reader.header.frame_count == 10
    assert list(reader) == packets


def test_a_pipe_gets_the_same_stream_but_for_the_frame_count(make):
    packets, sink = make.packets(2, 2), Sink()
    make.stream(packets, sink)
    reader = StreamReader(bytes(sink.data), strict=True)
    assert reader.header.frame_count == 0
    assert list(reader) == packets
    assert len(reader.index()) == 2
    header_bytes = reader.header_bytes
    assert make.stream(packets)[header_bytes:] == sink.data[header_bytes:]


def test_a_stream_may_start_inside_a_file(make):
    file = io.BytesIO()
    file.write(b"front matter")
    packets = make.packets(1, 1)
    data = make.stream(packets, file)
    assert data.startswith(b"front matter")
    assert data[12:] == make.stream(packets)
    assert file.tell() == len(data)


def test_the_writer_counts_bytes_and_frames(make):
    file = io.BytesIO()
    writer = StreamWriter(file, make.header(frames_per_unit=2))
    sizes = [writer.write(packet) for packet in make.packets(1, 2)]
    assert writer.num_frames == 5
    assert writer.num_bytes == len(make.header(frames_per_unit=2).pack()) + sum(sizes)
    writer.close()
    writer.close()
    assert writer.num_bytes == len(file.getvalue())
    with pytest.raises(UsageError, match="closed"):
        writer.write(make.packets(1, 0)[0])


def test_the_first_packet_must_be_intra(make):
    writer = StreamWriter(io.BytesIO(), make.header())
    with pytest.raises(UsageError, match="intra"):
        writer.write(Packet(kind=PacketKind.INTER, qp=30))


def test_an_interrupted_stream_is_closed_and_a_failed_one_is_not(make):
    def write_and_raise(file, error):
        with StreamWriter(file, make.header(frames_per_unit=2)) as writer:
            writer.write(make.packets(1, 0)[0])
            raise error

    for error, complete in ((KeyboardInterrupt, True), (RuntimeError, False)):
        file = io.BytesIO()
        with pytest.raises(error):
            write_and_raise(file, error)
        reader = StreamReader(file.getvalue())
        assert len(list(reader)) == 1
        assert reader.complete == complete


def test_a_short_stream_closes_in_few_bytes(make):
    file = io.BytesIO()
    writer = StreamWriter(file, make.header(frames_per_unit=2))
    for packet in make.packets(1, 10):
        writer.write(packet)
    before = writer.num_bytes
    writer.close()
    assert writer.num_bytes - before <= 24
