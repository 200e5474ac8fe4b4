"""What a reader is willing to believe before it allocates anything."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds that a stream must respect; a larger claim is refused at once.

    Attributes:
      max_pixels: largest width times height, display or coded, in luma pixels.
      max_packet_bytes: largest packet, sync word and CRC included, in bytes.
      max_lanes: largest number of interleaved coder lanes in one packet.
      max_resync_bytes: bytes of false candidates examined in one pass over a damaged
        stream before the search for an intra packet is given up. Keeps a stream made of
        nothing but sync words from costing quadratic time.
    """

    max_pixels: int = 2**28
    max_packet_bytes: int = 2**26
    max_lanes: int = 4096
    max_resync_bytes: int = 2**30
