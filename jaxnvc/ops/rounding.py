"""Rounding with the gradient of the identity."""

import jax
import jax.numpy as jnp


def round_ste(x: jax.Array) -> jax.Array:
    """Rounds half up (floor(x + 1/2)); backward passes the gradient through.

    Half up, not half to even: floor and one addition give the same integer in
    every arithmetic this package uses, integer shifts included.
    """
    return x + jax.lax.stop_gradient(jnp.floor(x + 0.5) - x)


def clip_ste(x: jax.Array, low, high) -> jax.Array:
    """Clips; the gradient passes where it points back into the range."""
    return _clip_ste(x, jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype))


@jax.custom_vjp
def _clip_ste(x, low, high):
    return jnp.clip(x, low, high)


def _clip_fwd(x, low, high):
    return jnp.clip(x, low, high), (x, low, high)


def _clip_bwd(residuals, cotangent):
    x, low, high = residuals
    blocked = ((x < low) & (cotangent > 0)) | ((x > high) & (cotangent < 0))
    return jnp.where(blocked, 0, cotangent), None, None


_clip_ste.defvjp(_clip_fwd, _clip_bwd)
