"""Pictures and what is known about them.

Everything inside is 4:2:0 with 8 or 10 bits. Chroma of an odd-sized picture is
rounded up, so a 1x1 picture has one chroma sample. This module is NumPy alone;
conversions from and to RGB are in `rgb`.
"""

import dataclasses
from fractions import Fraction

import numpy as np

from jaxnvc.errors import UsageError

MAX_SIDE = 65535
MAX_PIXELS = 1 << 28
UNSPECIFIED = 2
"""The H.273 code point for "not said", of primaries, transfer and matrix alike."""


ASSUMED_TIME_BASE = Fraction(1, 25)
"""Seconds per frame where a source has neither a rate nor frame times."""


class VideoWarning(UserWarning):
    """Something was read or written, but not quite as it stood; the text says what."""


def check_size(width: int, height: int) -> None:
    """Refuses picture sizes before anything is allocated for them.

    Args:
      width: luma columns, 1..MAX_SIDE.
      height: luma rows, 1..MAX_SIDE; width * height at most MAX_PIXELS.

    Raises:
      UsageError: the size is outside those limits.
    """
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise UsageError(
            f"the picture size {width}x{height} is not allowed: each side must be "
            f"1 to {MAX_SIDE}, so check the size"
        )
    if width * height > MAX_PIXELS:
        raise UsageError(
            f"the picture size {width}x{height} is not allowed: at most {MAX_PIXELS} "
            "pixels per picture, so scale the video down"
        )


