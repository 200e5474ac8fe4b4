"""The distribution of a stage's symbols, for training and for the coder alike."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from jaxnvc.entropy.tables import NUM_SCALES, gaussian_table
from jaxnvc.ops.rounding import round_ste

LEAST_SIGMA = 0.11
_OCTAVES = 8.0
_LEAST_PROBABILITY = 2.0**-24
_ESCAPE_BITS = 30.0
_ESCAPED_MASS = 2.0**-13.7
_INVERSE_ROOT_TWO = 0.5**0.5


def sigma_of(index: jax.Array) -> jax.Array:
    """Returns the standard deviation of a scale index, 0.11 * 2**(8 index/63)."""
    return LEAST_SIGMA * jnp.exp2(index * (_OCTAVES / (NUM_SCALES - 1)))


def index_of(sigma: jax.Array) -> jax.Array:
    """Inverts `sigma_of`: a scale index that need not be whole."""
    return jnp.log2(sigma / LEAST_SIGMA) * ((NUM_SCALES - 1) / _OCTAVES)


def gaussian_bits(symbols: jax.Array, sigma: jax.Array) -> jax.Array:
    """Returns the code length in bits of whole symbols under N(0, sigma**2)."""
    magnitude = jnp.abs(symbols)
    root = sigma * jnp.sqrt(2.0)
    upper = lax.erfc((magnitude - 0.5) / root)
    lower = lax.erfc((magnitude + 0.5) / root)
    mass = 0.5 * (upper - lower)
    return -jnp.log2(jnp.maximum(mass, _LEAST_PROBABILITY))


def code_bits(symbols: jax.Array, index: jax.Array) -> jax.Array:
    """Returns what the coder charges for whole symbols, in bits.

    The Gaussian's code length, and where the table lists no such magnitude, the
    escape slot's and a raw word.
    """
    table = gaussian_table()
    first_escaped = jnp.asarray(table.escape, jnp.float32)[index.astype(jnp.int32)]
    bits = gaussian_bits(symbols, sigma_of(index))
    escaped = jnp.abs(symbols) >= first_escaped
    return jnp.where(escaped, jnp.maximum(bits, _ESCAPE_BITS), bits)


class Residual(struct.PyTreeNode):
    """What the encoder would like to send in a stage.

    Attributes:
      value: (y - mu) / step, float32 [B, ...].
      rdo_weight: cost in bits of a squared error of one step, broadcastable to
        `value`; the encoder trades it against the code length. None rounds to
        nearest.
      work: what is known of the unit, where the encoder now knows more of it than a
        decoder, so that `absorb` need not compute it again; None changes nothing.
    """

    value: jax.Array
    rdo_weight: jax.Array | None = None
    work: Any = None


class Prior(struct.PyTreeNode):
    """Zero-mean Gaussian of each residual symbol, by scale index.

    Attributes:
      index: float32 whole numbers 0..63 [B, ...]; differentiable in training.
      skip: int32 [], symbols whose index is below it are zero and not coded.
      straight: passes gradients straight through zero symbols as well.
    """

    index: jax.Array
    skip: jax.Array
    straight: bool = struct.field(pytree_node=False, default=False)

    def active(self) -> jax.Array:
        """Returns which symbols are coded, bool."""
        return self.index >= self.skip

    def table(self) -> tuple[jax.Array, jax.Array]:
        """Returns what the coder needs: int32 scale index and bool mask."""
        return self.index.astype(jnp.int32), self.active()

    def bits(self, symbols: jax.Array, value: jax.Array | None = None) -> jax.Array:
        """Returns the code length of each symbol in bits, 0 where skipped.

        Args:
          symbols: whole numbers, shaped as `index`.
          value: what they were before rounding; given, and where gradients pass
            straight through, the rate's gradient is that at `value`. At a symbol of
            zero it would have none, and a latent that sends nothing would drift until
            it does.
        """
        if value is None or not self.straight:
            return jnp.where(self.active(), code_bits(symbols, self.index), 0.0)
        bits = code_bits(lax.stop_gradient(symbols), self.index)
        slope = gaussian_bits(value, lax.stop_gradient(sigma_of(self.index)))
        # The difference is exactly zero, so that the length stays the coder's.
        bits = bits + (slope - lax.stop_gradient(slope))
        return jnp.where(self.active(), bits, 0.0)

    def quantise(self, residual: Residual) -> jax.Array:
        """Rounds to symbols, towards zero where that saves more than it costs.

        Args:
          residual: its value has the shape of `index`.

        Returns:
          float32 whole numbers. A symbol that is not zero has the gradient of
          `residual.value`; one that is zero stays zero under small changes, so it has
          none, and the decoded value then follows its mean.
        """
        value = residual.value
        near = lax.stop_gradient(round_ste(value))
        if residual.rdo_weight is not None:
            near = self._cheapest(lax.stop_gradient(residual), near)
        near = jnp.clip(jnp.where(self.active(), near, 0.0), -32767, 32767)
        moving = value if self.straight else jnp.where(near != 0, value, 0.0)
        # The difference is exactly zero, so that symbols stay whole.
        return near + (moving - lax.stop_gradient(moving))

    def _cheapest(self, residual: Residual, near: jax.Array) -> jax.Array:
        """Chooses among the nearest symbol, the next one towards zero, and zero."""
        value = jnp.abs(residual.value)
        m = jnp.abs(near)
        scale = _INVERSE_ROOT_TWO / sigma_of(lax.stop_gradient(self.index))

        def below(edge):
            return lax.erf(edge * scale)

        def cost(magnitude, mass):
            # The coder's code length, but for the few listed symbols rarer than this:
            # looking the table up costs more time than it saves bits.
            bits = jnp.where(mass < _ESCAPED_MASS, _ESCAPE_BITS, -jnp.log2(mass))
            return residual.rdo_weight * (value - magnitude) ** 2 + bits

        middle = below(m - 0.5)
        choices = [
            (m, 0.5 * (below(m + 0.5) - middle)),
            (m - 1, 0.5 * (middle - below(m - 1.5))),
            (jnp.zeros_like(m), below(0.5)),
        ]
        best, least = m, cost(*choices[0])
        for magnitude, mass in choices[1:]:
            other = cost(magnitude, mass)
            best = jnp.where(other < least, magnitude, best)
            least = jnp.minimum(other, least)
        return jnp.where(residual.value < 0, -best, best)
