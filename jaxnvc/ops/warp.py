"""Motion compensation: sampling an image at displaced positions."""

import jax
import jax.numpy as jnp


def _positions(flow: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns clamped sampling rows and columns [B, H, W] of grid + flow."""
    _, height, width, _ = flow.shape
    columns = jnp.arange(width, dtype=flow.dtype)[None, None] + flow[..., 0]
    rows = jnp.arange(height, dtype=flow.dtype)[None, :, None] + flow[..., 1]
    return jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)


def _linear(fraction: jax.Array) -> list[jax.Array]:
    return [1 - fraction, fraction]


def _cubic(fraction: jax.Array) -> list[jax.Array]:
    """Catmull-Rom weights of the taps at -1, 0, 1, 2."""
    f, f2 = fraction, fraction**2
    f3 = f2 * fraction
    return [
        -0.5 * f3 + f2 - 0.5 * f,
        1.5 * f3 - 2.5 * f2 + 1,
        -1.5 * f3 + 2 * f2 + 0.5 * f,
        0.5 * f3 - 0.5 * f2,
    ]


def lanczos_weights(fraction: jax.Array) -> list[jax.Array]:
    """Returns the weights of the taps at -2 .. 3, which sum to one.

    A sinc in the window of its wider self: over chains of predictions it keeps fine
    detail that a cubic kernel wears away.
    """
    offsets = [fraction - tap for tap in range(-2, 4)]
    weights = [jnp.sinc(offset) * jnp.sinc(offset / 3) for offset in offsets]
    total = sum(weights)
    return [weight / total for weight in weights]


def _warp(x: jax.Array, flow: jax.Array, weights, reach: int) -> jax.Array:
    batch, height, width, channels = x.shape
    rows, columns = _positions(flow)
    top, left = jnp.floor(rows), jnp.floor(columns)
    row_weights, column_weights = weights(rows - top), weights(columns - left)
    margin = ((0, 0), (reach - 1, reach), (reach - 1, reach), (0, 0))
    padded = jnp.pad(x, margin, mode="edge")
    stride = padded.shape[2]
    flat = padded.reshape(batch, -1, channels)
    corner = top.astype(jnp.int32) * stride + left.astype(jnp.int32)
    taken = jax.vmap(lambda a, i: a.at[i].get(mode="promise_in_bounds"))
    total = 0.0
    for i, row_weight in enumerate(row_weights):
        row = 0.0
        for j, column_weight in enumerate(column_weights):
            index = (corner + (i * stride + j)).reshape(batch, -1)
            tap = taken(flat, index).reshape(x.shape)
            row = row + column_weight[..., None] * tap
        total = total + row_weight[..., None] * row
    return total


def warp_bilinear(x: jax.Array, flow: jax.Array) -> jax.Array:
    """Samples `x` at grid + flow, bilinearly, coordinates clamped to the border.

    Args:
      x: [B, H, W, C].
      flow: [B, H, W, 2], displacement (x, y) in samples of this grid.

    Returns:
      [B, H, W, C].
    """
    return _warp(x, flow, _linear, 1)


def warp_bicubic(x: jax.Array, flow: jax.Array) -> jax.Array:
    """Samples like `warp_bilinear`, with the sharper Catmull-Rom kernel."""
    return _warp(x, flow, _cubic, 2)
