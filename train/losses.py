"""Rate and distortion of a window of frames.

J = bits per luma pixel + lam(qp) * w * D, with D = (6 MSE_Y + c MSE_U + c MSE_V) / 8
on samples in [0, 1]; c is the codec's. The step size that minimises J at high rate is
known (step**2 = 7.5 / (0.75 lam)), which ties lam to the initial quantiser steps.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs.protocol import NUM_QP
from jaxnvc.layers.transform import luma_step

_STEP_LAM = 10.0
# Frames of a group of four by quality level, see `jaxnvc.coding.gop.level_of`.
LEVELS = ("key", "middle", "odd")


def lam_table() -> np.ndarray:
    """Returns lam per qp [64] for distortion on samples in [0, 1], log-spaced."""
    return (_STEP_LAM / (luma_step(np.arange(NUM_QP)) / 255) ** 2).astype(np.float32)


def distortion(x_hat: jax.Array, x: jax.Array, weights=(6.0, 1.0, 1.0)) -> jax.Array:
    """Returns the weighted error of each frame.

    Args:
      x_hat: packed frames [..., h, w, 6].
      x: what they should be.
      weights: eighths by which the mean squared errors of Y, U and V count.
    """
    error = ((x_hat - x) ** 2).mean((-3, -2))
    planes = error[..., :4].mean(-1), error[..., 4], error[..., 5]
    return sum(w * plane for w, plane in zip(weights, planes, strict=True)) / 8


def relative_cost(cost: jax.Array, floor: float = 0.02) -> jax.Array:
    """Scales J to a relative cost: the gradient is that of log J.

    Rates of a variable-rate model span a factor of 100; in relative terms every
    qp and every clip counts alike, as it does in a BD-rate.
    """
    return cost / jnp.maximum(jax.lax.stop_gradient(cost), floor)


def psnr_by_level(mse: jax.Array, levels: jax.Array) -> dict[str, jax.Array]:
    """Averages PSNR over the units of each quality level; NaN where there is none.

    Args:
      mse: of units [L, B].
      levels: int [L], of `LEVELS`.
    """
    psnr = psnr_db(mse).mean(-1)
    return {
        f"psnr_{name}": jnp.where(levels == level, psnr, 0).sum()
        / (levels == level).sum()
        for level, name in enumerate(LEVELS)
    }


def psnr_db(mse: jax.Array) -> jax.Array:
    """Returns PSNR in dB of mean squared errors on samples in [0, 1]."""
    return -10 * jnp.log10(jnp.maximum(mse, 1e-10))
