"""One latent's entropy model: means by float networks, scales by integer ones.

A latent y [B, h, w, C] is coded in four quarter stages, optionally after a
hyper latent z. Means are float and may use anything; scale indices come from
transmitted whole numbers alone (DESIGN section 1), so a stream's symbols decode
alike on every device. (Models that are not portable use float features too.)

       z_hat --+--> trunk --> stage k --> index_k   (whole numbers only)
    history ---'                 ^
                                 | magnitude codes of symbols so far
    features, y_hat so far --> mean k --> mu_k       (float)
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxnvc.entropy.cond import Cond
from jaxnvc.entropy.integer import Arithmetic, IntegerTable, magnitude_code
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.layers.blocks import DepthConvBlock, Depthwise, gated, zero_dense
from jaxnvc.layers.quarters import put_quarter, stage_mask, take_quarter
from jaxnvc.layers.scales import FloatScaleNet, ScaleNet, table_index
from jaxnvc.ops.rounding import clip_ste
from jaxnvc.ops.spatial import mean_pool


class Coded(struct.PyTreeNode):
    """What is known of a latent so far.

    Attributes:
      symbols: whole numbers [B, h, w, C], zero where not yet coded.
      index: scale indices of the coded symbols, zero elsewhere.
      y_hat: decoded latent, `mu` of the first stage where not yet coded.
      mu: mean of the current stage, set by `predict`.
    """

    symbols: jax.Array
    index: jax.Array
    y_hat: jax.Array
    mu: jax.Array


class History(struct.PyTreeNode):
    """The transmitted whole numbers of the previous unit that shape the next.

    Attributes:
      code: magnitude codes 0..127 [B, h, w, C].
      index: scale indices 0..63 [B, h, w, C].
    """

    code: jax.Array
    index: jax.Array

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "History":
        """Returns the history after an intra unit or a refresh: zeros."""
        return cls(code=jnp.zeros(shape), index=jnp.zeros(shape))

    @classmethod
    def of(cls, coded: Coded) -> "History":
        """Keeps a finished latent for the next unit."""
        return cls(code=magnitude_code(coded.symbols), index=coded.index)


class MeanNet(nn.Module):
    """Corrects the mean of a stage from the elements decoded before it.

    Attributes:
      channels: latent channels.
      width: hidden channels, even.
      depth: blocks that refine them.
    """

    channels: int
    width: int
    depth: int = 0

    @nn.compact
    def __call__(self, deviation: jax.Array, features: jax.Array) -> jax.Array:
        """Maps (y_hat - mu) / step so far and features to a mean, in steps."""
        x = jnp.concatenate([deviation, features], -1)
        x = gated(nn.Dense(self.width, name="enter")(x))
        x = x + Depthwise(3, name="mix")(x)
        for i in range(self.depth):
            x = DepthConvBlock(name=f"block{i}")(x)
        return zero_dense(self.channels, "leave")(x)


class LatentCoder(nn.Module):
    """Predicts and absorbs the four stages of one latent.

    Attributes:
      channels: latent channels, a multiple of four.
      mean_width: hidden channels of the mean networks.
      scale_width: hidden channels of the scale network.
      levels: quality levels.
      initial_index: scale indices [9, C] before training.
      arithmetic: route of the integer products.
      mean_depth: blocks of the mean networks.
      portable: takes scale indices from transmitted integers alone.
      tailed: see `Prior`.
    """

    channels: int
    mean_width: int
    scale_width: int
    levels: int
    initial_index: np.ndarray
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    mean_depth: int = 0
    portable: bool = True
    tailed: bool = False

    def setup(self):
        sizes = self.channels, self.scale_width, self.levels, self.initial_index
        if self.portable:
            self.scale = ScaleNet(*sizes, self.arithmetic)
        else:
            self.scale = FloatScaleNet(*sizes)
        self.mean = [
            MeanNet(self.channels, self.mean_width, self.mean_depth) for _ in range(4)
        ]

    def open(self, mu: jax.Array) -> Coded:
        """Starts a latent whose first estimate is `mu` [B, h, w, C]."""
        zeros = jnp.zeros_like(mu)
        return Coded(symbols=zeros, index=zeros, y_hat=mu, mu=mu)

    def trunk(self, known: jax.Array, features: jax.Array, cond: Cond) -> jax.Array:
        """See `ScaleNet.trunk`."""
        return self.scale.trunk(known, features, cond)

    def prior(self, coded: Coded, trunk: jax.Array, cond: Cond, stage: int) -> Prior:
        """Returns the distribution of a stage's symbols [B, h, w, C/4].

        Args:
          coded: the latent so far.
          trunk: what `trunk` returned.
          cond: conditions.
          stage: 0..3.
        """
        index = self.scale.index(trunk, coded.symbols, cond, stage)
        return Prior(index=index, skip=cond.skip, tailed=self.tailed)

    def predict(self, coded: Coded, mu, step, features, stage: int) -> Coded:
        """Sets the mean of a stage.

        Args:
          coded: the latent so far.
          mu: its first estimate [B, h, w, C].
          step: quantiser steps, broadcastable to [B, h, w, C].
          features: float features [B, h, w, F].
          stage: 0..3.

        Returns:
          `coded` with `mu` for this stage.
        """
        deviation = (coded.y_hat - mu) / step
        correction = self.mean[stage](deviation, features)
        return coded.replace(mu=mu + correction * step)

    def residual(
        self, coded: Coded, y: jax.Array, step, rdo_weight, stage: int
    ) -> Residual:
        """Returns the stage's (y - mu) / step [B, h, w, C/4] (encoder).

        Args:
          coded: the latent so far, its mean that of the stage.
          y: the latent to code [B, h, w, C].
          step: quantiser steps, broadcastable to it.
          rdo_weight: of `Residual`, broadcastable to it.
          stage: 0..3.

        The step gets no gradient here: where the quantiser picks the cheapest
        symbol, the cost is at its minimum over symbols, so its derivative in the
        step is that with the symbols held fixed.
        """
        value = (y - coded.mu) / jax.lax.stop_gradient(step)
        weight = jnp.broadcast_to(rdo_weight, y.shape)
        return Residual(take_quarter(value, stage), take_quarter(weight, stage))

    def absorb(self, coded: Coded, symbols, index, step, stage: int) -> Coded:
        """Adds a stage's symbols [B, h, w, C/4] to the latent."""
        symbols = put_quarter(symbols, stage)
        mask = stage_mask(*symbols.shape[1:], stage)
        decoded = coded.mu + symbols * step
        return coded.replace(
            symbols=coded.symbols + symbols,
            index=coded.index + jax.lax.stop_gradient(put_quarter(index, stage)),
            y_hat=coded.y_hat * (1 - mask) + decoded * mask,
        )


