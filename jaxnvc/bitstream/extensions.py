"""Header extensions: fields that came after version 1.0.

A reader may ignore a tag below 128 that it does not know. From 128 on it must refuse:
without such a field it would decode differently. `docs/FORMAT.md`, section 3.
"""

from fractions import Fraction

from jaxnvc.bitstream.fields import FieldReader, pack_varint
from jaxnvc.errors import BitstreamError

Extensions = tuple[tuple[int, bytes], ...]
# (first frame, threshold per quality level), by rising frame.
SkipSchedule = tuple[tuple[int, tuple[int, ...]], ...]

SAMPLE_ASPECT_TAG = 1
FIRST_CRITICAL_TAG = 128
SKIP_SCHEDULE_TAG = 128
_KNOWN_TAGS = (SAMPLE_ASPECT_TAG, SKIP_SCHEDULE_TAG)


def pack_sample_aspect(aspect: Fraction | None) -> Extensions:
    """Returns the extension that carries a sample aspect ratio, if there is one."""
    if aspect is None:
        return ()
    value = pack_varint(aspect.numerator) + pack_varint(aspect.denominator)
    return ((SAMPLE_ASPECT_TAG, value),)


def unpack_sample_aspect(extensions: Extensions) -> Fraction | None:
    """Returns width / height of one sample; None if it is not said or not possible."""
    value = dict(extensions).get(SAMPLE_ASPECT_TAG)
    if value is None:
        return None
    reader = FieldReader(value)
    try:
        return Fraction(reader.varint(), reader.varint()) or None
    except (BitstreamError, ZeroDivisionError):
        return None


def pack_skip_schedule(schedule: SkipSchedule) -> Extensions:
    """Returns the extension that carries changes of the skip thresholds, if any."""
    if not schedule:
        return ()
    value = b"".join(pack_varint(first) + bytes(row) for first, row in schedule)
    return ((SKIP_SCHEDULE_TAG, value),)


def unpack_skip_schedule(extensions: Extensions, num_levels: int) -> SkipSchedule:
    """Returns the changes of the skip thresholds.

    Args:
      extensions: of the header.
      num_levels: thresholds per change, as many as the header has.

    Raises:
      BitstreamError: the field is cut, or its frames do not rise.
    """
    reader = FieldReader(dict(extensions).get(SKIP_SCHEDULE_TAG, b""))
    schedule: list[tuple[int, tuple[int, ...]]] = []
    while reader.remaining:
        first = reader.varint()
        if schedule and first <= schedule[-1][0]:
            raise BitstreamError(
                f"the skip thresholds change at frame {first} after frame "
                f"{schedule[-1][0]}, they must rise; the header is not valid"
            )
        schedule.append((first, tuple(reader.take(num_levels))))
    return tuple(schedule)


def skip_threshold(
    thresholds: tuple[int, ...], schedule: SkipSchedule, frame: int, level: int
) -> int:
    """Returns the skip threshold of a unit.

    Args:
      thresholds: per quality level, before the first change.
      schedule: their changes.
      frame: number of the unit's first frame.
      level: its quality level; past the last threshold, that one holds.
    """
    for first, changed in schedule:
        thresholds = changed if frame >= first else thresholds
    return thresholds[min(level, len(thresholds) - 1)]


def check_known(extensions: Extensions) -> None:
    """Refuses what must be understood and is not.

    Raises:
      BitstreamError: an unknown tag of the critical range.
    """
    for tag, _ in extensions:
        if tag >= FIRST_CRITICAL_TAG and tag not in _KNOWN_TAGS:
            raise BitstreamError(
                f"the header has the field {tag}, which must be understood and is not "
                "known to this version; update jaxnvc"
            )
