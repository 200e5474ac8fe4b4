"""Motion encoder and decoder.

Source: AVS-EEM v9.2, motion branch (v1.0 on; Table V: 44.56 and 32.32 KMAC per
pixel). The encoder's body is inferred from its cost.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.codecs.avs_eem.base.align import Align
from jaxnvc.codecs.avs_eem.base.config import EemBaseConfig
from jaxnvc.layers.convolution import ResidualBlock, SubPixel, conv

# sigmoid(2) = 0.88: the reference is trusted until training finds otherwise.
_TRUST = 2.0


def _copies(key, shape, dtype=jnp.float32):
    """Starts as one vector copied to all pairs, each a little different."""
    kernel = 1e-3 * jax.random.normal(key, shape, dtype)
    middle = shape[0] // 2
    eye = jnp.tile(jnp.eye(2, dtype=dtype), (1, shape[3] // 2))
    return kernel.at[middle, middle].add(eye)


class MotionEncoder(nn.Module):
    """Motion, both frames' features and the last motion feature to a latent.

    Attributes:
      config: sizes.
    """

    config: EemBaseConfig

    @nn.compact
    def __call__(self, flow, current, reference, motion_feature, scale) -> jax.Array:
        """Encodes.

        Args:
          flow: [B, h2, w2, 2] in samples of this grid.
          current: features of the frame [B, h2, w2, width].
          reference: features of the reference [B, h2, w2, width].
          motion_feature: [B, h4, w4, width], zeros after a refresh.
          scale: factors of the quality level [B, 1, 1, inner_width].

        Returns:
          Latent [B, h16, w16, latent_channels].
        """
        c = self.config
        flows = conv(c.flow_channels, init=_copies, name="flows")(flow)
        align = Align(c.num_groups, c.num_flows, name="align")
        aligned = align(reference, flows)
        x = jnp.concatenate([flows, current, reference, aligned], -1)
        x = conv(c.inner_width, stride=2, name="to_quarter")(x)
        x = ResidualBlock(name="quarter0")(x)
        x = ResidualBlock(name="quarter1")(x) * scale
        x = jnp.concatenate([x, motion_feature], -1)
        x = conv(c.inner_width, stride=2, name="to_eighth")(x)
        x = ResidualBlock(name="eighth")(x)
        return conv(c.latent_channels, stride=2, name="to_latent")(x)


class Motion(NamedTuple):
    """Decoded motion.

    Attributes:
      flow: [B, h2, w2, flow_channels] in samples of this grid.
      confidence: trust in the aligned reference [B, h2, w2, width], in (0, 1).
      coarse_confidence: the same at 1/4, [B, h4, w4, width].
      feature: kept for the next frame [B, h4, w4, width].
    """

    flow: jax.Array
    confidence: jax.Array
    coarse_confidence: jax.Array
    feature: jax.Array


class MotionDecoder(nn.Module):
    """A latent to vectors per group and confidences.

    Attributes:
      config: sizes.
    """

    config: EemBaseConfig

    @nn.compact
    def __call__(self, latent: jax.Array, scale: jax.Array) -> Motion:
        """Maps [B, h16, w16, latent_channels] to motion; scale [B, 1, 1, width]."""
        c = self.config
        x = ResidualBlock(name="sixteenth")(latent)
        x = SubPixel(c.inner_width, name="to_eighth")(x)
        x = ResidualBlock(name="eighth")(x)
        x = SubPixel(c.width, name="to_quarter")(x)
        feature = ResidualBlock(name="quarter")(x)
        coarse = conv(c.width, name="coarse_confidence")(feature)
        x = SubPixel(c.width, name="to_half")(feature)
        x = ResidualBlock(name="half")(x) * scale
        x = conv(c.flow_channels + c.width, name="flow_and_confidence")(x)
        return Motion(
            flow=x[..., : c.flow_channels],
            confidence=nn.sigmoid(x[..., c.flow_channels :] + _TRUST),
            coarse_confidence=nn.sigmoid(coarse + _TRUST),
            feature=feature,
        )
