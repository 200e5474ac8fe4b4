"""Square windows of a picture, one per cell, each at a place of its own."""

import jax
import jax.numpy as jnp
from jax import lax


def cut_windows(image: jax.Array, corner: jax.Array, side: int) -> jax.Array:
    """Cuts squares out of pictures.

    Args:
      image: [B, H, W].
      corner: int32 [B, h, w, 2], first sample (x, y) of every window, all inside.
      side: of the windows.

    Returns:
      [B, h, w, side, side].
    """

    def window(plane, at):
        return lax.dynamic_slice(plane, (at[1], at[0]), (side, side))

    per_image = jax.vmap(jax.vmap(window, (None, 0)), (None, 0))
    return jax.vmap(per_image)(image, corner)


def edged(image: jax.Array, margin: int) -> jax.Array:
    """Repeats the edges of [B, H, W] outwards."""
    return jnp.pad(image, ((0, 0), (margin,) * 2, (margin,) * 2), mode="edge")


def last_corner(image: jax.Array, side: int) -> jax.Array:
    """Returns the last (x, y) at which a window fits, [1, 1, 1, 2]."""
    last = jnp.array([image.shape[2], image.shape[1]]) - side
    return last[None, None, None]


def origins(x: jax.Array, cell: int) -> jax.Array:
    """Returns the corners of the cells, int32 [B, H/cell, W/cell, 2] as (x, y)."""
    batch, height, width = x.shape
    rows, columns = height // cell, width // cell
    origin = jnp.stack(
        jnp.meshgrid(jnp.arange(columns) * cell, jnp.arange(rows) * cell), -1
    )
    return jnp.broadcast_to(origin, (batch, *origin.shape))
