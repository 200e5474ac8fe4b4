"""Convolution blocks shared by the families."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.ops.depthwise import depthwise
from jaxnvc.ops.spatial import per_channel

# The closing layer of a residual branch: a new block is nearly the identity.
SMALL_INIT = nn.initializers.variance_scaling(0.01, "fan_in", "normal")


def gated(x: jax.Array) -> jax.Array:
    """Applies x * clip(x + 1/2, 0, 1).

    The piecewise-linear gate has the value and slope of sigmoid(4x) at zero, so
    this stands in for WSiLU (DCVC-UF) without an exponential.
    """
    return x * jnp.clip(x + 0.5, 0.0, 1.0)


def wsilu(x: jax.Array) -> jax.Array:
    """Applies x * sigmoid(4x) (WSiLU of DCVC-UF)."""
    return x * jax.nn.sigmoid(4 * x)


def add_neighbours(x: jax.Array) -> jax.Array:
    """Sums each four adjacent channels: [..., 4 C] to [..., C]."""
    return x.reshape(*x.shape[:-1], -1, 4).sum(-1)


class Depthwise(nn.Module):
    """A depthwise convolution with bias, zero padding, stride 1, in the input's dtype.

    Attributes:
      size: odd kernel side.
    """

    size: int = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        init = nn.initializers.normal(1 / self.size)
        kernel = self.param("kernel", init, (self.size, self.size, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        return depthwise(x, kernel.astype(x.dtype)) + per_channel(bias.astype(x.dtype))


class DepthConvBlock(nn.Module):
    """The two residual halves of the depth-convolution block.

    Spatial mixing: 1x1 to the inner width, gate, depthwise 3x3, 1x1 back. Channel
    mixing: 1x1 to four times the inner width, gate, sums of four neighbours, 1x1
    back. The closing layers start small, so that a new block is nearly the identity.

    Source: DCVC-UF (DCB); the gate is piecewise linear unless `wsilu` is given.

    Attributes:
      features: channels; None keeps the input's. Where they differ, a 1x1 adapts first.
      half: the inner width is half the channels, else all of them.
      shortcut: adds the (adapted) input once more.
      adapt: adapts by a 1x1 even where the channels do not differ.
      gate: the activation.
      dtype: of the computation; parameters are float32.
    """

    features: int | None = None
    half: bool = True
    shortcut: bool = False
    adapt: bool = False
    gate: Callable[[jax.Array], jax.Array] = gated
    dtype: jnp.dtype | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = self.features or x.shape[-1]
        inner_width = width // 2 if self.half else width
        dense = functools.partial(nn.Dense, dtype=self.dtype)
        close = functools.partial(dense, width, kernel_init=SMALL_INIT)
        if self.adapt or width != x.shape[-1]:
            x = dense(width, name="adapt")(x)
        entering = x
        inner = self.gate(dense(inner_width, name="reduce")(x))
        inner = Depthwise(name="mix")(inner)
        x = x + close(name="expand")(inner)
        inner = self.gate(dense(4 * inner_width, name="widen")(x))
        x = x + close(name="narrow")(add_neighbours(inner))
        return x + entering if self.shortcut else x


class BlockStack(nn.Module):
    """A 1x1 adaptor to `width` channels and `depth` blocks.

    Attributes:
      width: channels of the blocks.
      depth: number of blocks.
    """

    width: int
    depth: int

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        x = nn.Dense(self.width, name="adapt")(jnp.concatenate(inputs, -1))
        for i in range(self.depth):
            x = DepthConvBlock(name=f"block{i}")(x)
        return x


def zero_dense(features: int, name: str) -> nn.Dense:
    """Returns a 1x1 convolution that starts at zero: a branch yet to be learned."""
    return nn.Dense(features, name=name, kernel_init=nn.initializers.zeros)


class QpCurve(nn.Module):
    """A positive factor per channel, smooth in qp, shifted per quality level.

    exp of a piecewise-linear curve over nine anchors at qp 0, 8, .. 64, plus an
    offset per level. Feature scaling by quality: AVS-EEM v9.2 section IV (the
    factorised variable-rate form is ours).

    Attributes:
      features: channels.
      levels: quality levels.
      initial: logarithm of the factor at the anchors [9, features]; None is zero.
      level_initial: logarithmic offset of each level; None is zero.
    """

    features: int
    levels: int = 1
    initial: np.ndarray | None = None
    level_initial: tuple[float, ...] | None = None

    @nn.compact
    def __call__(self, qp: jax.Array, level: jax.Array) -> jax.Array:
        """Returns factors [B, 1, 1, features] for qp int32 [B], level int32 []."""
        start, start_level = self._initial()
        anchors = self.param("anchors", lambda _: start)
        offset = self.param("levels", lambda _: start_level)
        return _curve(anchors, offset, qp, level)

    def initial_factor(self, qp: jax.Array, level: jax.Array) -> jax.Array:
        """Returns what the factors were before any training."""
        return _curve(*self._initial(), qp, level)

    def _initial(self) -> tuple[jax.Array, jax.Array]:
        start = jnp.zeros((9, self.features))
        if self.initial is not None:
            start = start + self.initial
        offsets = jnp.asarray(self.level_initial or (0.0,) * self.levels)
        level_start = jnp.broadcast_to(offsets[:, None], (self.levels, self.features))
        # A copy in memory: donated parameters must not share a buffer.
        return start, level_start + 0.0


def _curve(anchors, offset, qp, level) -> jax.Array:
    low = qp >> 3
    weight = ((qp & 7) / 8)[:, None]
    rows = anchors[low] * (1 - weight) + anchors[low + 1] * weight
    return jnp.exp(rows + offset[level][None])[:, None, None, :]
