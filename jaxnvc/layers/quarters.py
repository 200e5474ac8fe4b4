"""Cutting a latent into four stages, each a quarter of the channels everywhere.

Channels fall into four equal groups, positions into four parities. Stage k
codes at each position the group (parity XOR turn[k]): every stage touches every
position, and every element has decoded neighbours in space and in frequency from
the second stage on. Source: DCVC-UF section 1.4 of its entropy model.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

NUM_QUARTERS = 4
# The name of products that only select: they are no arithmetic of the codec.
SELECTION = "selection"
_TURN = (0, 3, 2, 1)


def group_map(height: int, width: int, stage: int) -> np.ndarray:
    """Returns which channel group each position codes in `stage`, [H, W] int."""
    rows, columns = np.mgrid[0:height, 0:width]
    return (2 * (rows % 2) + columns % 2) ^ _TURN[stage]


def stage_mask(height: int, width: int, channels: int, stage: int) -> np.ndarray:
    """Returns the elements of `stage` as float32 0/1 [1, H, W, C]."""
    groups = np.arange(channels) // (channels // NUM_QUARTERS)
    live = group_map(height, width, stage)[..., None] == groups
    return live.astype(np.float32)[None]


def take_quarter(x: jax.Array, stage: int) -> jax.Array:
    """Gathers the elements of `stage` from [B, H, W, C] into [B, H, W, C/4]."""
    return _product(x * stage_mask(*x.shape[1:], stage), _copies(x.shape[-1]).T)


def put_quarter(quarter: jax.Array, stage: int) -> jax.Array:
    """Spreads [B, H, W, C/4] over [B, H, W, C], zero outside `stage`."""
    height, width, features = quarter.shape[1:]
    channels = features * NUM_QUARTERS
    spread = _product(quarter, _copies(channels))
    return spread * stage_mask(height, width, channels, stage)


def _copies(channels: int) -> np.ndarray:
    """Returns the matrix [C/4, C] that repeats a quarter for all four groups."""
    return np.tile(np.eye(channels // NUM_QUARTERS, dtype=np.float32), NUM_QUARTERS)


def _product(x: jax.Array, ones_and_zeros: np.ndarray) -> jax.Array:
    # Selecting would do as well, but XLA recomputes what it selects from for each
    # reader; a product is computed once. It is exact: one term, the rest are zeros.
    with jax.named_scope(SELECTION):
        return jnp.matmul(x, ones_and_zeros, precision=lax.Precision.HIGHEST)
