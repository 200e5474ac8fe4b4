"""Rearrangements of the spatial grid: blocks, padding, resampling."""

import jax
import jax.numpy as jnp


def per_channel(values: jax.Array, rank: int = 4) -> jax.Array:
    """Shapes one value per channel [C] to go with [..., C] of so many axes."""
    return values.reshape((1,) * (rank - 1) + (-1,))


def space_to_depth(x: jax.Array, block: int) -> jax.Array:
    """Moves each `block` x `block` cell into channels.

    Args:
      x: [..., H, W, C], H and W multiples of `block`.
      block: cell side in samples.

    Returns:
      [..., H/block, W/block, block*block*C], channel order (row, column, c).
    """
    *lead, height, width, channels = x.shape
    x = x.reshape(*lead, height // block, block, width // block, block, channels)
    x = jnp.moveaxis(x, -4, -3)
    return x.reshape(*lead, height // block, width // block, block * block * channels)


def depth_to_space(x: jax.Array, block: int) -> jax.Array:
    """Inverts `space_to_depth`."""
    *lead, height, width, channels = x.shape
    x = x.reshape(*lead, height, width, block, block, channels // block**2)
    x = jnp.moveaxis(x, -3, -4)
    return x.reshape(*lead, height * block, width * block, channels // block**2)


def pixel_unshuffle(x: jax.Array, block: int) -> jax.Array:
    """Moves each `block` x `block` cell into channels, channel by channel.

    Args:
      x: [..., H, W, C], H and W multiples of `block`.
      block: cell side in samples.

    Returns:
      [..., H/block, W/block, C*block*block], channel order (c, row, column).
    """
    *lead, height, width, channels = x.shape
    x = x.reshape(*lead, height // block, block, width // block, block, channels)
    x = jnp.moveaxis(x, (-1, -4, -2), (-3, -2, -1))
    return x.reshape(*lead, height // block, width // block, channels * block * block)


def pixel_shuffle(x: jax.Array, block: int) -> jax.Array:
    """Inverts `pixel_unshuffle`."""
    *lead, height, width, channels = x.shape
    x = x.reshape(*lead, height, width, channels // block**2, block, block)
    x = jnp.moveaxis(x, (-3, -2, -1), (-1, -4, -2))
    return x.reshape(*lead, height * block, width * block, channels // block**2)


def repeat(x: jax.Array, factor: int) -> jax.Array:
    """Enlarges [B, H, W, C] by `factor`, each sample repeated (nearest)."""
    return jnp.repeat(jnp.repeat(x, factor, axis=1), factor, axis=2)


def mean_pool(x: jax.Array, factor: int) -> jax.Array:
    """Averages non-overlapping `factor` x `factor` cells of [B, H, W, C]."""
    batch, height, width, channels = x.shape
    cells = x.reshape(
        batch, height // factor, factor, width // factor, factor, channels
    )
    return cells.mean((2, 4))


def resize_bilinear(x: jax.Array, factor: int) -> jax.Array:
    """Enlarges [B, H, W, C] by `factor`, half-pixel centres, edges clamped."""
    return _enlarge_axis(_enlarge_axis(x, factor, 1), factor, 2)


def _enlarge_axis(x: jax.Array, factor: int, axis: int) -> jax.Array:
    """Enlarges one axis linearly: every output phase is one blend of neighbours."""
    size = x.shape[axis]
    before = jnp.concatenate(
        [jax.lax.slice_in_dim(x, 0, 1, axis=axis), x[_upto(axis, size - 1)]], axis
    )
    after = jnp.concatenate(
        [
            jax.lax.slice_in_dim(x, 1, size, axis=axis),
            jax.lax.slice_in_dim(x, size - 1, size, axis=axis),
        ],
        axis,
    )
    phases = []
    for phase in range(factor):
        position = (phase + 0.5) / factor - 0.5
        other = before if position < 0 else after
        phases.append(x + (other - x) * abs(position))
    stacked = jnp.stack(phases, axis + 1)
    shape = x.shape[:axis] + (size * factor,) + x.shape[axis + 1 :]
    return stacked.reshape(shape)


def _upto(axis: int, stop: int) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(0, stop),)


def ceil_to(size: int, multiple: int) -> int:
    """Returns the smallest multiple of `multiple` that is at least `size`."""
    return -(-size // multiple) * multiple
