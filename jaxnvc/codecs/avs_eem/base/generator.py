"""The frame generator: a U-Net from residual and context to the picture.

Source: AVS-EEM v9.2, residual-confidence frame generator (v2.0, v5.1). Table V does
not print its cost; the totals leave 32.93 KMAC per pixel. The body is inferred.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.codecs.avs_eem.base.config import EemBaseConfig
from jaxnvc.layers.convolution import ResidualBlock, SubPixel, conv
from jaxnvc.ops.frame import PACKED_CHANNELS

_MIDDLE_DEPTH = 3


class FrameGenerator(nn.Module):
    """Joins residual and context, weighed by confidence, into the frame.

    Attributes:
      config: sizes.
    """

    config: EemBaseConfig

    @nn.compact
    def __call__(
        self, residual, confidence, context, middle_scale, feature_scale
    ) -> tuple[jax.Array, jax.Array]:
        """Generates.

        Args:
          residual: [B, h2, w2, width].
          confidence: share of the context to keep, same shape.
          context: same shape.
          middle_scale: factors of the bottleneck [B, 1, 1, bottleneck_channels].
          feature_scale: factors of the feature that is passed on [B, 1, 1, width].

        Returns:
          The feature for the next frame [B, h2, w2, width] and the packed frame
          [B, h2, w2, 6], not clipped, around zero for mid-grey.
        """
        c = self.config
        x = residual + confidence * context
        half = ResidualBlock(name="half")(x)
        quarter = conv(c.width, stride=2, name="to_quarter")(half)
        quarter = ResidualBlock(name="quarter")(quarter)
        x = conv(c.bottleneck_channels, stride=2, name="to_eighth")(quarter)
        for i in range(_MIDDLE_DEPTH):
            x = ResidualBlock(name=f"eighth{i}")(x)
        x = SubPixel(c.width, name="back_to_quarter")(x * middle_scale)
        x = conv(c.width, 1, name="join")(jnp.concatenate([quarter, x], -1))
        x = ResidualBlock(name="quarter_out")(x)
        x = half + SubPixel(c.width, name="back_to_half")(x)
        feature = ResidualBlock(name="half_out")(x) * feature_scale
        return feature, conv(PACKED_CHANNELS, name="head")(feature)
