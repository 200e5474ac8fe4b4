"""The learned distribution of the hyper latent, one per qp and channel.

    F(x) = sigmoid of four layers  x <- x softplus(h) + b,  x <- x + tanh(x) tanh(a)

Training charges -log2 (F(z + 1/2) - F(z - 1/2)). The coder, whose tables are those of
zero-mean Gaussians, takes for each channel the whole number nearest to its mean as
centre and the table that codes it in the fewest bits.

Source: DCVC-UF, entropy model of z. The published coder quantises each of the 8,192
distributions to a table of its own instead.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxnvc.codecs.dcvc_uf.likelihood import bits_of
from jaxnvc.entropy.cond import NUM_QP, Cond
from jaxnvc.entropy.prior import Prior
from jaxnvc.entropy.tables import NUM_SLOTS, gaussian_table, ideal_bits_table

_LAYERS = 4
_REACH = NUM_SLOTS - 1


class Curves(struct.PyTreeNode):
    """The distribution functions of one qp per clip: [B, 1, 1, C, 4], a with 3."""

    h: jax.Array
    b: jax.Array
    a: jax.Array

    def below(self, x: jax.Array) -> jax.Array:
        """Returns P(z < x) for x [B, h, w, C]."""
        for i in range(_LAYERS):
            x = x * jax.nn.softplus(self.h[..., i]) + self.b[..., i]
            if i < _LAYERS - 1:
                x = x + jnp.tanh(x) * jnp.tanh(self.a[..., i])
        return jax.nn.sigmoid(x)

    def probability(self, z: jax.Array) -> jax.Array:
        """Returns the probability of z [B, h, w, C], whole or not."""
        return self.below(z + 0.5) - self.below(z - 0.5)


class FactorisedPrior(Prior):
    """The distribution of z - centre; its index is the nearest table's.

    Attributes:
      centre: whole numbers [B, 1, 1, C].
      curves: the learned distributions, which training is charged by.
    """

    centre: jax.Array | None = None
    curves: Curves | None = None

    def bits(self, symbols: jax.Array, value: jax.Array | None = None) -> jax.Array:
        """Returns the code length of each symbol in bits, as learned.

        The curves have a slope at whole numbers, so that `value` is not needed.
        """
        return bits_of(self.curves.probability(symbols + self.centre))


class FactorisedModel(nn.Module):
    """The learned distributions of all qp.

    Attributes:
      channels: of z.
    """

    channels: int

    def setup(self):
        init = nn.initializers.normal(0.01)
        shape = (NUM_QP, self.channels)
        self.h = self.param("h", init, (*shape, _LAYERS))
        self.b = self.param("b", init, (*shape, _LAYERS))
        self.a = self.param("a", init, (*shape, _LAYERS - 1))

    def curves(self, qp: jax.Array) -> Curves:
        """Returns the distribution functions at qp int32 [B]."""
        rows = (table[qp][:, None, None] for table in (self.h, self.b, self.a))
        return Curves(*rows)

    def prior(self, shape: tuple[int, ...], cond: Cond) -> FactorisedPrior:
        """Returns the distribution of z symbols of `shape` [B, h64, w64, C]."""
        curves = self.curves(cond.qp)
        centre, index = jax.lax.stop_gradient(nearest_tables(curves))
        return FactorisedPrior(
            index=jnp.broadcast_to(index, shape),
            skip=jnp.int32(0),
            straight=True,
            centre=centre,
            curves=curves,
        )


def nearest_tables(curves: Curves) -> tuple[jax.Array, jax.Array]:
    """Returns centre and scale index of each channel, float32 whole [B, 1, 1, C]."""
    offsets = jnp.arange(-_REACH, _REACH + 1, dtype=jnp.float32)
    offsets = offsets.reshape(1, -1, 1, 1)
    mean = jnp.sum(curves.probability(offsets) * offsets, 1, keepdims=True)
    centre = jnp.round(mean)
    probability = curves.probability(centre + offsets)
    magnitude = jnp.abs(offsets).astype(jnp.int32).reshape(-1)
    lengths = jnp.asarray(ideal_bits_table(gaussian_table()))[:, magnitude]
    expected = jnp.einsum(
        "bkxc,sk->bxcs", probability, lengths, precision=jax.lax.Precision.HIGHEST
    )
    index = jnp.argmin(expected, -1).astype(jnp.float32)
    return centre, index[:, None]
