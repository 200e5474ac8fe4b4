import dataclasses
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnvc.bitstream import Limits, Packet, PacketKind, StreamReader, StreamWriter
from jaxnvc.bitstream.framing import Frame, pack_frame, unpack_frame
from jaxnvc.bitstream.packet import Context, pack_packet, unpack_packet
from jaxnvc.errors import BitstreamError, UsageError

START = Context(next_frame=40, crc=0x1234, last_pts=-1000)


@st.composite
def packets(draw) -> Packet:
    num_frames = draw(st.integers(1, 8))
    pts = None
    if draw(st.booleans()):
        first = draw(st.integers(-999, 2**40))
        steps = draw(st.lists(st.integers(1, 1000), min_size=7, max_size=7))
        pts = tuple(first + sum(steps[:place]) for place in range(num_frames))
    return Packet(
        kind=draw(st.sampled_from([PacketKind.INTRA, PacketKind.INTER])),
        qp=draw(st.integers(0, 63)),
        level=draw(st.integers(0, 3)),
        refresh=draw(st.booleans()),
        num_frames=num_frames,
        log2_lanes=draw(st.integers(0, 12)),
        check=draw(st.integers(0, 0xFFFF)),
        payload=draw(st.binary(max_size=300)),
        pts=pts,
        first_frame=40,
    )


@given(packets())
@settings(max_examples=150, deadline=None)
def test_packets_round_trip(packet):
    data = pack_packet(packet, 8, START)
    frame = unpack_frame(data, 0, Limits())
    assert frame.num_bytes == len(data)
    assert unpack_packet(frame, data, 0, 8, START) == packet


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383])
def test_an_inter_packet_costs_at_most_ten_bytes(size):
    packet = Packet(
        kind=PacketKind.INTER, qp=63, level=3, num_frames=8, log2_lanes=12, check=65535
    )
    packet = dataclasses.replace(packet, refresh=True, payload=bytes(size))
    overhead = len(pack_packet(packet, 8, START)) - size
    assert overhead == (9 if size < 128 else 10)


def test_an_intra_packet_costs_the_sync_word_and_the_frame_number_more():
    packet = Packet(kind=PacketKind.INTRA, qp=63, payload=bytes(1000))
    assert len(pack_packet(packet, 8, START)) - 1000 == 15


@pytest.mark.parametrize(
    "changes",
    [
        {"qp": 64},
        {"qp": -1},
        {"level": 4},
        {"num_frames": 0},
        {"num_frames": 9},
        {"log2_lanes": 16},
        {"check": 65536},
        {"first_frame": 39},
        {"kind": PacketKind.END},
        {"pts": (1, 2)},
        {"pts": (-1000,)},
        {"num_frames": 2, "pts": (5, 5)},
    ],
)
def test_impossible_packets_are_refused(changes):
    packet = Packet(**{"kind": PacketKind.INTER, "qp": 30} | changes)
    with pytest.raises(UsageError):
        pack_packet(packet, 8, START)


def test_unknown_optional_fields_behind_the_skip_bit_are_passed_over():
    body = bytes([0x04, 3]) + b"newpayload"
    data = pack_frame(Frame(kind=PacketKind.INTER, extended=True, qp=9), body, 0)
    packet = unpack_packet(unpack_frame(data, 0, Limits()), data, 0, 1, START)
    assert packet.payload == b"payload"


@pytest.mark.parametrize("mask", [0x08, 0x80])
def test_unknown_mask_bits_are_refused(mask):
    data = pack_frame(Frame(kind=PacketKind.INTER, extended=True), bytes([mask]), 0)
    with pytest.raises(BitstreamError, match="mask"):
        unpack_packet(unpack_frame(data, 0, Limits()), data, 0, 1, START)


def test_reserved_packets_are_checked_and_passed_over(three_gops):
    before = three_gops.data[: three_gops.starts[2]]
    seed = int.from_bytes(before[-4:], "little")
    extra = pack_frame(Frame(kind=PacketKind.RESERVED), b"for later readers", seed)
    context = Context(next_frame=3, crc=int.from_bytes(extra[-4:], "little"))
    chained = pack_packet(three_gops.packets[2], 2, context)
    after = three_gops.data[three_gops.starts[3] :]
    reader = StreamReader(before + extra + chained + after, strict=True)
    assert list(reader) == three_gops.packets


def test_claims_over_the_limits_are_refused_before_reading():
    claim = b"\x01\x00" + b"\xff\xff\xff\xff\xff\x7f" + bytes(2)
    with pytest.raises(BitstreamError, match="bytes, at most"):
        unpack_frame(claim, 0, Limits())
    with pytest.raises(BitstreamError, match="lanes, at most 4096"):
        unpack_frame(b"\xd1\x00\x00\x00\x00", 0, Limits())


def test_every_packet_of_a_stream_has_times_or_none(make):
    timed, plain = make.packets(1, 1, timed=True), make.packets(1, 1)
    writer = StreamWriter(io.BytesIO(), make.header(frames_per_unit=2))
    writer.write(timed[0])
    with pytest.raises(UsageError, match="all packets"):
        writer.write(plain[1])
