"""Scale indices of a latent's symbols: by whole numbers alone, or by all priors.

Two flavours of one network. `ScaleNet` takes transmitted whole numbers and exact
integer layers, so that indices are alike on every device. `FloatScaleNet` sees float
features too, as published codecs do: it is at home on the device it encodes on.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.entropy.cond import Cond
from jaxnvc.entropy.integer import (
    Arithmetic,
    IntegerDense,
    IntegerDepthwise,
    IntegerTable,
    magnitude_code,
    requantise,
)
from jaxnvc.entropy.tables import NUM_SCALES
from jaxnvc.layers.blocks import Depthwise, gated, zero_dense
from jaxnvc.layers.quarters import take_quarter
from jaxnvc.ops.rounding import clip_ste, round_ste

_INDEX_SHIFT = 9
# Whole numbers reach 127; float layers start best with inputs of order one.
_KNOWN_GAIN = 1 / 32
# Index steps per unit of the float head: an octave of sigma.
_FLOAT_SLOPE = 8.0


def scale_index(value: jax.Array) -> jax.Array:
    """Rounds to scale indices, float32 whole numbers 0..63."""
    return clip_ste(round_ste(value), 0.0, NUM_SCALES - 1.0)


def table_index(sums: jax.Array) -> jax.Array:
    """Returns the scale indices that sums of `IntegerTable`'s unit stand for."""
    return scale_index(sums * 2.0**-_INDEX_SHIFT)


class ScaleNet(nn.Module):
    """Whole numbers in, scale indices out.

    Attributes:
      channels: latent channels.
      width: hidden channels.
      levels: quality levels.
      initial_index: scale index per anchor and channel [9, C] before training.
      arithmetic: route of the products.
    """

    channels: int
    width: int
    levels: int
    initial_index: np.ndarray
    arithmetic: Arithmetic = Arithmetic.FLOAT32

    def setup(self):
        def dense(features, zero=False):
            return IntegerDense(features, self.arithmetic, zero)

        def mix():
            return IntegerDepthwise(3, self.arithmetic)

        self.enter, self.mix, self.leave = dense(self.width), mix(), dense(self.width)
        self.shade = IntegerTable(self.width, self.levels)
        self.stage_enter = [dense(self.width) for _ in range(4)]
        self.stage_mix = [mix() for _ in range(4)]
        self.head = [dense(self.channels, zero=True) for _ in range(4)]
        self.base = IntegerTable(self.channels, self.levels, self.initial_index)

    def trunk(self, known: jax.Array, features: jax.Array, cond: Cond) -> jax.Array:
        """Digests what is known before the first stage.

        Args:
          known: whole numbers in [-127, 127], [B, h, w, K].
          features: not used.
          cond: qp and level.

        Returns:
          Whole numbers in [0, 127], [B, h, w, width].
        """
        del features
        x = requantise(self.enter(known) + self.shade(cond.qp, cond.level))
        x = requantise(self.mix(x))
        return requantise(self.leave(x))

    def index(self, trunk: jax.Array, symbols, cond: Cond, stage: int) -> jax.Array:
        """Returns the scale indices of a stage, float32 whole [B, h, w, C/4]."""
        known = jnp.concatenate([trunk, magnitude_code(symbols)], -1)
        x = requantise(self.stage_enter[stage](known))
        x = requantise(self.stage_mix[stage](x))
        sums = self.head[stage](x) + self.base(cond.qp, cond.level)
        return table_index(take_quarter(sums, stage))


class FloatScaleNet(nn.Module):
    """Whole numbers and float features in, scale indices out; sized as `ScaleNet`.

    Source: AVS-EEM v9.2, entropy model: scales from all priors.

    Attributes:
      channels: latent channels.
      width: hidden channels.
      levels: quality levels.
      initial_index: scale index per anchor and channel [9, C] before training.
    """

    channels: int
    width: int
    levels: int
    initial_index: np.ndarray

    def setup(self):
        self.enter, self.mix = nn.Dense(self.width), Depthwise()
        self.leave = nn.Dense(self.width)
        self.stage_enter = [nn.Dense(self.width) for _ in range(4)]
        self.stage_mix = [Depthwise() for _ in range(4)]
        self.head = [zero_dense(self.channels, None) for _ in range(4)]
        self.base = IntegerTable(self.channels, self.levels, self.initial_index)

    def trunk(self, known: jax.Array, features: jax.Array, cond: Cond) -> jax.Array:
        """Digests what is known before the first stage.

        Args:
          known: whole numbers in [-127, 127], [B, h, w, K].
          features: float features [B, h, w, F].
          cond: not used: the features know the quality.

        Returns:
          Float features [B, h, w, width].
        """
        del cond
        x = jnp.concatenate([known * _KNOWN_GAIN, features], -1)
        x = gated(self.enter(x))
        return self.leave(x + gated(self.mix(x)))

    def index(self, trunk: jax.Array, symbols, cond: Cond, stage: int) -> jax.Array:
        """Returns the scale indices of a stage, float32 whole [B, h, w, C/4]."""
        code = magnitude_code(symbols) * _KNOWN_GAIN
        x = gated(self.stage_enter[stage](jnp.concatenate([trunk, code], -1)))
        x = x + gated(self.stage_mix[stage](x))
        base = self.base(cond.qp, cond.level) * 2.0**-_INDEX_SHIFT
        value = _FLOAT_SLOPE * self.head[stage](x) + base
        return scale_index(take_quarter(value, stage))
