"""Dense convolutions and the residual blocks of the field's larger codecs."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.layers.blocks import SMALL_INIT
from jaxnvc.ops.spatial import depth_to_space

_HE = nn.initializers.he_normal()


def leaky(x: jax.Array, slope: float = 0.01) -> jax.Array:
    """Applies max(x, slope x), 0 <= slope < 1."""
    return jnp.maximum(x, slope * x)


def conv(features: int, size: int = 3, stride: int = 1, init=_HE, **kwargs) -> nn.Conv:
    """Returns a convolution padded by size // 2 on every side.

    XLA's "SAME" pads a strided convolution on one side only, which shifts its grid.

    Args:
      features: output channels.
      size: odd kernel side.
      stride: 1 or 2.
      init: initialiser of the kernel.
      **kwargs: of `nn.Conv`.
    """
    return nn.Conv(
        features,
        (size, size),
        strides=stride,
        padding=size // 2,
        kernel_init=init,
        **kwargs,
    )


class ResidualBlock(nn.Module):
    """x + conv(leaky(conv(leaky(x)))), the hidden width a share of x's.

    The second convolution starts small, so that a new block is nearly the identity.

    Source: the bottleneck (share 1/2) and plain (share 1) blocks of DCVC-TCM/HEM,
    which close the MAC table of AVS-EEM v9.2.

    Attributes:
      bottleneck: halves the hidden width.
    """

    bottleneck: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        inner = conv(width // 2 if self.bottleneck else width)(leaky(x))
        return x + conv(width, init=SMALL_INIT)(leaky(inner))


class SubPixel(nn.Module):
    """Doubles the grid: a convolution to four times the channels, rearranged.

    Attributes:
      features: output channels.
      size: odd kernel side.
    """

    features: int
    size: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return depth_to_space(conv(4 * self.features, self.size)(x), 2)


class Stem(nn.Module):
    """A packed 4:2:0 frame to features at half resolution.

    A strided 3x3 over luma plus a 3x3 over chroma: what a strided 3x3 over 4:4:4
    would be, at the same cost, without resampling chroma.

    Source: AVS-EEM v9.2, feature adaptors I and X; the native 4:2:0 form is ours.

    Attributes:
      features: output channels.
      size: odd kernel side.
    """

    features: int
    size: int = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H/2, W/2, 6] to [B, H/2, W/2, features]."""
        luma = depth_to_space(x[..., :4], 2)
        luma = conv(self.features, self.size, stride=2, name="luma")(luma)
        chroma = conv(self.features, self.size, name="chroma", use_bias=False)
        return luma + chroma(x[..., 4:])
