"""Motion of the lite preset: estimation, latent, compensation.

The motion field has one vector per 8x8 cell. Its latent is the orthonormal 2x2
Haar transform at 1/16 resolution: channels (average x, y), (horizontal detail
x, y), (vertical), (diagonal), so that the averages of four cells form the first
coding group. Source: AVS-EEM v9.2, motion branch; the Haar form is ours.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs.protocol import Cond
from jaxnvc.layers.blocks import DepthConvBlock, zero_dense
from jaxnvc.layers.transform import luma_step
from jaxnvc.ops import frame
from jaxnvc.ops.motion_search import refine, search
from jaxnvc.ops.overlap import compensate_overlapped
from jaxnvc.ops.spatial import (
    depth_to_space,
    mean_pool,
    resize_bilinear,
    space_to_depth,
)
from jaxnvc.ops.warp import warp_bicubic, warp_bilinear

MOTION_CHANNELS = 8
_HAAR = 0.5 * np.array(
    [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], np.float32
)
_SMOOTHNESS = 0.006


def motion_latent(flow: jax.Array) -> jax.Array:
    """Maps vectors [B, h8, w8, 2] to their latent [B, h16, w16, 8]."""
    cells = space_to_depth(flow, 2)
    batch, height, width, _ = cells.shape
    cells = cells.reshape(batch, height, width, 4, 2)
    latent = jnp.einsum("kp,bhwpc->bhwkc", _HAAR, cells)
    return latent.reshape(batch, height, width, MOTION_CHANNELS)


def motion_field(latent: jax.Array) -> jax.Array:
    """Inverts `motion_latent`."""
    batch, height, width, _ = latent.shape
    latent = latent.reshape(batch, height, width, 4, 2)
    cells = jnp.einsum("kp,bhwkc->bhwpc", _HAAR, latent)
    return depth_to_space(cells.reshape(batch, height, width, MOTION_CHANNELS), 2)


def luma_8bit(x: jax.Array) -> jax.Array:
    """Returns the luma of packed frames [B, H/2, W/2, 6], [B, H, W] in 8-bit units."""
    return frame.luma(x)[..., 0] * 255


def estimate(x: jax.Array, x_previous: jax.Array, cond: Cond) -> jax.Array:
    """Estimates motion between source frames, in the original domain.

    Args:
      x: luma of the source frame [B, H, W] in 8-bit units.
      x_previous: of its source predecessor (never of a decoded frame).
      cond: the smoothness of the field follows qp.

    Returns:
      Vectors [B, H/8, W/8, 2] in luma samples, without gradient.
    """
    return jax.lax.stop_gradient(search(x, x_previous, _smoothness(cond)))


def adjust(motion: jax.Array, x: jax.Array, x_hat: jax.Array, cond: Cond) -> jax.Array:
    """Adjusts the motion to the decoded picture that it is going to move.

    Args:
      motion: latent of the estimated vectors [B, H/16, W/16, 8].
      x: luma of the source frame [B, H, W] in 8-bit units.
      x_hat: packed reference [B, H/2, W/2, 6].
      cond: as of `estimate`.

    Returns:
      The latent of better vectors, without gradient.
    """
    flow = refine(x, luma_8bit(x_hat), motion_field(motion), _smoothness(cond))
    return jax.lax.stop_gradient(motion_latent(flow))


def _smoothness(cond: Cond) -> jax.Array:
    steps = jnp.asarray(luma_step(np.arange(64)), jnp.float32)[cond.qp]
    return _SMOOTHNESS * steps


def texture(x: jax.Array) -> jax.Array:
    """Tells how much an error of the motion costs: by the picture's gradient.

    Args:
      x: luma of the source frame [B, H, W] in 8-bit units.

    Returns:
      [B, H/16, W/16, 8]: to first order, the sum of squared errors of luma samples
      in [0, 1] that an error of one in this coefficient of the motion latent makes.
    """
    slopes = [jnp.gradient(x / 255, axis=axis) ** 2 for axis in (2, 1)]
    energy = mean_pool(jnp.stack(slopes, -1), 16)
    # A coefficient moves 256 samples by half of itself.
    return jnp.tile(64.0 * energy, MOTION_CHANNELS // 2)


def compensate(x_hat: jax.Array, flow: jax.Array, *, overlapped: bool) -> jax.Array:
    """Predicts a packed frame from the reference picture.

    Args:
      x_hat: packed reference [B, H/2, W/2, 6].
      flow: vectors [B, H/8, W/8, 2] in luma samples.
      overlapped: moves each cell's block by its vector and blends the blocks; else
        blends the vectors linearly between cells and moves every sample by its own.

    Returns:
      The packed prediction.
    """
    move = compensate_overlapped if overlapped else _compensate_blended
    luma = move(frame.luma(x_hat), flow)
    chroma = move(x_hat[..., 4:], flow * 0.5)
    return jnp.concatenate([space_to_depth(luma, 2), chroma], -1)


def _compensate_blended(x: jax.Array, flow: jax.Array) -> jax.Array:
    cell = x.shape[1] // flow.shape[1]
    return warp_bicubic(x, resize_bilinear(flow, cell))


def align(memory: jax.Array, flow: jax.Array) -> jax.Array:
    """Moves the propagated feature [B, h8, w8, C] along the motion."""
    return warp_bilinear(memory, flow * 0.125)


class MotionEncoder(nn.Module):
    """Adjusts the searched motion by content; starts as the identity.

    Source: AVS-EEM v9.2, content- and motion-feature-assisted motion encoder.

    Attributes:
      width: hidden channels.
    """

    width: int

    @nn.compact
    def __call__(self, motion, x, features, step) -> jax.Array:
        """Returns the latent to code.

        Args:
          motion: latent of the searched vectors [B, h16, w16, 8].
          x: transform of the source frame, scaled [B, h8, w8, 96].
          features: temporal motion features [B, h16, w16, width].
          step: quantiser steps [B, 1, 1, 8].
        """
        inputs = jnp.concatenate([motion / step, mean_pool(x, 2), features], -1)
        hidden = DepthConvBlock()(nn.Dense(self.width)(inputs))
        return motion + zero_dense(MOTION_CHANNELS, "out")(hidden) * step


class MotionFeatures(nn.Module):
    """Float features of the decoded buffer that help to predict motion.

    Attributes:
      width: channels.
    """

    width: int

    @nn.compact
    def __call__(self, memory: jax.Array, motion: jax.Array) -> jax.Array:
        """Maps memory [B, h8, w8, M] and motion [B, h16, w16, 8] to [.., width]."""
        inputs = jnp.concatenate([mean_pool(memory, 2), 0.25 * motion], -1)
        return DepthConvBlock()(nn.Dense(self.width)(inputs))


def initial_motion_log_step() -> np.ndarray:
    """Returns log steps [9, 8]: averages to 1/2 sample at qp 0, 1/10 at qp 63."""
    steps = 2.0 * 0.5 * 2.0 ** (-np.log2(5.0) * np.arange(9) / 8)
    factor = np.array([1.0, 1.0] + [1.5] * 6)
    return np.log(steps[:, None] * factor).astype(np.float32)


def initial_motion_index() -> np.ndarray:
    """Returns scale indices [9, 8] for vectors that vary by about a sample."""
    deviation = np.array([1.5, 1.5] + [0.3] * 6)
    index = 63 / 8 * np.log2(deviation / np.exp(initial_motion_log_step()) / 0.11)
    return np.clip(index, 0, 50).astype(np.float32)
