"""The packed frame tensor: YUV 4:2:0 as six channels at half resolution.

Channels are (Y00, Y01, Y10, Y11, U, V): each luma 2x2 cell beside the chroma
sample it shares. One array then holds a native 4:2:0 frame with nothing
resampled. Values are normalised to [0, 1] by the bit depth's maximum.
"""

import jax
import jax.numpy as jnp

from jaxnvc.ops.spatial import ceil_to, depth_to_space, space_to_depth

PACKED_CHANNELS = 6


def pack(y: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """Packs planes [..., H, W] and [..., H/2, W/2] into [..., H/2, W/2, 6]."""
    luma = space_to_depth(y[..., None], 2)
    return jnp.concatenate([luma, u[..., None], v[..., None]], -1)


def unpack(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Splits [..., H/2, W/2, 6] into planes y [..., H, W], u and v."""
    return luma(x)[..., 0], x[..., 4], x[..., 5]


def luma(x: jax.Array) -> jax.Array:
    """Returns the luma plane [..., H, W, 1] of a packed frame."""
    return depth_to_space(x[..., :4], 2)


def from_planes(y, u, v, *, multiple: int, bit_depth: int = 8) -> jax.Array:
    """Pads integer planes by edge replication and packs them.

    Args:
      y: [..., H, W] integers of `bit_depth` bits.
      u: [..., ceil(H/2), ceil(W/2)].
      v: like `u`.
      multiple: the coded luma size becomes a multiple of this even number.
      bit_depth: bits of a sample.

    Returns:
      [..., H'/2, W'/2, 6] float32 in [0, 1].
    """
    height, width = ceil_to(y.shape[-2], multiple), ceil_to(y.shape[-1], multiple)
    scale = 1 / (2**bit_depth - 1)
    planes = [
        _pad_edge(jnp.asarray(plane), height // step, width // step)
        for plane, step in ((y, 1), (u, 2), (v, 2))
    ]
    return pack(*(plane.astype(jnp.float32) * scale for plane in planes))


def to_planes(x: jax.Array, height: int, width: int, bit_depth: int = 8):
    """Rounds a packed frame to integer planes cropped to the display size.

    Args:
      x: [..., H'/2, W'/2, 6] in [0, 1] (clipped here).
      height: display height in luma samples.
      width: display width.
      bit_depth: 8 gives uint8, more gives uint16.

    Returns:
      y [..., height, width], u and v [..., ceil(height/2), ceil(width/2)].
    """
    maximum = 2**bit_depth - 1
    dtype = jnp.uint8 if bit_depth == 8 else jnp.uint16
    whole = jnp.floor(jnp.clip(x, 0, 1) * maximum + 0.5).astype(dtype)
    y, u, v = unpack(whole)
    rows, columns = -(-height // 2), -(-width // 2)
    return (
        y[..., :height, :width],
        u[..., :rows, :columns],
        v[..., :rows, :columns],
    )


def _pad_edge(plane: jax.Array, height: int, width: int) -> jax.Array:
    lead = [(0, 0)] * (plane.ndim - 2)
    margin = [(0, height - plane.shape[-2]), (0, width - plane.shape[-1])]
    return jnp.pad(plane, lead + margin, mode="edge")
