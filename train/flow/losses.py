"""How wrong vectors are: by the pictures, by their roughness, by known vectors.

All vectors here are [B, h, w, 2] (x, y) in samples of their own grid unless said
otherwise; x at p comes from the reference at p + vector.

Source: UFlow (Jonschkowski et al. 2020) for the census loss and the edge-aware
smoothness; UnFlow (Meister et al. 2018) for the check of both directions.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnvc.ops.spatial import mean_pool
from jaxnvc.ops.warp import warp_bilinear

_PATCH = 7
# Samples in [0, 1]: a difference that counts as one, and as a mismatch of signs.
_CONTRAST, _MISMATCH = 0.9 / 255, 0.1
_EDGE = 20.0


def charbonnier(x: jax.Array, epsilon: float = 1e-3) -> jax.Array:
    """Returns sqrt(x**2 + epsilon**2), an absolute value that is smooth at 0."""
    return jnp.sqrt(x**2 + epsilon**2)


def length(vectors: jax.Array) -> jax.Array:
    """Returns the lengths of vectors [..., 2], smooth at 0."""
    return jnp.sqrt((vectors**2).sum(-1) + 1e-6)


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Averages values where a mask of the same shape is not 0."""
    return (values * mask).sum() / jnp.maximum(mask.sum(), 1.0)


def census(x: jax.Array) -> jax.Array:
    """Describes each sample by its neighbours' signs, whatever the light.

    Args:
      x: RGB [B, H, W, 3] in [0, 1].

    Returns:
      [B, H, W, 49] in (-1, 1): neighbours less the sample, squashed.
    """
    grey = x.mean(-1, keepdims=True)
    neighbours = lax.conv_general_dilated_patches(
        grey,
        (_PATCH, _PATCH),
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    difference = neighbours - grey
    return difference / jnp.sqrt(_CONTRAST**2 + difference**2)


def photometric(x: jax.Array, moved: jax.Array) -> jax.Array:
    """Compares frames by census and by value, robustly.

    Args:
      x: RGB [B, H, W, 3] in [0, 1].
      moved: its prediction.

    Returns:
      [B, H, W].
    """
    apart = (census(x) - census(moved)) ** 2
    mismatch = (apart / (_MISMATCH + apart)).mean(-1)
    return mismatch + charbonnier(x - moved).mean(-1)


def inside(flow: jax.Array) -> jax.Array:
    """Tells where vectors point into the picture, 1.0 or 0.0 [B, h, w]."""
    _, height, width, _ = flow.shape
    x = jnp.arange(width)[None, None] + flow[..., 0]
    y = jnp.arange(height)[None, :, None] + flow[..., 1]
    fits = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return fits.astype(flow.dtype)


def visible(flow: jax.Array, backward: jax.Array) -> jax.Array:
    """Tells where the way there and back ends near its start, 1.0 or 0.0 [B, h, w].

    Elsewhere something hides what is looked for.

    Args:
      flow: vectors from x to the reference.
      backward: vectors from the reference to x.
    """
    returned = warp_bilinear(backward, flow)
    gap = ((flow + returned) ** 2).sum(-1)
    size = (flow**2).sum(-1) + (returned**2).sum(-1)
    return (gap < 0.01 * size + 0.5).astype(flow.dtype)


def roughness(flow: jax.Array, x: jax.Array) -> jax.Array:
    """Averages the vectors' slopes, less where the picture has edges.

    Args:
      flow: [B, h, w, 2].
      x: RGB [B, k h, k w, 3] in [0, 1], k whole.
    """
    x = mean_pool(x, x.shape[1] // flow.shape[1])
    total = 0.0
    for axis in (1, 2):
        edge = jnp.abs(jnp.diff(x, axis=axis)).mean(-1, keepdims=True)
        slope = charbonnier(jnp.diff(flow, axis=axis))
        total = total + (slope * jnp.exp(-_EDGE * edge)).mean()
    return total


def end_point_error(found: jax.Array, known: jax.Array, mask: jax.Array) -> jax.Array:
    """Averages the distances between vectors where a mask [B, h, w] is not 0."""
    return masked_mean(length(found - known), mask)
