"""A latent coded in one pass: all scales at once, means that read no bits.

    whole numbers known --> indices of the whole latent --> one stage of symbols
    features, y_hat so far --> mean k --> quarter k of y_hat        (k = 0..3)

Where `layers.latent` alternates networks and entropy coder four times, here the
decoder reads every symbol of a unit in one go. Source: DCVC-UF, the streamlined
entropy model (section 2.4 of the sheet); whole-number scales are ours.
"""

from collections.abc import Callable

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
    requantise,
)
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.layers.latent import MeanNet
from jaxnvc.layers.quarters import NUM_QUARTERS, put_quarter, stage_mask, take_quarter
from jaxnvc.layers.scales import table_index


class OnePassScale(nn.Module):
    """Whole numbers in, the scale indices of a whole latent out.

    Attributes:
      channels: latent channels.
      width: hidden channels.
      initial_index: scale index per anchor and channel [9, C] before training.
      arithmetic: route of the products.
    """

    channels: int
    width: int
    initial_index: np.ndarray
    arithmetic: Arithmetic = Arithmetic.FLOAT32

    @nn.compact
    def __call__(self, known: jax.Array, cond: Cond) -> jax.Array:
        """Maps whole numbers in [-127, 127] to indices [B, h, w, C]."""

        def dense(features, name, zero=False):
            return IntegerDense(features, self.arithmetic, zero, name=name)

        def mix(name):
            return IntegerDepthwise(3, self.arithmetic, name=name)

        shade = IntegerTable(self.width, name="shade")(cond.qp, cond.level)
        x = requantise(dense(self.width, "enter")(known) + shade)
        x = requantise(mix("mix_in")(x))
        x = requantise(dense(self.width, "inner")(x))
        x = requantise(mix("mix_out")(x))
        base = IntegerTable(self.channels, 1, self.initial_index, name="base")
        sums = dense(self.channels, "leave", zero=True)(x) + base(cond.qp, cond.level)
        return table_index(sums)


class StreamlinedCoder(nn.Module):
    """Predicts and decodes one latent, its symbols being a single stage.

    Attributes:
      channels: latent channels, a multiple of four.
      mean_width: hidden channels of the mean networks.
      scale_width: hidden channels of the integer network.
      initial_index: scale indices [9, C] before training.
      arithmetic: route of the integer products.
    """

    channels: int
    mean_width: int
    scale_width: int
    initial_index: np.ndarray
    arithmetic: Arithmetic = Arithmetic.FLOAT32

    def setup(self):
        self.scale = OnePassScale(
            self.channels, self.scale_width, self.initial_index, self.arithmetic
        )
        self.mean = [
            MeanNet(self.channels, self.mean_width) for _ in range(NUM_QUARTERS)
        ]

    def prior(self, known: jax.Array, cond: Cond) -> Prior:
        """Returns the distribution of all symbols [B, h, w, C].

        Args:
          known: whole numbers in [-127, 127] [B, h, w, K], all transmitted before.
          cond: conditions.
        """
        return Prior(index=self.scale(known, cond), skip=cond.skip)

    def encode(self, y, prior: Prior, mu, step, features, rdo_weight):
        """Returns the symbols of a latent and y_hat.

        Each quarter is chosen after those before it. The symbols are whole already, so
        that the driver's quantiser leaves them as they are.

        Args:
          y: the latent to code [B, h, w, C].
          prior: as `prior` gives it.
          mu: first estimate of the latent.
          step: quantiser steps, broadcastable to it.
          features: float features [B, h, w, F].
          rdo_weight: of `Residual`, broadcastable to the latent.
        """
        fixed, weight = (
            jax.lax.stop_gradient(step),
            jnp.broadcast_to(rdo_weight, y.shape),
        )

        def choose(mean, stage):
            quarter = prior.replace(index=take_quarter(prior.index, stage))
            value = take_quarter((y - mean) / fixed, stage)
            wanted = Residual(value, take_quarter(weight, stage))
            return put_quarter(quarter.quantise(wanted), stage)

        return self._walk(choose, mu, step, features)

    def decode(self, symbols, mu, step, features) -> jax.Array:
        """Returns y_hat of symbols [B, h, w, C]; see `encode`."""

        def given(mean, stage):
            return symbols * stage_mask(*symbols.shape[1:], stage)

        return self._walk(given, mu, step, features)[1]

    def _walk(self, choose: Callable, mu, step, features):
        """Goes through the quarters; returns their symbols and y_hat."""
        symbols, y_hat = jnp.zeros_like(mu), mu
        for stage in range(NUM_QUARTERS):
            mask = stage_mask(*mu.shape[1:], stage)
            mean = mu + self.mean[stage]((y_hat - mu) / step, features) * step
            chosen = choose(mean, stage)
            symbols = symbols + chosen
            y_hat = y_hat * (1 - mask) + (mean + chosen * step) * mask
        return symbols, y_hat
