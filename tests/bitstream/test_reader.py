import io
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxnvc.bitstream import Damage, Limits, PacketKind, StreamReader
from jaxnvc.errors import BitstreamError, UsageError


class Trickle(io.RawIOBase):
    """A source that cannot seek and gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int):
        self._file, self._step = io.BytesIO(data), step

    def read(self, size=-1):
        return self._file.read(min(size, self._step) if size >= 0 else self._step)


@pytest.fixture(params=["bytes", "pipe"])
def opened(request):
    """Turns bytes into something to read: memory, or a source that cannot seek."""
    return (lambda data: data) if request.param == "bytes" else lambda d: Trickle(d, 7)


def test_a_whole_stream_reads_without_damage(three_gops, opened):
    reader = StreamReader(opened(three_gops.data), strict=True)
    assert list(reader) == three_gops.packets
    assert reader.complete
    assert reader.damages == []
    assert reader.num_bytes == len(three_gops.data)


def test_variable_times_survive(make, opened):
    packets = make.packets(3, 2, timed=True)
    assert list(StreamReader(opened(make.stream(packets)), strict=True)) == packets


def test_a_cut_at_every_byte_gives_the_packets_before_it(three_gops, opened):
    ends = [*three_gops.starts[1:], three_gops.end]
    for size in range(len(three_gops.data)):
        cut = opened(three_gops.data[:size])
        if size < three_gops.header_bytes:
            with pytest.raises(BitstreamError):
                StreamReader(cut)
            continue
        reader = StreamReader(cut)
        whole = sum(end <= size for end in ends)
        assert list(reader) == three_gops.packets[:whole]
        assert len(reader.damages) == 1
        assert reader.damages[0].offset <= size


def test_a_wrong_byte_anywhere_costs_at_most_the_rest_of_its_gop(three_gops, opened):
    starts = three_gops.starts
    gops = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    for offset in range(three_gops.header_bytes, len(three_gops.data)):
        wrong = bytearray(three_gops.data)
        wrong[offset] ^= 0xFF
        reader = StreamReader(opened(bytes(wrong)))
        hit = sum(start <= offset for start in starts) - 1
        lost = range(0)
        if offset < three_gops.end:
            lost = range(hit, gops[hit // 3][-1] + 1)
        expected = [p for i, p in enumerate(three_gops.packets) if i not in lost]
        assert list(reader) == expected, offset
        assert len(reader.damages) == 1, offset


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_wrong_bit_anywhere_is_reported(three_gops, bit):
    for offset in range(three_gops.header_bytes, len(three_gops.data)):
        wrong = bytearray(three_gops.data)
        wrong[offset] ^= 1 << bit
        reader = StreamReader(bytes(wrong))
        assert set(reader) <= set(three_gops.packets)
        assert reader.damages


def test_damage_stands_in_place_and_counts_the_lost_frames(three_gops, opened):
    wrong = bytearray(three_gops.data)
    wrong[three_gops.starts[4] + 8] ^= 1
    events = list(StreamReader(opened(bytes(wrong))).events())
    place = next(i for i, event in enumerate(events) if isinstance(event, Damage))
    damage = events[place]
    assert place == 4
    assert damage.offset == three_gops.starts[4]
    assert (damage.first_lost, damage.resumed_frame) == (6, 10)
    assert damage.num_lost == 4
    assert damage.resumed_offset == three_gops.starts[6]
    assert events[5].first_frame == 10


def test_a_strict_reader_raises_at_the_first_damage(three_gops):
    wrong = bytearray(three_gops.data)
    wrong[three_gops.starts[4] + 8] ^= 1
    packets = iter(StreamReader(bytes(wrong), strict=True))
    assert [next(packets) for _ in range(4)] == three_gops.packets[:4]
    with pytest.raises(BitstreamError) as caught:
        next(packets)
    assert caught.value.offset == three_gops.starts[4]


@pytest.mark.parametrize("gone", range(9))
def test_a_packet_removed_at_its_borders_is_noticed(three_gops, gone):
    bounds = [*three_gops.starts, three_gops.end]
    data = three_gops.data[: bounds[gone]] + three_gops.data[bounds[gone + 1] :]
    reader = StreamReader(data)
    lost = range(gone, 3 * (gone // 3) + 3)
    kept = [p for i, p in enumerate(three_gops.packets) if i not in lost]
    assert list(reader) == kept
    assert len(reader.damages) == 1


@pytest.mark.parametrize("again", range(9))
def test_a_packet_repeated_is_noticed_and_not_decoded_twice(three_gops, again):
    bounds = [*three_gops.starts, three_gops.end]
    twice = three_gops.data[bounds[again] : bounds[again + 1]]
    data = three_gops.data[: bounds[again]] + twice + three_gops.data[bounds[again] :]
    reader = StreamReader(data)
    frames = [packet.first_frame for packet in reader]
    assert frames == sorted(set(frames))
    assert len(reader.damages) == 1


def test_foreign_bytes_between_packets_are_passed_over(three_gops, opened):
    cut = three_gops.starts[3]
    noise = b"\x9cnvc" * 5 + bytes(range(256)) * 300
    data = three_gops.data[:cut] + noise + three_gops.data[cut:]
    reader = StreamReader(opened(data))
    assert list(reader) == three_gops.packets
    assert [damage.offset for damage in reader.damages] == [cut]
    assert reader.damages[0].num_lost == 0


def test_bytes_after_the_end_are_reported(three_gops):
    reader = StreamReader(three_gops.data + b"surplus")
    assert list(reader) == three_gops.packets
    assert reader.complete
    assert "7 bytes follow" in reader.damages[0].reason


def test_a_stream_of_sync_words_is_given_up_in_bounded_time(make):
    # Each sync word claims as many bytes as there are: quadratic without a budget.
    claim = b"\x9cnvc\x00\x00\xff\xff\x03\x00\x00"
    data = make.header().pack() + claim * 20000
    reader = StreamReader(data, Limits(max_resync_bytes=2**22))
    assert list(reader) == []
    assert len(reader.damages) == 1


def test_a_valid_crc_around_an_invalid_intra_packet_does_not_trap_the_reader(make):
    packets = make.packets(2, 1)
    data = make.stream(packets)
    # The header is replaced by one that forbids the two frames of the inter units.
    old = int.from_bytes(data[6:8], "little")
    body = data[old:]
    reader = StreamReader(make.header(frames_per_unit=1).pack() + body)
    assert all(packet.num_frames == 1 for packet in reader)


@given(st.binary(max_size=200), st.integers(0, 3))
@example(b"\x9cnvc", 0)
@settings(max_examples=150, deadline=None)
def test_garbage_never_raises_anything_else(make, garbage, whole_packets):
    packets = make.packets(1, 2)[:whole_packets]
    data = make.stream(packets)
    end = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    reader = StreamReader(data[:end] + garbage)
    assert list(reader)[: len(packets)] == packets
    assert reader.damages
    reader.index()
    with pytest.raises(BitstreamError):
        StreamReader(garbage)


def test_the_index_lists_every_intra_packet(three_gops):
    reader = StreamReader(three_gops.data)
    assert reader.has_index
    assert [(e.first_frame, e.offset) for e in reader.index()] == [
        (0, three_gops.starts[0]),
        (5, three_gops.starts[3]),
        (10, three_gops.starts[6]),
    ]


@pytest.mark.parametrize("timed", [False, True])
def test_a_lost_index_is_rebuilt_by_reading(make, timed):
    data = make.stream(make.packets(4, 3, timed=timed))
    whole, cut = StreamReader(data), StreamReader(data[:-1], strict=True)
    assert whole.has_index
    assert not cut.has_index
    assert cut.index() == whole.index()
    assert cut.damages == []
    assert all((entry.pts is not None) == timed for entry in whole.index())


@pytest.mark.parametrize("cut", [0, 9])
def test_seeking_starts_at_the_intra_packet_before_the_frame(three_gops, cut):
    reader = StreamReader(three_gops.data[: len(three_gops.data) - cut])
    starts = [0] * 5 + [3] * 5 + [6] * 5 + [6]
    for frame, start in enumerate(starts):
        assert list(reader.packets_from(frame)) == three_gops.packets[start:]
    with pytest.raises(UsageError):
        reader.packets_from(-1)


def test_passes_over_one_file_may_alternate(three_gops):
    reader = StreamReader(io.BytesIO(three_gops.data))
    first, second = iter(reader), reader.packets_from(5)
    alternating = [(next(first), next(second)) for _ in range(6)]
    assert alternating == list(
        zip(three_gops.packets[:6], three_gops.packets[3:], strict=True)
    )
    assert list(first) == three_gops.packets[6:]


def test_a_stream_inside_a_larger_file_starts_where_the_file_stands(three_gops):
    file = io.BytesIO(b"something else" + three_gops.data)
    file.seek(14)
    reader = StreamReader(file, strict=True)
    assert list(reader.packets_from(10)) == three_gops.packets[6:]


def test_a_pipe_reads_in_order_and_refuses_the_rest(three_gops):
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as sink, os.fdopen(read_end, "rb") as pipe:
        feeder = threading.Thread(
            target=lambda: (sink.write(three_gops.data), sink.flush())
        )
        feeder.start()
        # The writing end stays open: the reader must not wait for more.
        reader = StreamReader(pipe, strict=True)
        assert list(reader) == three_gops.packets
        feeder.join()
        assert not reader.has_index
        with pytest.raises(UsageError, match="cannot seek"):
            reader.index()


def test_text_and_paths_are_refused_with_a_remedy():
    with pytest.raises(UsageError, match="open"):
        StreamReader("clip.nvc")


def test_an_empty_stream_is_whole(make):
    reader = StreamReader(make.stream([]), strict=True)
    assert list(reader) == []
    assert reader.complete
    assert reader.index() == ()
    assert list(reader.packets_from(3)) == []


def test_importing_the_package_does_not_import_jax():
    code = "import jaxnvc.bitstream, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_read_packets_know_where_they_were(three_gops):
    packets = list(StreamReader(three_gops.data))
    assert [packet.offset for packet in packets] == three_gops.starts
    assert sum(packet.num_bytes for packet in packets) == (
        three_gops.end - three_gops.header_bytes
    )
    assert packets[0].kind == PacketKind.INTRA
    assert packets[2].num_lanes == 4