def check_bit_depth(bit_depth: int) -> None:
    """Raises UsageError unless `bit_depth` is 8 or 10."""
    if bit_depth not in (8, 10):
        raise UsageError(
            f"a bit depth of {bit_depth} is not supported: use 8 or 10 bits"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Yuv420:
    """One 4:2:0 picture as three planes.

    Attributes:
      y: [H, W] luma.
      u: [ceil(H/2), ceil(W/2)] first chroma, Cb.
      v: [ceil(H/2), ceil(W/2)] second chroma, Cr.

    All three are uint8 (8 bits), or uint16 holding 0..1023 (10 bits).

    Raises:
      UsageError: shapes, types or values break the rules above.
    """

    y: np.ndarray
    u: np.ndarray
    v: np.ndarray

    def __post_init__(self):
        for name in ("y", "u", "v"):
            plane = np.asarray(getattr(self, name))
            native = plane.dtype.newbyteorder("=")
            object.__setattr__(self, name, plane.astype(native, copy=False))
        dtypes = {plane.dtype for plane in self.planes}
        if len(dtypes) > 1 or self.y.dtype not in (np.uint8, np.uint16):
            raise UsageError(
                f"planes of type {', '.join(sorted(map(str, dtypes)))} are not "
                "supported: all three must be uint8 (8 bits) or uint16 (10 bits)"
            )
        if self.y.ndim != 2 or self.y.size == 0:
            raise UsageError(
                f"a luma plane of shape {self.y.shape} is not a picture: give [H, W] "
                "with both at least 1"
            )
        check_size(self.width, self.height)
        chroma = chroma_shape(self.width, self.height)
        if self.u.shape != chroma or self.v.shape != chroma:
            raise UsageError(
                f"chroma planes of shapes {self.u.shape} and {self.v.shape} do not "
                f"fit luma {self.y.shape}: 4:2:0 needs {chroma} for both"
            )
        if self.bit_depth == 10:
            largest = max(int(plane.max()) for plane in self.planes)
            if largest > 1023:
                raise UsageError(
                    f"a sample of {largest} does not fit 10 bits: scale the samples "
                    "to 0..1023"
                )

    @property
    def planes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The planes in the order of every file format: y, u, v."""
        return self.y, self.u, self.v

    @property
    def width(self) -> int:
        """Luma columns."""
        return self.y.shape[1]

    @property
    def height(self) -> int:
        """Luma rows."""
        return self.y.shape[0]

    @property
    def bit_depth(self) -> int:
        """8 or 10."""
        return 8 if self.y.dtype == np.uint8 else 10

    def tobytes(self) -> bytes:
        """Planar bytes, y then u then v; 10 bits as little-endian 16-bit words."""
        dtype = sample_dtype(self.bit_depth)
        return b"".join(plane.astype(dtype).tobytes() for plane in self.planes)

    @classmethod
    def from_bytes(
        cls, data: bytes, width: int, height: int, bit_depth: int
    ) -> "Yuv420":
        """The inverse of `tobytes`, from exactly one picture's bytes.

        Raises:
          UsageError: the length does not fit the size, or a sample does not fit.
        """
        expected = picture_num_bytes(width, height, bit_depth)
        if len(data) != expected:
            raise UsageError(
                f"{len(data)} bytes are not one {width}x{height} picture of "
                f"{bit_depth} bits: give exactly {expected} bytes"
            )
        rows, columns = chroma_shape(width, height)
        samples = np.frombuffer(data, sample_dtype(bit_depth))
        samples = samples.astype(samples.dtype.newbyteorder("="))  # own, writable
        ends = np.cumsum([width * height, rows * columns])
        y, u, v = np.split(samples, ends)
        return cls(
            y.reshape(height, width), u.reshape(rows, columns), v.reshape(rows, columns)
        )

    def same_pixels(self, other: "Yuv420") -> bool:
        """Whether both have the same size, depth and samples."""
        return self.bit_depth == other.bit_depth and all(
            np.array_equal(a, b) for a, b in zip(self.planes, other.planes, strict=True)
        )


@dataclasses.dataclass(frozen=True, eq=False)
class VideoFrame:
    """A picture and when it is shown.

    Attributes:
      planes: the picture.
      pts: presentation time in units of `VideoInfo.time_base`, or None if the
        source does not say.
    """

    planes: Yuv420
    pts: int | None = None


@dataclasses.dataclass(frozen=True)
class Colour:
    """H.273 colour description, exactly as far as the source says it.

    Attributes:
      primaries: ColourPrimaries code point 0..255; 2 is unspecified.
      transfer: TransferCharacteristics code point 0..255; 2 is unspecified.
      matrix: MatrixCoefficients code point 0..255; 2 is unspecified.
      full_range: VideoFullRangeFlag, or None if the source does not say.
    """

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool | None = None

    def __post_init__(self):
        for name in ("primaries", "transfer", "matrix"):
            value = getattr(self, name)
            if not 0 <= value <= 255:
                raise UsageError(
                    f"the colour {name} {value} is not an H.273 code point: use 0 to "
                    f"255, {UNSPECIFIED} for unspecified"
                )

    def filled_from(self, default: "Colour") -> "Colour":
        """This description with what it leaves unsaid taken from `default`.

        The way to guess aloud: `info.colour.filled_from(BT709)`.
        """

        def pick(name: str) -> int:
            value = getattr(self, name)
            return getattr(default, name) if value == UNSPECIFIED else value

        full_range = self.full_range
        return Colour(
            pick("primaries"),
            pick("transfer"),
            pick("matrix"),
            default.full_range if full_range is None else full_range,
        )


BT709 = Colour(primaries=1, transfer=1, matrix=1, full_range=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What is known of a video before its pictures.

    Attributes:
      width: luma columns, 1..MAX_SIDE.
      height: luma rows, 1..MAX_SIDE.
      bit_depth: 8 or 10.
      colour: colour description as the source has it.
      time_base: seconds per unit of `VideoFrame.pts`, above 0.
      frame_rate: frames per second above 0, or None if unknown; an average where
        frame times vary.
      num_frames: frames in the whole source if it says so, else None; advisory.
      sample_aspect: width / height of one sample, or None if unspecified.

    Raises:
      UsageError: a value outside its range.
    """

    width: int
    height: int
    bit_depth: int = 8
    colour: Colour = Colour()
    time_base: Fraction = ASSUMED_TIME_BASE
    frame_rate: Fraction | None = None
    num_frames: int | None = None
    sample_aspect: Fraction | None = None

    def __post_init__(self):
        check_size(self.width, self.height)
        check_bit_depth(self.bit_depth)
        for name in ("time_base", "frame_rate", "sample_aspect"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"the {name} {value} must be above 0")

    @property
    def frame_step(self) -> int:
        """Nominal time between frames in units of `time_base`, at least 1."""
        if self.frame_rate is None:
            return 1
        return max(1, round(1 / (self.frame_rate * self.time_base)))


def chroma_shape(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of a chroma plane of a width x height picture."""
    return (height + 1) // 2, (width + 1) // 2


def sample_dtype(bit_depth: int) -> np.dtype:
    """The type of a sample in a file: uint8, or little-endian uint16."""
    return np.dtype(np.uint8 if bit_depth == 8 else "<u2")


def picture_num_bytes(width: int, height: int, bit_depth: int) -> int:
    """Bytes of one planar 4:2:0 picture."""
    rows, columns = chroma_shape(width, height)
    num_samples = width * height + 2 * rows * columns
    return num_samples * sample_dtype(bit_depth).itemsize


def block_mean(plane: np.ndarray, down: int, across: int) -> np.ndarray:
    """Subsamples by the mean of blocks; the last row and column are repeated.

    Args:
      plane: [H, W], float or integer; integers are rounded once, half up.
      down: rows per block, 1 or 2.
      across: columns per block, 1 or 2.

    Returns:
      [ceil(H / down), ceil(W / across)] of the same type.
    """
    height, width = plane.shape
    padding = ((0, -height % down), (0, -width % across))
    plane = np.pad(plane, padding, mode="edge")
    rows, columns = plane.shape[0] // down, plane.shape[1] // across
    blocks = plane.reshape(rows, down, columns, across)
    if np.issubdtype(plane.dtype, np.floating):
        return blocks.mean((1, 3), dtype=plane.dtype)
    area = down * across
    total = blocks.sum((1, 3), dtype=np.uint32)
    return ((total + area // 2) // area).astype(plane.dtype)
