"""Packed 4:2:0 frames to the cells DCVC-UF works on, and back.

A cell is an 8x8 square of 4:4:4 samples, 192 channels in the order (plane, row,
column), centred at zero. Chroma is repeated on the way in and averaged on the way
out, as the published models are evaluated. Samples are taken as they are: the
published models were trained on BT.709 of full range.
"""

import jax
import jax.numpy as jnp

from jaxnvc.ops.frame import luma
from jaxnvc.ops.spatial import (
    mean_pool,
    pixel_shuffle,
    pixel_unshuffle,
    repeat,
    space_to_depth,
)

CELL = 8
CELL_CHANNELS = 3 * CELL * CELL
_MID_GREY = 0.5


def to_cells(x: jax.Array) -> jax.Array:
    """Maps packed frames [B, H/2, W/2, 6] in [0, 1] to cells [B, H/8, W/8, 192]."""
    full = jnp.concatenate([luma(x), repeat(x[..., 4:], 2)], -1)
    return pixel_unshuffle(full - _MID_GREY, CELL)


def from_cells(cells: jax.Array) -> jax.Array:
    """Maps cells to packed frames in [0, 1], clipped at full chroma resolution."""
    full = jnp.clip(pixel_shuffle(cells, CELL) + _MID_GREY, 0.0, 1.0)
    return jnp.concatenate(
        [space_to_depth(full[..., :1], 2), mean_pool(full[..., 1:], 2)], -1
    )


def join_frames(cells: jax.Array) -> jax.Array:
    """Puts the frames of a unit side by side: [B, N, h, w, C] to [B, h, w, N C]."""
    batch, frames, height, width, channels = cells.shape
    return jnp.moveaxis(cells, 1, 3).reshape(batch, height, width, frames * channels)


def over_frames(fun, x: jax.Array) -> jax.Array:
    """Applies a function of [B, ...] to every frame of [B, N, ...]."""
    y = fun(x.reshape(-1, *x.shape[2:]))
    return y.reshape(*x.shape[:2], *y.shape[1:])
