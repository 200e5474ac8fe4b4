"""Which frame is coded how: keyframes, quality levels, refreshes."""

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


def is_intra(frame: int, gop: int) -> bool:
    """Returns whether a frame is coded intra.

    Args:
      frame: its number.
      gop: distance of intra frames, -1 for only the first.
    """
    return frame == 0 or (gop > 0 and frame % gop == 0)
