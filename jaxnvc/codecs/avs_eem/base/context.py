"""Temporal contexts of two scales, weighed by confidence in the reference.

Source: AVS-EEM v9.2, temporal context mining with reference confidence (v2.0) and
the inception block (v5.1), widths of Inception-ResNet-A; Table V: 36.10 KMAC per
pixel. The order of the parts is inferred.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.codecs.avs_eem.base.align import Align
from jaxnvc.codecs.avs_eem.base.config import EemBaseConfig
from jaxnvc.codecs.avs_eem.base.motion import Motion
from jaxnvc.layers.convolution import ResidualBlock, SubPixel, conv, leaky
from jaxnvc.ops.spatial import mean_pool


class Inception(nn.Module):
    """Three branches of 1x1 and 3x3 convolutions, joined by a 1x1.

    Attributes:
      features: output channels, even.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] to [B, H, W, features]."""
        half, wide = self.features // 2, self.features * 3 // 4
        branches = []
        for branch, widths in enumerate(((), (half,), (wide, self.features))):
            inner = leaky(conv(half, 1, name=f"branch{branch}_in")(x))
            for i, width in enumerate(widths):
                inner = leaky(conv(width, name=f"branch{branch}_{i}")(inner))
            branches.append(inner)
        return conv(self.features, 1, name="join")(jnp.concatenate(branches, -1))


class ContextMining(nn.Module):
    """Aligns two scales of reference features and refines them.

    Attributes:
      config: sizes.
    """

    config: EemBaseConfig

    @nn.compact
    def __call__(
        self, fine: jax.Array, coarse: jax.Array, motion: Motion
    ) -> tuple[jax.Array, jax.Array]:
        """Returns contexts at 1/2 and 1/4.

        Args:
          fine: reference features [B, h2, w2, width].
          coarse: reference features [B, h4, w4, width].
          motion: decoded motion.
        """
        c = self.config
        align = Align(c.num_groups, c.num_flows, name="align")
        aligned = motion.confidence * align(fine, motion.flow)
        align = Align(c.num_groups, c.num_flows, name="align_coarse")
        half_flow = 0.5 * mean_pool(motion.flow, 2)
        aligned_coarse = motion.coarse_confidence * align(coarse, half_flow)
        refined = conv(c.width, name="coarse")(aligned_coarse)
        context_coarse = aligned_coarse + ResidualBlock(name="coarse_block")(refined)
        raised = SubPixel(c.width, 3, name="raise")(context_coarse)
        joined = jnp.concatenate([raised, aligned], -1)
        return aligned + Inception(c.width, name="inception")(joined), context_coarse
