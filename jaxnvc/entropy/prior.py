"""The distribution of a stage's symbols, for training and for the coder alike."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from jaxnvc.entropy.tables import (
    NUM_SCALES,
    NUM_SLOTS,
    TAIL_SHARE,
    TAIL_SIGMA,
    coder_table,
    ideal_bits_table,
)
from jaxnvc.ops.rounding import round_ste

LEAST_SIGMA = 0.11
_OCTAVES = 8.0
_LEAST_PROBABILITY = 2.0**-24
_ESCAPE_BITS = 30.0
_ESCAPED_MASS = 2.0**-13.7
_TAILED_ESCAPE_BITS = 28.4
# Of magnitudes from m on, where a row with a heavy tail ends at m.
_UNLISTED_TAIL = 1.5 / 2**13
_INVERSE_ROOT_TWO = 0.5**0.5


def sigma_of(index: jax.Array) -> jax.Array:
    """Returns the standard deviation of a scale index, 0.11 * 2**(8 index/63)."""
    return LEAST_SIGMA * jnp.exp2(index * (_OCTAVES / (NUM_SCALES - 1)))


def index_of(sigma: jax.Array) -> jax.Array:
    """Inverts `sigma_of`: a scale index that need not be whole."""
    return jnp.log2(sigma / LEAST_SIGMA) * ((NUM_SCALES - 1) / _OCTAVES)


def gaussian_bits(symbols: jax.Array, sigma: jax.Array) -> jax.Array:
    """Returns the code length in bits of whole symbols under N(0, sigma**2)."""
    mass = _gaussian_mass(jnp.abs(symbols), sigma)
    return -jnp.log2(jnp.maximum(mass, _LEAST_PROBABILITY))


def tailed_bits(symbols: jax.Array, sigma: jax.Array) -> jax.Array:
    """Returns what `gaussian_bits` does, under the mixture with a heavy tail."""
    magnitude = jnp.abs(symbols)
    gaussian = _gaussian_mass(magnitude, sigma)
    above, below = (_power_law(magnitude + edge, sigma) for edge in (0.5, -0.5))
    mass = gaussian + tail_share(sigma) * (0.5 * (above - below) - gaussian)
    return -jnp.log2(jnp.maximum(mass, _LEAST_PROBABILITY))


def _gaussian_mass(magnitude: jax.Array, sigma: jax.Array) -> jax.Array:
    """Returns the probability of one symbol of this magnitude under N(0, sigma**2)."""
    root = sigma * jnp.sqrt(2.0)
    upper = lax.erfc((magnitude - 0.5) / root)
    lower = lax.erfc((magnitude + 0.5) / root)
    return 0.5 * (upper - lower)


def tail_share(sigma: jax.Array) -> jax.Array:
    """Returns the share of the heavy tail, see `entropy.tables`."""
    return TAIL_SHARE * jnp.minimum(sigma / TAIL_SIGMA, 1.0) ** 4


def _power_law(edge: jax.Array, sigma: jax.Array) -> jax.Array:
    """Returns P(|r| < edge) of the heavy tail, odd in the edge."""
    return edge / (jnp.abs(edge) + 1 + sigma)


def code_bits(
    symbols: jax.Array, index: jax.Array, *, tailed: bool = False
) -> jax.Array:
    """Returns what the coder charges for whole symbols, in bits.

    The distribution's code length, and where the table lists no such magnitude, the
    escape slot's and a raw word.

    Args:
      symbols: whole numbers.
      index: their scale indices.
      tailed: takes the tables with a heavy tail, else the Gaussian ones.
    """
    table, row = coder_table(), index.astype(jnp.int32) + tailed * NUM_SCALES
    first_escaped = jnp.asarray(table.escape, jnp.float32)[row]
    escaped = jnp.abs(symbols) >= first_escaped
    if tailed:
        bits = tailed_bits(symbols, sigma_of(index))
        escape_bits = jnp.asarray(ideal_bits_table()[:, NUM_SLOTS - 1])[row]
    else:
        bits, escape_bits = gaussian_bits(symbols, sigma_of(index)), _ESCAPE_BITS
    return jnp.where(escaped, jnp.maximum(bits, escape_bits), bits)


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
    """Zero-mean distribution of each residual symbol, by scale index.

    Attributes:
      index: float32 whole numbers 0..63 [B, ...]; differentiable in training.
      skip: int32 [], symbols whose index is below it are zero and not coded.
      straight: passes gradients straight through zero symbols as well.
      tailed: a Gaussian with a heavy tail, else a plain one.
    """

    index: jax.Array
    skip: jax.Array
    straight: bool = struct.field(pytree_node=False, default=False)
    tailed: bool = struct.field(pytree_node=False, default=False)

    def active(self) -> jax.Array:
        """Returns which symbols are coded, bool."""
        return self.index >= self.skip

    def table(self) -> tuple[jax.Array, jax.Array]:
        """Returns what the coder needs: int32 row of its table and bool mask."""
        row = self.index.astype(jnp.int32) + self.tailed * NUM_SCALES
        return row, self.active()

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
            bits = code_bits(symbols, self.index, tailed=self.tailed)
            return jnp.where(self.active(), bits, 0.0)
        bits = code_bits(lax.stop_gradient(symbols), self.index, tailed=self.tailed)
        smooth = tailed_bits if self.tailed else gaussian_bits
        slope = smooth(value, lax.stop_gradient(sigma_of(self.index)))
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
        sigma = sigma_of(lax.stop_gradient(self.index))
        scale, share = _INVERSE_ROOT_TWO / sigma, tail_share(sigma)
        # Only where sigma is small: else the row ends where the table does.
        first = (1 + sigma) * (share / _UNLISTED_TAIL - 1) + 0.5

        def below(edge):
            gaussian = lax.erf(edge * scale)
            if not self.tailed:
                return gaussian
            return gaussian + share * (_power_law(edge, sigma) - gaussian)

        def cost(magnitude, mass):
            # The coder's code length, but for the few listed symbols rarer than this:
            # looking the table up costs more time than it saves bits.
            bits = -jnp.log2(mass)
            if self.tailed:
                bits = jnp.where(magnitude < first, bits, _TAILED_ESCAPE_BITS)
            else:
                bits = jnp.where(mass < _ESCAPED_MASS, _ESCAPE_BITS, bits)
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
