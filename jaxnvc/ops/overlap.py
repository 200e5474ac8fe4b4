"""Overlapped block motion compensation: one vector per cell, blended predictions.

Each cell's vector moves a window of twice its side, and the windows are added with
weights that fall linearly to zero at their edges, so that a sample blends the four
predictions of the cells around it. Unlike a blend of the vectors themselves, that stays
sharp where neighbours move apart. Source: Orchard and Sullivan, 1994.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnvc.ops.warp import lanczos_weights
from jaxnvc.ops.windows import cut_windows, edged, last_corner, origins

_TAPS = 6


def compensate_overlapped(x: jax.Array, flow: jax.Array) -> jax.Array:
    """Predicts a picture from displaced, overlapping windows of a reference.

    Args:
      x: reference [B, H, W, C].
      flow: [B, H/cell, W/cell, 2], displacement (x, y) in samples of `x`; the side of
        a cell is even.

    Returns:
      [B, H, W, C], interpolated with a six-tap Lanczos kernel; samples outside of the
      reference are those at its border.
    """
    _, height, width, channels = x.shape
    rows, columns = flow.shape[1:3]
    cell = height // rows
    planes = jnp.moveaxis(x, -1, 1).reshape(-1, height, width)
    windows = _interpolated(planes, jnp.repeat(flow, channels, 0), cell)
    down, across = _ramps(rows, cell), _ramps(columns, cell)
    windows = windows * (down[None, :, None, :, None] * across[None, None, :, None, :])
    blocks = _joined(_joined(windows, 3, 1), 4, 2)
    return _assembled(blocks, x.shape)


def _interpolated(planes: jax.Array, flow: jax.Array, cell: int) -> jax.Array:
    """Samples every cell's window at its displaced place.

    Args:
      planes: [N, H, W].
      flow: [N, h, w, 2].
      cell: side of a cell.

    Returns:
      [N, h, w, 2 cell, 2 cell].
    """
    side = 2 * cell + _TAPS - 1
    whole = lax.stop_gradient(jnp.floor(flow))
    before = cell // 2 + _TAPS // 2 - 1
    # Wide enough for a window that lies wholly outside.
    margin = side + before
    wide = edged(planes, margin)
    corner = origins(planes, cell) + whole.astype(jnp.int32) + (margin - before)
    windows = cut_windows(wide, jnp.clip(corner, 0, last_corner(wide, side)), side)
    across, down = jnp.moveaxis(flow - whole, -1, 0)
    for axis, fraction in ((3, down), (4, across)):
        windows = sum(
            lax.slice_in_dim(windows, k, k + 2 * cell, axis=axis) * tap[..., None, None]
            for k, tap in enumerate(lanczos_weights(fraction))
        )
    return windows


def _ramps(count: int, cell: int) -> np.ndarray:
    """Returns the weights of `count` windows along one axis, [count, 2 cell].

    Those of neighbours sum to one; the outermost windows have no neighbour.
    """
    rise = (np.arange(cell, dtype=np.float32) + 0.5) / cell
    ramps = np.tile(np.concatenate([rise, rise[::-1]]), (count, 1))
    ramps[0, :cell] = 1
    ramps[-1, cell:] = 1
    return ramps


def _joined(windows: jax.Array, axis: int, cells: int) -> jax.Array:
    """Adds each window's first half to the second half of the window before it."""
    half = windows.shape[axis] // 2
    first = lax.slice_in_dim(windows, 0, half, axis=axis)
    second = lax.slice_in_dim(windows, half, 2 * half, axis=axis)
    none = [(0, 0)] * windows.ndim
    after, before = list(none), list(none)
    after[cells], before[cells] = (0, 1), (1, 0)
    return jnp.pad(first, after) + jnp.pad(second, before)


def _assembled(blocks: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Lays blocks [N, h + 1, w + 1, cell, cell] out as a picture of `shape`."""
    batch, height, width, channels = shape
    planes, rows, columns, cell, _ = blocks.shape
    picture = jnp.transpose(blocks, (0, 1, 3, 2, 4))
    picture = picture.reshape(planes, rows * cell, columns * cell)
    edge = cell // 2
    picture = picture[:, edge : edge + height, edge : edge + width]
    return jnp.moveaxis(picture.reshape(batch, channels, height, width), 1, -1)
