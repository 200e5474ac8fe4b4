"""What encoding and decoding one clip gives, whoever did it."""

import dataclasses


@dataclasses.dataclass
class Encoded:
    """A stream that was written.

    Attributes:
      seconds: of encoding, compilation apart.
      first_use_seconds: spent before, on tracing and compiling or loading programs.
      frame_bytes: of each frame's packet in display order, or in coding order where
        the stream does not say; the file may be larger by headers. What several
        frames are coded in stands at the first, and None at the others.
      frame_kinds: "intra" or "inter" of each frame.
      frame_seconds: of each frame, likewise; empty where nobody can tell.
      version: the encoder's.
      model_id: of a model's weights, hexadecimal.
    """

    seconds: float = 0.0
    first_use_seconds: float = 0.0
    frame_bytes: list[int | None] = dataclasses.field(default_factory=list)
    frame_kinds: list[str] = dataclasses.field(default_factory=list)
    frame_seconds: list[float | None] = dataclasses.field(default_factory=list)
    version: str = ""
    model_id: str | None = None


@dataclasses.dataclass
class Decoded:
    """A stream that was decoded to a file.

    Attributes:
      seconds: of decoding, compilation and writing apart.
      first_use_seconds: as of `Encoded`.
      frame_seconds: of each frame.
    """

    seconds: float = 0.0
    first_use_seconds: float = 0.0
    frame_seconds: list[float] = dataclasses.field(default_factory=list)
