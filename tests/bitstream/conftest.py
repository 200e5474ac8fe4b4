"""Small streams that the tests of this folder share."""

import io
import types

import pytest

from jaxnvc.bitstream import Packet, PacketKind, StreamHeader, StreamWriter


def make_header(**changes) -> StreamHeader:
    """Returns a plausible header of a portable model with `changes` made to it."""
    fields = {
        "family": "dcvc-uf",
        "model_id": bytes(range(16)),
        "model_name": "base-2026",
        "display_width": 1920,
        "display_height": 1080,
        "coded_width": 1920,
        "coded_height": 1088,
        "time_base_num": 1001,
        "time_base_den": 30000,
        "frame_rate_num": 30000,
        "frame_rate_den": 1001,
        "skip_thresholds": (10, 20, 30, 40),
    }
    return StreamHeader(**fields | changes)


def make_packets(num_gops: int, num_inter: int, *, timed: bool = False) -> list[Packet]:
    """Returns numbered packets whose payloads all differ."""
    packets, frame = [], 0
    for _ in range(num_gops):
        for place in range(1 + num_inter):
            packet = Packet(
                kind=PacketKind.INTER if place else PacketKind.INTRA,
                qp=20 + place,
                level=place % 4,
                refresh=place == 2,
                num_frames=1 if place == 0 else 2,
                log2_lanes=place,
                check=1000 * frame % 65536,
                payload=bytes((7 * frame + 3 * i) % 256 for i in range(5 + 4 * place)),
                first_frame=frame,
            )
            if timed:
                times = range(frame, frame + packet.num_frames)
                times = tuple(40 * time + time % 3 - 50 for time in times)
                packet = Packet(**{**vars(packet), "pts": times})
            packets.append(packet)
            frame += packet.num_frames
    return packets


def write_stream(packets, file=None, **changes) -> bytes:
    """Returns the stream of `packets`; two frames per unit unless `changes` differ."""
    file = io.BytesIO() if file is None else file
    with StreamWriter(file, make_header(**{"frames_per_unit": 2} | changes)) as writer:
        for packet in packets:
            writer.write(packet)
    return file.getvalue() if isinstance(file, io.BytesIO) else b""


@pytest.fixture(scope="session")
def make():
    """The builders above, as attributes."""
    return types.SimpleNamespace(
        header=make_header, packets=make_packets, stream=write_stream
    )


@pytest.fixture(scope="session")
def three_gops():
    """A stream of three GOPs of three packets: `.data`, `.packets`, `.header_bytes`,
    `.starts` (each packet's offset) and `.end` (the END packet's offset).
    """
    packets = make_packets(3, 2)
    data = write_stream(packets)
    header_bytes = int.from_bytes(data[6:8], "little")
    starts, offset = [], header_bytes
    sizes = [StreamWriter(io.BytesIO(), make_header(frames_per_unit=2))]
    for packet in packets:
        starts.append(offset)
        offset += sizes[0].write(packet)
    return types.SimpleNamespace(
        data=data, packets=packets, header_bytes=header_bytes, starts=starts, end=offset
    )
