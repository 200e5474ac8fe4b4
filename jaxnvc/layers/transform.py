"""Learned block transforms that start as the orthonormal DCT."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.ops.dct import cell_transform, channel_frequencies
from jaxnvc.ops.spatial import depth_to_space, space_to_depth

CELL_BLOCK = 4
_MID_GREY = 0.5
_CHROMA_STEP = 1.22


class CellTransform(nn.Module):
    """Packed frames to cell coefficients at 1/8 resolution, and back.

    A linear map per 8x8 luma cell, initialised as `ops.dct.cell_transform`, so
    that an untrained codec is a working transform codec.
    """

    def setup(self):
        self.analysis = self.param("analysis", lambda _: jnp.asarray(cell_transform()))
        self.synthesis = self.param(
            "synthesis", lambda _: jnp.asarray(cell_transform().T)
        )

    def forward(self, x: jax.Array) -> jax.Array:
        """Maps frames [B, H/2, W/2, 6] to coefficients [B, H/8, W/8, 96]."""
        return space_to_depth(x - _MID_GREY, CELL_BLOCK) @ self.analysis

    def inverse(self, y: jax.Array) -> jax.Array:
        """Maps coefficients to frames, not clipped."""
        return depth_to_space(y @ self.synthesis, CELL_BLOCK) + _MID_GREY


def frequency_radius() -> np.ndarray:
    """Returns the radial frequency of each cell channel, [96], 0 is DC."""
    return np.hypot(*channel_frequencies()[:, 1:].T)


def is_chroma() -> np.ndarray:
    """Returns which cell channels are chroma, [96] bool."""
    return channel_frequencies()[:, 0] > 0


def input_gain() -> np.ndarray:
    """Returns factors [1, 1, 1, 96] that bring coefficients to like variance."""
    factors = 0.6 * (1 + frequency_radius()) ** 1.7
    return factors.astype(np.float32)[None, None, None]


def luma_step(qp: np.ndarray) -> np.ndarray:
    """Returns the initial quantiser step in 8-bit sample units: 96 down to 4."""
    return 96.0 * 2.0 ** (-np.log2(24.0) * np.asarray(qp) / 63)


def log_fineness() -> np.ndarray:
    """Returns log factors [9 anchors, 1] by which a latent grows with qp, 0 at 32."""
    steps = luma_step(np.arange(9) * 8)
    return np.log(luma_step(np.array(32)) / steps)[:, None].astype(np.float32)


def initial_log_step(chroma_weight: float = 1.0) -> np.ndarray:
    """Returns log quantiser steps [9 anchors, 96] of samples in [0, 1].

    Chroma steps are larger at a weight of 1, because 4:2:0 chroma then carries 1/128
    of the distortion per coefficient where luma carries 3/256 (6:1:1 weighting).

    Args:
      chroma_weight: of a chroma plane's squared error where luma's is 6.
    """
    log_step = np.log(luma_step(np.arange(9) * 8) / 255)[:, None]
    factor = np.where(is_chroma(), _CHROMA_STEP / chroma_weight**0.5, 1.0)
    return (log_step + np.log(factor)).astype(np.float32)


def initial_index(deviation: np.ndarray, chroma_weight: float = 1.0) -> np.ndarray:
    """Returns scale indices [9, 96] for coefficient deviations in 8-bit units.

    Args:
      deviation: standard deviations [96].
      chroma_weight: see `initial_log_step`.
    """
    steps = 255 * np.exp(initial_log_step(chroma_weight))
    index = 63 / 8 * np.log2(np.maximum(deviation / steps, 1e-6) / 0.11)
    return np.clip(index, 0, 60).astype(np.float32)
