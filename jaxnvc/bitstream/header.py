"""The stream header: everything a decoder must know before the first packet.

`docs/FORMAT.md`, section 3, is the normative description of these bytes.
"""

import dataclasses
import struct
from fractions import Fraction

from jaxnvc.bitstream.crc32c import crc32c
from jaxnvc.bitstream.extensions import (
    check_known,
    skip_threshold,
    unpack_sample_aspect,
    unpack_skip_schedule,
)
from jaxnvc.bitstream.fields import FieldReader, pack_varint
from jaxnvc.bitstream.limits import Limits
from jaxnvc.errors import BitstreamError, UsageError

MAGIC = b"\x89NVC"
MAJOR = 1
MINOR = 1

MODEL_ID_BYTES = 16
MAX_FRAMES = 2**32 - 1
MAX_FRAMES_PER_UNIT = 1024
UNSPECIFIED = 2  # H.273: characteristics unknown or determined by the application.

_FIXED = struct.Struct("<4sBBHI16s6B")
_PREFIX_BYTES = 8  # Magic, version and length: what must be read to read the rest.
_CRC_BYTES = 4
_MAX_TEXT_BYTES = {"family": 32, "model_name": 64, "profile": 64}
_MAX_THRESHOLDS = 16
_PORTABLE_BIT = 0x01
_RANGES = (None, False, True)  # Codes 0, 1, 2 in flag bits 1 and 2.
_VARINT_FIELDS = (
    ("display_width", 1),
    ("display_height", 1),
    ("coded_width", 1),
    ("coded_height", 1),
    ("time_base_num", 1),
    ("time_base_den", 1),
    ("frame_rate_num", 0),
    ("frame_rate_den", 0),
    ("gop", -1),
    ("frames_per_unit", 1),
    ("refresh_period", 0),
)
_BYTE_FIELDS = ("chroma_format", "bit_depth", "primaries", "transfer", "matrix")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArithmeticProfile:
    """Where a stream of a non-portable model was made; elsewhere it may not decode.

    Attributes:
      device_kind: accelerator as JAX names it, at most 64 bytes of UTF-8.
      dtype: dtype of the transforms, for example "bfloat16".
      jax_version: version of JAX.
    """

    device_kind: str
    dtype: str
    jax_version: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamHeader:
    """What holds for the whole stream. Sizes are in luma pixels, times in `time_base`.

    Attributes:
      family: codec family in the registry, at most 32 bytes of printable ASCII.
      model_id: first 16 bytes of the SHA-256 of the weights file; identifies the model.
      model_name: name for messages, at most 64 bytes of UTF-8; identifies nothing.
      display_width: width to show, at least 1.
      display_height: height to show, at least 1.
      coded_width: width the networks see, at least the display width.
      coded_height: height the networks see, at least the display height.
      chroma_format: 0 luma only, 1 4:2:0, 2 4:2:2, 3 4:4:4 (as in H.26x).
      bit_depth: bits per sample, in [8, 16].
      primaries: H.273 ColourPrimaries; 2 means unspecified.
      transfer: H.273 TransferCharacteristics; 2 means unspecified.
      matrix: H.273 MatrixCoefficients; 2 means unspecified.
      full_range: whether samples use the full range; None means unspecified.
      time_base_num: seconds per tick, numerator, at least 1.
      time_base_den: seconds per tick, denominator, at least 1.
      frame_rate_num: frames per second, numerator; 0 if unknown.
      frame_rate_den: frames per second, denominator; 0 if unknown.
      frame_count: frames in the stream, 0 if unknown when the header was written.
      gop: frames from one intra frame to the next; -1 if only the first is intra.
      frames_per_unit: most frames one unit holds, in [1, 1024].
      skip_thresholds: one skip threshold index in [0, 256) per quality level.
      refresh_period: inter units from one refresh to the next; 0 if never.
      profile: None for a portable model, else where the stream was made.
      minor: least minor version of the format that has all its fields.
      extensions: (tag, bytes) fields added since 1.0; those of later minor versions
        are kept but not understood.

    Raises:
      UsageError: if a field is outside its range.
    """

    family: str
    model_id: bytes
    model_name: str
    display_width: int
    display_height: int
    coded_width: int
    coded_height: int
    chroma_format: int = 1
    bit_depth: int = 8
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool | None = None
    time_base_num: int = 1
    time_base_den: int = 1
    frame_rate_num: int = 0
    frame_rate_den: int = 0
    frame_count: int = 0
    gop: int = -1
    frames_per_unit: int = 1
    skip_thresholds: tuple[int, ...] = ()
    refresh_period: int = 0
    profile: ArithmeticProfile | None = None
    minor: int = 0
    extensions: tuple[tuple[int, bytes], ...] = ()

    def __post_init__(self):
        _check_numbers(self)
        _check_consistency(self)
        _check_texts(self)

    @property
    def portable(self) -> bool:
        """Whether every device decodes the same symbols from this stream."""
        return self.profile is None

    @property
    def sample_aspect(self) -> Fraction | None:
        """Width / height of one sample; None if it is not said or not possible."""
        return unpack_sample_aspect(self.extensions)

    def skip_threshold(self, frame: int, level: int) -> int:
        """Returns the skip threshold of a unit.

        Args:
          frame: number of its first frame.
          level: its quality level; past the last threshold, that one holds.
        """
        row = self.skip_thresholds or (0,)
        schedule = unpack_skip_schedule(self.extensions, len(row))
        return skip_threshold(row, schedule, frame, level)

    def pack(self) -> bytes:
        """Returns the header's bytes, CRC included.

        Raises:
          UsageError: if the extensions do not fit in 65535 bytes.
        """
        body = b"".join(
            pack_varint(_gop_code(self.gop) if name == "gop" else getattr(self, name))
            for name, _ in _VARINT_FIELDS
        )
        body += bytes([len(self.skip_thresholds), *self.skip_thresholds])
        body += _pack_text(self.family) + _pack_text(self.model_name)
        if self.profile is not None:
            body += b"".join(map(_pack_text, dataclasses.astuple(self.profile)))
        for tag, value in self.extensions:
            body += pack_varint(tag) + pack_varint(len(value)) + value
        num_bytes = _FIXED.size + len(body) + _CRC_BYTES
        if num_bytes > 0xFFFF:
            raise UsageError(
                f"the header has {num_bytes} bytes, at most 65535 are allowed; "
                "shorten its extensions"
            )
        flags = self.portable * _PORTABLE_BIT | _RANGES.index(self.full_range) << 1
        fixed = _FIXED.pack(
            *(MAGIC, MAJOR, self.minor, num_bytes, self.frame_count, self.model_id),
            *(flags, *(getattr(self, name) for name in _BYTE_FIELDS)),
        )
        return fixed + body + crc32c(fixed + body).to_bytes(_CRC_BYTES, "little")


