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
    batch, height, width, channels = x.shape
    groups = x.reshape(batch, height, width, NUM_QUARTERS, -1)
    chosen = group_map(height, width, stage)[None, :, :, None]
    quarter = groups[..., 0, :]
    for group in range(1, NUM_QUARTERS):
        quarter = jnp.where(chosen == group, groups[..., group, :], quarter)
    return quarter


def put_quarter(quarter: jax.Array, stage: int) -> jax.Array:
    """Spreads [B, H, W, C/4] over [B, H, W, C], zero outside `stage`."""
    batch, height, width, features = quarter.shape
    channels = features * NUM_QUARTERS
    mask = stage_mask(height, width, channels, stage).astype(quarter.dtype)
    copies = np.tile(np.eye(features, dtype=np.float32), NUM_QUARTERS)
    return jnp.matmul(quarter, copies, precision=lax.Precision.HIGHEST) * mask
