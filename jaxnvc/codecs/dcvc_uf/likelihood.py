"""The code lengths that the published models were trained with.

They differ from `Prior.bits` in two ways: the residual may be any real number (with
noise added, where training simulates rounding), and scales are not those of a table.

Source: DCVC-UF, training likelihoods.
"""

import jax
import jax.numpy as jnp

from jaxnvc.entropy.prior import LEAST_SIGMA
from jaxnvc.ops.rounding import clip_ste

_LEAST_PROBABILITY = 1e-6


def bits_of(probability: jax.Array) -> jax.Array:
    """Returns -log2 of a probability, which counts as at least 1e-6."""
    bounded = clip_ste(probability, _LEAST_PROBABILITY, jnp.inf)
    return clip_ste(-jnp.log2(bounded), 0.0, jnp.inf)


def bits_y(residual: jax.Array, scales: jax.Array) -> jax.Array:
    """Returns the code length of each y - mu under N(0, scale^2), in bits.

    Args:
      residual: y - mu in steps, rounded or with noise added.
      scales: standard deviations as the network gives them; below 0.11 they count
        as 0.11.
    """
    root = clip_ste(scales, LEAST_SIGMA, jnp.inf) * jnp.sqrt(2.0)
    magnitude = jnp.abs(residual)
    upper = jax.lax.erfc((magnitude - 0.5) / root)
    lower = jax.lax.erfc((magnitude + 0.5) / root)
    return bits_of(0.5 * (upper - lower))