def read_header_length(data: bytes) -> int:
    """Returns the length in bytes of the header that starts with `data`.

    Args:
      data: the first 8 bytes of the stream, or more.

    Raises:
      BitstreamError: if this is not a stream, or one of an unknown major version.
    """
    if len(data) < _PREFIX_BYTES or data[:4] != MAGIC:
        raise BitstreamError(
            f"the stream starts with {bytes(data[:4])!r}, a .nvc stream starts with "
            f"{MAGIC!r} and has at least {_PREFIX_BYTES} bytes; check that this is the "
            "right file",
            0,
        )
    if data[4] != MAJOR:
        raise BitstreamError(
            f"the stream has format version {data[4]}.{data[5]}, this reader knows "
            f"{MAJOR}.x; use a jaxnvc that knows version {data[4]}",
            4,
        )
    num_bytes = int.from_bytes(data[6:8], "little")
    if num_bytes < _FIXED.size + _CRC_BYTES:
        raise BitstreamError(
            f"the header claims {num_bytes} bytes, it has at least "
            f"{_FIXED.size + _CRC_BYTES}; the stream is damaged, obtain it again",
            6,
        )
    return num_bytes


def unpack_header(data: bytes, limits: Limits | None = None) -> StreamHeader:
    """Reads the header at the front of `data`; what follows it is ignored.

    Args:
      data: bytes of the stream from its first one.
      limits: what to refuse; the defaults of `Limits` if None.

    Raises:
      BitstreamError: if it is cut, damaged, of an unknown version or over the limits.
    """
    limits = limits or Limits()
    num_bytes = read_header_length(data)
    if len(data) < num_bytes:
        raise BitstreamError(
            f"the stream ends after {len(data)} of the header's {num_bytes} bytes; it "
            "was cut, obtain it again",
            len(data),
        )
    body_end = num_bytes - _CRC_BYTES
    body = bytes(data[:body_end])
    if crc32c(body) != int.from_bytes(data[body_end:num_bytes], "little"):
        raise BitstreamError(
            "the header does not match its CRC; the stream is damaged, obtain it again",
            body_end,
        )
    header = _unpack_fields(body)
    for kind in ("display", "coded"):
        width = getattr(header, f"{kind}_width")
        height = getattr(header, f"{kind}_height")
        if width * height > limits.max_pixels:
            raise BitstreamError(
                f"the {kind} size {width}x{height} has more than the "
                f"{limits.max_pixels} pixels allowed; raise --max-pixels if the "
                "stream is to be trusted",
                _FIXED.size,
            )
    return header


