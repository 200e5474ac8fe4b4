"""Cutting the latent in parts, and predicting a part from those before it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs.dcvc_uf.layers import Fusion
from jaxnvc.layers.blocks import DepthConvBlock, wsilu
from jaxnvc.layers.quarters import NUM_QUARTERS, stage_mask


def partition_mask(
    height: int, width: int, channels: int, partitions: int, step: int
) -> np.ndarray:
    """Returns the elements of a part as float32 0/1 [1, height, width, channels].

    Two parts: each half of the channels by the opposite colours of a checkerboard.
    Four: see `jaxnvc.layers.quarters`.
    """
    if partitions == NUM_QUARTERS:
        return stage_mask(height, width, channels, step)
    colour = np.indices((height, width)).sum(0) % 2
    group = np.arange(channels) // (channels // 2)
    live = (colour[..., None] == group) != bool(step)
    return live.astype(np.float32)[None]


class SpatialPrior(nn.Module):
    """Parameters of a part of y from the parts before it.

    Attributes:
      channels: of y.
      partitions: 2 or 4; with 4, the hyper prior is first reduced to `channels` and
        each part has a block of its own before the shared ones.
      depth: shared blocks.
      features: channels that leave: means alone, or scales and means.
      half: of the shared blocks.
      dtype: of the computation.
    """

    channels: int
    partitions: int
    depth: int
    features: int
    half: bool
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        width = 2 * self.channels
        if self.partitions == NUM_QUARTERS:
            self.reduction = nn.Dense(self.channels, dtype=self.dtype)
            self.adaptor = [
                DepthConvBlock(
                    width, half=False, adapt=True, gate=wsilu, dtype=self.dtype
                )
                for _ in range(NUM_QUARTERS - 1)
            ]
        self.fusion = Fusion(width, self.depth, self.features, self.half, self.dtype)

    def reduce(self, params: jax.Array) -> jax.Array:
        """Returns what every part needs of the hyper prior's parameters."""
        four = self.partitions == NUM_QUARTERS
        return self.reduction(params) if four else params

    def __call__(self, y_hat: jax.Array, reduced: jax.Array, step: int) -> jax.Array:
        """Maps y_hat so far, zero elsewhere, to parameters of part `step` >= 1."""
        x = jnp.concatenate([y_hat.astype(self.dtype), reduced], -1)
        if self.partitions == NUM_QUARTERS:
            x = self.adaptor[step - 1](x)
        return self.fusion(x).astype(jnp.float32)
