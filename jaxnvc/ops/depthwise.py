"""Depthwise convolution in the form each backend runs fastest."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxnvc.ops.spatial import per_channel


def _padded(x: jax.Array, size: int) -> jax.Array:
    margin = size // 2
    return jnp.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))


def _windows(x: jax.Array, size: int) -> list[jax.Array]:
    """Lists the size*size shifted views of zero-padded [B, H, W, C], row-major."""
    height, width = x.shape[1:3]
    padded = _padded(x, size)
    return [
        padded[:, i : i + height, j : j + width]
        for i in range(size)
        for j in range(size)
    ]


def depthwise_shifted(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Sums shifted, scaled copies of `x`; exact on integers below 2**24.

    XLA's grouped convolution is 20 to 45 times slower than this on CPU.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C], k odd.

    Returns:
      [B, H, W, C], zero padded at the borders.
    """
    size = kernel.shape[0]
    taps = kernel.reshape(size * size, -1)
    return sum(
        window * per_channel(taps[i]) for i, window in enumerate(_windows(x, size))
    )


@jax.custom_vjp
def depthwise_exact(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Equals `depthwise_shifted`, with a kernel gradient read in one pass."""
    return depthwise_shifted(x, kernel)


def _shifted_fwd(x, kernel):
    return depthwise_shifted(x, kernel), (x, kernel)


def _shifted_bwd(residuals, cotangent):
    x, kernel = residuals
    products = [window * cotangent for window in _windows(x, kernel.shape[0])]
    # One variadic reduction reads the inputs once; nine separate sums would
    # read them nine times, and the kernel gradient is memory-bound.
    sums = lax.reduce(
        products,
        [jnp.zeros((), x.dtype)] * len(products),
        lambda a, b: [u + v for u, v in zip(a, b, strict=True)],
        (0, 1),
    )
    grad_kernel = jnp.stack(sums).sum(1).reshape(kernel.shape)
    return depthwise_shifted(cotangent, kernel[::-1, ::-1]), grad_kernel


depthwise_exact.defvjp(_shifted_fwd, _shifted_bwd)


def _depthwise_grouped(x: jax.Array, kernel: jax.Array) -> jax.Array:
    size, _, channels = kernel.shape
    margin = size // 2
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        (1, 1),
        ((margin, margin), (margin, margin)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
    )


def depthwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves each channel with its own kernel, per-backend form.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C], k odd.

    Returns:
      [B, H, W, C], zero padded at the borders.
    """
    return lax.platform_dependent(
        x, kernel, cpu=depthwise_exact, default=_depthwise_grouped
    )