def _unpack_fields(body: bytes) -> StreamHeader:
    """Reads a header whose CRC holds, given without the CRC."""
    _, _, minor, _, frame_count, model_id, flags, *numbers = _FIXED.unpack_from(body)
    reader = FieldReader(body, _FIXED.size)
    fields = dict(zip(_BYTE_FIELDS, numbers, strict=True))
    fields |= {name: reader.varint() for name, _ in _VARINT_FIELDS}
    fields["gop"] = fields["gop"] or -1
    fields["skip_thresholds"] = tuple(reader.take(reader.byte()))
    fields["family"] = reader.text("ascii")
    fields["model_name"] = reader.text("utf-8")
    if not flags & _PORTABLE_BIT:
        texts = [reader.text("utf-8") for _ in range(3)]
        fields["profile"] = ArithmeticProfile(
            device_kind=texts[0], dtype=texts[1], jax_version=texts[2]
        )
    extensions = []
    while reader.remaining:
        tag = reader.varint()
        extensions.append((tag, reader.take(reader.varint())))
    check_known(extensions)
    unpack_skip_schedule(extensions, len(fields["skip_thresholds"]) or 1)
    range_code = flags >> 1 & 3
    # The reserved code 3 reads as unspecified, like every colour code we do not know.
    fields["full_range"] = _RANGES[range_code] if range_code < 3 else None
    try:
        return StreamHeader(
            **fields,
            minor=minor,
            frame_count=frame_count,
            model_id=model_id,
            extensions=tuple(extensions),
        )
    except UsageError as error:
        raise BitstreamError(f"the header is not valid: {error}", 0) from error


def _gop_code(gop: int) -> int:
    """Returns the coded value of `gop`: 0 stands for -1, only the first is intra."""
    return max(gop, 0)


def _pack_text(text: str) -> bytes:
    """Returns a string as one byte for its length in bytes, then its UTF-8 bytes."""
    raw = text.encode()
    return bytes([len(raw)]) + raw


def _check_numbers(header: StreamHeader):
    """Checks each number against its own range."""
    ranges = {name: (low, 2**32 - 1) for name, low in _VARINT_FIELDS}
    ranges |= {name: (0, 255) for name in _BYTE_FIELDS}
    ranges |= {
        "chroma_format": (0, 3),
        "bit_depth": (8, 16),
        "frame_count": (0, MAX_FRAMES),
        "frames_per_unit": (1, MAX_FRAMES_PER_UNIT),
        "minor": (0, 255),
    }
    for name, (low, high) in ranges.items():
        value = getattr(header, name)
        if not low <= value <= high:
            raise UsageError(
                f"{name} is {value}, it must lie in [{low}, {high}]; correct it"
            )


def _check_consistency(header: StreamHeader):
    """Checks the fields that bound each other, and the lists."""
    if header.gop == 0:
        raise UsageError("gop is 0, it must be -1 (first frame only) or more; use -1")
    if (header.frame_rate_num == 0) != (header.frame_rate_den == 0):
        raise UsageError(
            f"the frame rate is {header.frame_rate_num}/{header.frame_rate_den}, both "
            "numbers must be 0 (unknown) or neither; correct it"
        )
    if (
        header.coded_width < header.display_width
        or header.coded_height < header.display_height
    ):
        raise UsageError(
            f"the coded size {header.coded_width}x{header.coded_height} must not be "
            f"below the display size {header.display_width}x{header.display_height}; "
            "pad the frames"
        )
    thresholds = header.skip_thresholds
    if len(thresholds) > _MAX_THRESHOLDS or any(not 0 <= t < 256 for t in thresholds):
        raise UsageError(
            f"skip_thresholds is {thresholds}, it must be at most {_MAX_THRESHOLDS} "
            "values in [0, 255]; correct it"
        )
    if len(header.model_id) != MODEL_ID_BYTES:
        raise UsageError(
            f"model_id has {len(header.model_id)} bytes, it must have "
            f"{MODEL_ID_BYTES}; use the start of the SHA-256 of the weights file"
        )


def _check_texts(header: StreamHeader):
    """Checks the strings; a string that would print control characters is refused."""
    texts = [("family", header.family), ("model_name", header.model_name)]
    if header.profile is not None:
        texts += [("profile", text) for text in dataclasses.astuple(header.profile)]
    for name, text in texts:
        limit = _MAX_TEXT_BYTES[name]
        if not text.isprintable() or len(text.encode()) > limit:
            raise UsageError(
                f"{name} is {text!r}, it must be printable and at most {limit} bytes "
                "of UTF-8; shorten it"
            )
    if not header.family or not header.family.isascii():
        raise UsageError(
            f"family is {header.family!r}, it must be a name in ASCII; correct it"
        )
