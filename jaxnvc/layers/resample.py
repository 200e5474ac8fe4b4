"""Resampling by two around the depth-convolution block, as DCVC-UF has it."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.layers.blocks import DepthConvBlock, wsilu
from jaxnvc.ops.spatial import pixel_shuffle, pixel_unshuffle


class Subpel(nn.Module):
    """Doubles the grid: a convolution to four times the channels, rearranged.

    Channels are (c, row, column) before the rearrangement.

    Attributes:
      features: output channels.
      size: odd kernel side; 1 is a matrix product.
      use_bias: whether the convolution has a bias.
      dtype: of the computation.
    """

    features: int
    size: int = 1
    use_bias: bool = False
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        options = {"use_bias": self.use_bias, "dtype": self.dtype, "name": "up"}
        if self.size == 1:
            x = nn.Dense(4 * self.features, **options)(x)
        else:
            side = (self.size, self.size)
            padding = self.size // 2
            x = nn.Conv(4 * self.features, side, padding=padding, **options)(x)
        return pixel_shuffle(x, 2)


class Up2(nn.Module):
    """Doubles the grid by a 1x1 `Subpel`, then a block.

    Attributes:
      features: output channels.
      half: of the block.
      shortcut: of the block.
      use_bias: whether the 1x1 has a bias.
      dtype: of the computation.
    """

    features: int
    half: bool = False
    shortcut: bool = False
    use_bias: bool = False
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        up = Subpel(self.features, 1, self.use_bias, self.dtype, name="enlarge")
        return _block(self)(up(x))


class Down2(nn.Module):
    """Halves the grid by a 1x1 over each 2x2 cell, then a block.

    Attributes:
      features: output channels.
      half: of the block.
      shortcut: of the block.
      dtype: of the computation.
    """

    features: int
    half: bool = False
    shortcut: bool = False
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        down = nn.Dense(self.features, dtype=self.dtype, name="down")
        return _block(self)(down(pixel_unshuffle(x, 2)))


def _block(module: Up2 | Down2) -> DepthConvBlock:
    return DepthConvBlock(
        half=module.half,
        shortcut=module.shortcut,
        gate=wsilu,
        dtype=module.dtype,
        name="block",
    )
