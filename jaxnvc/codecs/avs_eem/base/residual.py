"""The conditional residual codec in the feature domain.

Source: AVS-EEM v9.2, residual branch with contexts of two scales and residual
confidence (v5.1); Table V: 24.77 and 36.10 KMAC per pixel.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.codecs.avs_eem.base.config import EemBaseConfig
from jaxnvc.layers.convolution import ResidualBlock, SubPixel, conv

# sigmoid(1) = 0.73 of the context passes until training finds otherwise.
_TRUST = 1.0


class ResidualEncoder(nn.Module):
    """The frame's features, given the contexts, to a latent.

    Attributes:
      config: sizes.
    """

    config: EemBaseConfig

    @nn.compact
    def __call__(self, current, context, context_coarse, scale) -> jax.Array:
        """Encodes.

        Args:
          current: [B, h2, w2, width].
          context: [B, h2, w2, width].
          context_coarse: [B, h4, w4, width].
          scale: factors of the quality level [B, 1, 1, inner_width].

        Returns:
          Latent [B, h16, w16, latent_channels].
        """
        c = self.config
        x = jnp.concatenate([current, context], -1)
        x = conv(c.inner_width, stride=2, name="to_quarter")(x)
        x = ResidualBlock(name="quarter")(x) * scale
        x = jnp.concatenate([x, context_coarse], -1)
        x = conv(c.inner_width, stride=2, name="to_eighth")(x)
        x = ResidualBlock(name="eighth")(x)
        return conv(c.latent_channels, stride=2, name="to_latent")(x)


class ResidualDecoder(nn.Module):
    """A latent, given the coarse context, to the residual and its confidence.

    Attributes:
      config: sizes.
    """

    config: EemBaseConfig

    @nn.compact
    def __call__(self, latent, context_coarse, scale) -> tuple[jax.Array, jax.Array]:
        """Decodes.

        Args:
          latent: [B, h16, w16, latent_channels].
          context_coarse: [B, h4, w4, width].
          scale: factors of the quality level [B, 1, 1, width].

        Returns:
          Residual feature and the share of the context to keep, in (0, 1), both
          [B, h2, w2, width].
        """
        c = self.config
        x = ResidualBlock(bottleneck=False, name="sixteenth")(latent)
        x = SubPixel(c.inner_width, name="to_eighth")(x)
        x = ResidualBlock(bottleneck=False, name="eighth")(x)
        x = SubPixel(c.width, name="to_quarter")(x)
        x = ResidualBlock(name="quarter")(jnp.concatenate([x, context_coarse], -1))
        x = SubPixel(c.width, name="to_half")(x) * scale
        x = conv(2 * c.width, name="residual_and_confidence")(x)
        residual, confidence = jnp.split(x, 2, -1)
        return residual, nn.sigmoid(confidence + _TRUST)
