"""The `.nvc` stream: bytes in, bytes out, and nothing about networks.

Standard library and NumPy only, so that a stream can be inspected where no accelerator
library is installed. The format is described in `docs/FORMAT.md`.
"""

from jaxnvc.bitstream.crc32c import crc32c
from jaxnvc.bitstream.extensions import (
    pack_sample_aspect,
    pack_skip_schedule,
    skip_threshold,
)
from jaxnvc.bitstream.footer import IndexEntry
from jaxnvc.bitstream.framing import PacketKind
from jaxnvc.bitstream.header import (
    MAJOR,
    MINOR,
    ArithmeticProfile,
    StreamHeader,
    unpack_header,
)
from jaxnvc.bitstream.info import describe, format_info
from jaxnvc.bitstream.limits import Limits
from jaxnvc.bitstream.packet import Packet
from jaxnvc.bitstream.reader import Damage, StreamReader
from jaxnvc.bitstream.writer import StreamWriter

__all__ = [
    "MAJOR",
    "MINOR",
    "ArithmeticProfile",
    "Damage",
    "IndexEntry",
    "Limits",
    "Packet",
    "PacketKind",
    "StreamHeader",
    "StreamReader",
    "StreamWriter",
    "crc32c",
    "describe",
    "format_info",
    "pack_sample_aspect",
    "pack_skip_schedule",
    "skip_threshold",
    "unpack_header",
]
