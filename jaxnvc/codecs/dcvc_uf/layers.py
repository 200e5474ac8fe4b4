"""The networks of DCVC-UF around the depth-convolution block.

Source: DCVC-UF (CVPR 2026), the layer tables of LD, HT-S, HT-L and intra.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.layers.blocks import DepthConvBlock, wsilu
from jaxnvc.layers.convolution import conv
from jaxnvc.layers.resample import Down2, Subpel, Up2


class Stack(nn.Module):
    """Blocks one after the other; the first adapts its inputs to the width.

    Attributes:
      width: channels.
      depth: number of blocks.
      half: of the blocks.
      dtype: of the computation.
    """

    width: int
    depth: int
    half: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        x = jnp.concatenate(inputs, -1)
        for i in range(self.depth):
            x = DepthConvBlock(
                self.width,
                half=self.half,
                gate=wsilu,
                dtype=self.dtype,
                name=f"block{i}",
            )(x)
        return x


class Fusion(nn.Module):
    """Blocks closed by a 1x1.

    Attributes:
      width: channels of the blocks.
      depth: number of blocks.
      features: channels that leave.
      half: of the blocks.
      dtype: of the computation.
    """

    width: int
    depth: int
    features: int
    half: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        x = Stack(self.width, self.depth, self.half, self.dtype, name="blocks")(*inputs)
        return nn.Dense(self.features, dtype=self.dtype, name="leave")(x)


class Encoder(nn.Module):
    """Features at 1/8 to the latent at 1/16, scaled by quality before the last step.

    Attributes:
      width: channels of the blocks.
      depth: number of blocks.
      features: channels of the latent.
      scale_after: blocks before the scaling.
      half: of the blocks.
      dtype: of the computation.
    """

    width: int
    depth: int
    features: int
    scale_after: int
    half: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, scale: jax.Array) -> jax.Array:
        """Maps [B, h, w, C], scale [B, 1, 1, width] to [B, h/2, w/2, features]."""
        first, rest = self.scale_after, self.depth - self.scale_after
        x = Stack(self.width, first, self.half, self.dtype, name="before")(x) * scale
        x = Stack(self.width, rest, self.half, self.dtype, name="after")(x)
        return conv(self.features, stride=2, dtype=self.dtype, name="down")(x)


class Decoder(nn.Module):
    """The latent and the context to features at 1/8.

    Attributes:
      width: channels.
      depth: number of blocks.
      half: of the blocks.
      strong_up: enlarges by a biased 3x3, else a plain 1x1.
      mix_output: closes with a 1x1.
      dtype: of the computation.
    """

    width: int
    depth: int
    half: bool
    strong_up: bool
    mix_output: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, y_hat: jax.Array, context: jax.Array) -> jax.Array:
        size = 3 if self.strong_up else 1
        up = Subpel(self.width, size, self.strong_up, self.dtype, name="enlarge")
        blocks = Stack(self.width, self.depth, self.half, self.dtype, name="blocks")
        x = blocks(up(y_hat), context)
        if self.mix_output:
            x = nn.Dense(self.width, dtype=self.dtype, name="leave")(x)
        return x


class HyperEncoder(nn.Module):
    """The latent to the hyper latent at a quarter of its grid.

    Attributes:
      width: channels inside.
      features: channels of the hyper latent.
      half: of the blocks.
      shortcut: of the blocks after a change of resolution.
      dtype: of the computation.
    """

    width: int
    features: int
    half: bool = False
    shortcut: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, y: jax.Array) -> jax.Array:
        x = Stack(self.width, 1, self.half, self.dtype, name="enter")(y)
        options = (self.half, self.shortcut, self.dtype)
        x = Down2(self.width, *options, name="down0")(x)
        return Down2(self.features, *options, name="down1")(x)


class HyperDecoder(nn.Module):
    """The hyper latent to features on the latent's grid.

    Attributes:
      width: channels inside.
      features: channels that leave.
      half: of the blocks.
      shortcut: of the blocks after a change of resolution.
      use_bias: whether the enlarging 1x1 have biases.
      dtype: of the computation.
    """

    width: int
    features: int
    half: bool = False
    shortcut: bool = True
    use_bias: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z_hat: jax.Array) -> jax.Array:
        options = (self.half, self.shortcut, self.use_bias, self.dtype)
        x = Up2(self.width, *options, name="up0")(z_hat)
        x = Up2(self.width, *options, name="up1")(x)
        return Stack(self.features, 1, self.half, self.dtype, name="leave")(x)


class Heads(nn.Module):
    """Features to the cells of every frame, each frame by weights of its own.

    The weights of all heads are stacked, so that the heads are one batched product
    per layer.

    Attributes:
      frames: number of heads.
      width: channels of a head.
      depth: blocks of a head.
      features: channels that leave.
      half: of the blocks.
      pairs: one more block before, shared by heads 2j and 2j + 1.
      dtype: of the computation.
    """

    frames: int
    width: int
    depth: int
    features: int
    half: bool = False
    pairs: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, h, w, C] to [B, frames, h, w, features]."""
        axis = None
        if self.pairs:
            shared = _stacked(Stack, None, 0, self.frames // 2)
            options = (x.shape[-1], 1, self.half, self.dtype)
            x = jnp.repeat(shared(*options, name="pairs")(x), 2, axis=0)
            axis = 0
        head = _stacked(Fusion, axis, 1, self.frames)
        options = (self.width, self.depth, self.features, self.half, self.dtype)
        return head(*options, name="frames")(x)


def _stacked(module, in_axis: int | None, out_axis: int, count: int):
    """Returns a module of `count` copies with weights stacked on the first axis."""
    return nn.vmap(
        module,
        in_axes=in_axis,
        out_axes=out_axis,
        axis_size=count,
        variable_axes={"params": 0},
        split_rngs={"params": True},
    )
