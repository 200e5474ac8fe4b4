"""The example in `docs/FORMAT.md` is what the writer writes and the reader reads."""

import io
import pathlib
import re

from jaxnvc.bitstream import (
    Packet,
    PacketKind,
    StreamHeader,
    StreamReader,
    StreamWriter,
)

DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "FORMAT.md"

HEADER = StreamHeader(
    family="intra",
    model_id=bytes(range(0xA0, 0xB0)),
    model_name="demo",
    display_width=62,
    display_height=50,
    coded_width=64,
    coded_height=64,
    primaries=1,
    transfer=1,
    matrix=1,
    full_range=False,
    time_base_num=1,
    time_base_den=25,
    frame_rate_num=25,
    frame_rate_den=1,
    frame_count=5,
    gop=3,
    frames_per_unit=2,
    skip_thresholds=(8, 12),
)
PACKETS = [
    Packet(
        kind=PacketKind.INTRA,
        qp=40,
        log2_lanes=4,
        check=0x1234,
        payload=b"\xde\xad\xbe\xef",
        first_frame=0,
    ),
    Packet(
        kind=PacketKind.INTER,
        qp=37,
        level=1,
        refresh=True,
        num_frames=2,
        log2_lanes=4,
        check=0xABCD,
        payload=b"\x01\x02\x03",
        first_frame=1,
    ),
    Packet(kind=PacketKind.INTRA, qp=40, check=0x5678, payload=b"\x04", first_frame=3),
    Packet(kind=PacketKind.INTER, qp=37, first_frame=4),
]


def example() -> bytes:
    block = re.search(r"```\n(.*?)```", DOCUMENT.read_text(), re.DOTALL).group(1)
    return bytes.fromhex("".join(line.split("#")[0] for line in block.splitlines()))


def test_the_example_is_what_the_writer_writes():
    file = io.BytesIO()
    with StreamWriter(file, HEADER) as writer:
        for packet in PACKETS:
            writer.write(packet)
    assert file.getvalue() == example()


def test_the_example_reads_as_described():
    reader = StreamReader(example(), strict=True)
    assert reader.header == HEADER
    assert list(reader) == PACKETS
    assert [(e.first_frame, e.offset) for e in reader.index()] == [(0, 63), (3, 93)]
