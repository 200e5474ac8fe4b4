"""Which frame is coded how: keyframes, quality levels, refreshes."""

import math

import jax.numpy as jnp

GROUP = 4
# Position in the group of four -> level: key, odd, middle, odd.
_LEVELS = (0, 2, 1, 2)


def level_of(position):
    """Returns the quality level of an inter frame.

    Args:
      position: frames since the last intra frame, an int or int32 array.

    Source: AVS-EEM v9.2, hierarchical quality structure.
    """
    if isinstance(position, int):
        return _LEVELS[position % GROUP]
    return jnp.asarray(_LEVELS)[position % GROUP]


def is_refresh(position: int, period: int) -> bool:
    """Returns whether the temporal history is dropped before an inter frame.

    Args:
      position: frames since the last intra frame, 1 or more.
      period: frames between refreshes, 0 for none.
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
