"""Chunks to latents and back: the DCT in space, and a transform over the frames.

Frames of a chunk drift away from the picture before it like a random walk: the
difference of frame i has a variance that grows with i. The transform over time
starts as the Karhunen-Loeve transform of that walk, with each frame scaled by the
root of its weight: then white noise of the quantiser is weighted noise of the frames.
Without weights it is the DST-VII that video coders use beside a known border.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.layers.quarters import NUM_QUARTERS
from jaxnvc.layers.transform import CellTransform
from jaxnvc.ops.dct import CELL_CHANNELS

_GROUP = CELL_CHANNELS // NUM_QUARTERS


def walk_transform(weights: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """Returns the transform over the frames of a chunk.

    Args:
      weights: of the frames' distortion, N of them.

    Returns:
      Analysis [frame, band], synthesis [band, frame], and the deviation of each band
      where the walk's steps have deviation 1 [band], falling.
    """
    scale = np.sqrt(np.array(weights))
    order = np.arange(1, len(weights) + 1)
    walk = np.minimum(order[:, None], order[None]) * np.outer(scale, scale)
    variance, basis = np.linalg.eigh(walk)
    variance, basis = variance[::-1], basis[:, ::-1]
    basis = basis * np.where(basis.sum(0) < 0, -1, 1)
    return basis * scale[:, None], (basis / scale[:, None]).T, np.sqrt(variance)


def per_band(values: np.ndarray) -> np.ndarray:
    """Orders values [..., band, 96] as the channels of a latent, [..., 96 N].

    Each quarter of the channels holds all bands of a quarter of the frequencies.
    """
    *lead, bands, _ = values.shape
    values = values.reshape(*lead, bands, NUM_QUARTERS, _GROUP)
    return np.swapaxes(values, -3, -2).reshape(*lead, -1)


class ChunkTransform(nn.Module):
    """Packed chunks to latents at 1/8 resolution, and back; linear.

    Attributes:
      weights: of the frames' distortion, N of them.
    """

    weights: tuple[float, ...]

    def setup(self):
        analysis, synthesis, _ = walk_transform(self.weights)
        self.cells = CellTransform()
        self.analysis = self.param("analysis", lambda _: jnp.float32(analysis))
        self.synthesis = self.param("synthesis", lambda _: jnp.float32(synthesis))

    def picture(self, x: jax.Array) -> jax.Array:
        """Maps one frame [B, H/2, W/2, 6] to its coefficients [B, h8, w8, 96]."""
        return self.cells.forward(x)

    def still(self, coefficients: jax.Array) -> jax.Array:
        """Returns the latent of a chunk whose every frame is the same picture."""
        bands = self.analysis.sum(0)
        return _joined(jnp.einsum("bhwgc,k->bhwgkc", _split(coefficients), bands))

    def forward(self, x: jax.Array) -> jax.Array:
        """Maps a chunk [B, N, H/2, W/2, 6] to its latent [B, h8, w8, 96 N]."""
        groups = _split(self.cells.forward(x))
        return _joined(jnp.einsum("bnhwgc,nk->bhwgkc", groups, self.analysis))

    def frames(self, y: jax.Array) -> jax.Array:
        """Maps a latent to the coefficients of its frames [B, N, h8, w8, 96]."""
        groups = y.reshape(*y.shape[:3], NUM_QUARTERS, len(self.weights), _GROUP)
        cells = jnp.einsum("bhwgkc,kn->bnhwgc", groups, self.synthesis)
        return cells.reshape(*cells.shape[:4], CELL_CHANNELS)

    def inverse(self, frames: jax.Array) -> jax.Array:
        """Maps coefficients of frames to a chunk, not clipped."""
        return self.cells.inverse(frames)


def _split(cells: jax.Array) -> jax.Array:
    return cells.reshape(*cells.shape[:-1], NUM_QUARTERS, _GROUP)


def _joined(groups: jax.Array) -> jax.Array:
    return groups.reshape(*groups.shape[:3], -1)
