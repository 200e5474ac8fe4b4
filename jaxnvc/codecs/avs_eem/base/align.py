"""Group-wise alignment: each group of channels is moved by vectors of its own.

Source: AVS-EEM v9.2, feature-domain alignment (v2.0 on).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxnvc.ops.warp import warp_bilinear


def _mean_of_copies(key, shape, dtype=jnp.float32):
    """Starts the fusion as the mean over a group's vectors."""
    del key
    groups, flows, channels, features = shape
    eye = jnp.eye(features, dtype=dtype).reshape(groups, 1, channels, features)
    return jnp.broadcast_to(eye / flows, shape)


class Align(nn.Module):
    """Moves features along a field of several vectors per group, and fuses them.

    One group is moved and fused at a time, so that memory holds the moved copies of
    one group (a quarter of the features' channels per vector), not of all.

    Attributes:
      num_groups: groups of channels.
      num_flows: vectors per group.
    """

    num_groups: int
    num_flows: int

    @nn.compact
    def __call__(self, feature: jax.Array, flow: jax.Array) -> jax.Array:
        """Aligns.

        Args:
          feature: [B, h, w, C].
          flow: [B, h, w, groups * flows * 2], (x, y) in samples of this grid.

        Returns:
          [B, h, w, C]. At the start: the mean over the vectors of each group.
        """
        batch, height, width, channels = feature.shape
        groups, flows = self.num_groups, self.num_flows
        size = channels // groups
        kernel = self.param("fuse", _mean_of_copies, (groups, flows, size, channels))
        bias = self.param("bias", nn.initializers.zeros, (1, 1, 1, channels))
        grid = (batch, height, width)
        feature = jnp.moveaxis(feature.reshape(*grid, groups, size), 3, 0)
        flow = jnp.moveaxis(flow.reshape(*grid, groups, flows, 2), 3, 0)

        def add_group(total, group):
            feature, flow, kernel = group
            for j in range(flows):
                total = total + warp_bilinear(feature, flow[..., j, :]) @ kernel[j]
            return total, None

        start = jnp.broadcast_to(bias, (*grid, channels))
        return lax.scan(add_group, start, (feature, flow, kernel))[0]
