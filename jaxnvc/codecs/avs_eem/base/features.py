"""Features of frames: what both sides know, and what the encoder sees.

Source: AVS-EEM v9.2, feature adaptors and extractors (Table V: 0.43, 1.02, 0.43,
23.04 and 18.43 KMAC per pixel, the last two printed the other way round).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.layers.convolution import ResidualBlock, conv


def _identity(key, shape, dtype=jnp.float32):
    del key
    return jnp.eye(shape[2], shape[3], dtype=dtype)[None, None]


class FeatureAdaptorP(nn.Module):
    """Readies the propagated feature for reuse; starts as the identity.

    Attributes:
      width: channels.
    """

    width: int

    @nn.compact
    def __call__(self, feature: jax.Array) -> jax.Array:
        """Maps [B, h2, w2, width] to the same shape."""
        return conv(self.width, 1, init=_identity)(feature)


class ReferenceFeatures(nn.Module):
    """Reference features at 1/2 and 1/4 resolution (both sides).

    Attributes:
      width: channels.
    """

    width: int

    @nn.compact
    def __call__(self, feature: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps [B, h2, w2, width] to itself refined and to [B, h4, w4, width]."""
        fine = ResidualBlock()(conv(self.width)(feature))
        return fine, ResidualBlock()(conv(self.width, stride=2)(fine))


class CurrentFeatures(nn.Module):
    """Features of the frame to code at 1/2 resolution (encoder).

    Attributes:
      width: channels.
    """

    width: int

    @nn.compact
    def __call__(self, feature: jax.Array) -> jax.Array:
        """Maps [B, h2, w2, width] to the same shape."""
        return ResidualBlock()(conv(self.width)(feature))