class HyperPrior(nn.Module):
    """The hyper latent z: a coarse whole-number summary sent ahead.

    Attributes:
      channels: channels of z.
      width: hidden channels of its analysis.
      levels: quality levels.
      silent: starts by sending zeros, at hardly any cost: where much is known
        already, a summary has to earn its bits.
      tailed: see `Prior`.
    """

    channels: int
    width: int
    levels: int
    silent: bool = False
    tailed: bool = False

    def setup(self):
        self.enter = nn.Dense(self.width)
        self.down = [nn.Dense(self.width) for _ in range(2)]
        init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
        if self.silent:
            init = nn.initializers.zeros
        self.leave = nn.Dense(self.channels, kernel_init=init)
        first = 8.0 if self.silent else 14.0
        start = np.full((9, self.channels), first, np.float32)
        self.base = IntegerTable(self.channels, self.levels, start)

    def analyse(self, residual: jax.Array) -> jax.Array:
        """Summarises (y - mu) / step [B, h, w, C] as z [B, h/4, w/4, channels]."""
        bounded = jnp.clip(residual, -8, 8)
        x = jnp.concatenate([bounded, jnp.log1p(jnp.abs(residual))], -1)
        x = gated(self.enter(x))
        for dense in self.down:
            x = gated(dense(mean_pool(x, 2)))
        return self.leave(x)

    def prior(self, shape: tuple[int, ...], cond: Cond) -> Prior:
        """Returns the static distribution of z symbols of `shape`."""
        sums = self.base(cond.qp, cond.level)
        return static_prior(sums, shape).replace(tailed=self.tailed)


def static_prior(sums: jax.Array, shape: tuple[int, ...]) -> Prior:
    """Returns the distribution of a hyper latent from an `IntegerTable`'s sums."""
    index = jnp.broadcast_to(table_index(sums), shape)
    return Prior(index=index, skip=jnp.int32(0), straight=True)


def whole_hyper(z_hat: jax.Array) -> jax.Array:
    """Scales z symbols to whole numbers in [-127, 127] for the integer trunk."""
    return clip_ste(z_hat * 16.0, -127.0, 127.0)
