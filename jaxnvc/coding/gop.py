"""Which frame is coded how: units, keyframes, quality levels, refreshes."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp

GROUP = 4
# Position in the group of four -> level: key, odd, middle, odd.
_LEVELS = (0, 2, 1, 2)


def level_of(position, num_levels: int):
    """Returns the quality level of an inter unit.

    Args:
      position: units since the last intra frame, an int or int32 array.
      num_levels: of the family; with one level it is 0.

    Source: AVS-EEM v9.2, hierarchical quality structure.
    """
    if num_levels == 1:
        return 0
    if isinstance(position, int):
        return _LEVELS[position % GROUP]
    return jnp.asarray(_LEVELS)[position % GROUP]


def is_refresh(position: int, period: int) -> bool:
    """Returns whether the temporal history is dropped before an inter unit.

    Args:
      position: units since the last intra frame, 1 or more.
      period: units between refreshes, 0 for none.
    """
    return period > 0 and position > 1 and (position - 1) % period == 0


# Scale indices by which exp(0.3) raises a scale: eight octaves over 63 of them.
_RISE = 0.3 / math.log(2) * 63 / 8
_STEPS = round(_RISE)


def first_thresholds(thresholds: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the skip thresholds of the first frames; see `rising_schedule`."""
    return tuple(max(threshold - _STEPS, 0) for threshold in thresholds)


def rising_schedule(thresholds: tuple[int, ...], num_frames: int):
    """Lets the skip thresholds rise along a sequence.

    eta_t = beta exp(0.3 (t / N - 1)) in scale indices, rounded: a late frame has
    fewer successors that profit from it.

    Args:
      thresholds: scale index per quality level that is reached at the end.
      num_frames: N.

    Returns:
      (first frame, thresholds) at each change.

    Source: AVS-EEM v9.2, adaptive skip threshold, formula (6).
    """
    changes: dict[int, tuple[int, ...]] = {}
    for step in range(1, _STEPS + 1):
        # Where index(beta) + _RISE (t / N - 1) rounds up to the next index.
        first = math.ceil(num_frames * (1 - (_STEPS - step + 0.5) / _RISE))
        row = tuple(max(t - _STEPS + step, 0) for t in thresholds)
        changes[max(first, 1)] = row
    return tuple(sorted(changes.items()))


def is_intra(frame: int, gop: int) -> bool:
    """Returns whether a frame is coded intra.

    Args:
      frame: its number.
      gop: distance of intra frames, -1 for only the first.
    """
    return frame == 0 or (gop > 0 and frame % gop == 0)


class Unit(NamedTuple):
    """Frames that are coded together.

    Attributes:
      first: number of the first one.
      position: units since the last intra frame, 0 for an intra frame itself.
      frames: the frames, in order.
    """

    first: int
    position: int
    frames: tuple[Any, ...]


def in_units(frames: Iterable, gop: int, frames_per_unit: int) -> Iterator[Unit]:
    """Cuts a sequence into units, each as soon as its last frame has come.

    An intra unit is one frame; an inter unit has `frames_per_unit` of them, or fewer
    before an intra frame and at the end.

    Args:
      frames: the sequence.
      gop: distance of intra frames, -1 for only the first.
      frames_per_unit: most frames of an inter unit.
    """
    waiting: list = []
    first = position = 0
    for number, frame in enumerate(frames):
        if not waiting:
            first = number
            position = 0 if is_intra(number, gop) else position + 1
        waiting.append(frame)
        full = len(waiting) == (frames_per_unit if position else 1)
        if full or is_intra(number + 1, gop):
            yield Unit(first, position, tuple(waiting))
            waiting = []
    if waiting:
        yield Unit(first, position, tuple(waiting))
