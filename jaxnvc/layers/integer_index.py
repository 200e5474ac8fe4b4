"""Scale indices: of hyper latents, from float networks, from whole numbers alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.entropy.cond import Cond
from jaxnvc.entropy.integer import (
    IntegerDense,
    IntegerDepthwise,
    IntegerTable,
    requantise,
)
from jaxnvc.entropy.prior import Prior
from jaxnvc.layers.latent import static_prior
from jaxnvc.layers.scales import scale_index, table_index

_SLOPE, _START = 4.0, 24.0


def float_index(raw: jax.Array) -> jax.Array:
    """Turns the output of a float network into scale indices, whole 0..63.

    A model that uses it is not portable: one rounding difference takes another table.
    """
    return scale_index(_SLOPE * raw + _START)


class StaticPrior(nn.Module):
    """A hyper latent's distribution: a scale per channel, qp and level.

    Attributes:
      channels: of the hyper latent.
      levels: quality levels.
    """

    channels: int
    levels: int

    def setup(self):
        start = jnp.full((9, self.channels), 14.0)
        self.base = IntegerTable(self.channels, self.levels, start)

    def __call__(self, shape: tuple[int, ...], cond: Cond) -> Prior:
        """Returns the distribution of z of `shape` [B, h64, w64, L]."""
        return static_prior(self.base(cond.qp, cond.level), shape)


class IntegerIndex(nn.Module):
    """Scale indices from transmitted whole numbers alone (portable models).

    Attributes:
      channels: of the latent.
      width: hidden channels.
      levels: quality levels.
    """

    channels: int
    width: int
    levels: int

    @nn.compact
    def __call__(self, known: jax.Array, cond: Cond) -> jax.Array:
        """Maps whole numbers in [-127, 127] to indices [..., channels]."""
        shade = IntegerTable(self.width, self.levels, name="shade")
        x = IntegerDense(self.width, name="enter")(known)
        x = requantise(x + shade(cond.qp, cond.level))
        x = requantise(IntegerDepthwise(name="mix")(x))
        start = jnp.full((9, self.channels), _START)
        base = IntegerTable(self.channels, self.levels, start, name="base")
        sums = IntegerDense(self.channels, zero=True, name="leave")(x)
        return table_index(sums + base(cond.qp, cond.level))
