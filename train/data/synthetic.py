"""Synthetic motion over stills: pan, zoom, rotation, brightness change."""

import numpy as np

from train.data.clips import Clip


def moving_window(
    still: Clip, frames: int, crop: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Makes a window of a virtual camera moving over a still.

    Args:
      still: one frame, larger than the crop.
      frames: window length T.
      crop: luma side.
      rng: source of the camera's path.

    Returns:
      y uint8 [T, crop, crop] and uv uint8 [T, crop/2, crop/2, 2].
    """
    height, width = still.y.shape[1:]
    centre = np.array([rng.uniform(0.3, 0.7) * height, rng.uniform(0.3, 0.7) * width])
    velocity = rng.normal(0, 2.0, 2)
    zoom = rng.uniform(0.7, 1.2)
    zoom_rate = rng.normal(0, 0.006)
    angle, angle_rate = rng.normal(0, 0.1), rng.normal(0, 0.004)
    gain_rate = rng.normal(0, 0.01) * (rng.random() < 0.3)
    y, uv = [], []
    for t in range(frames):
        scale = zoom * (1 + zoom_rate * t)
        matrix = scale * _rotation(angle + angle_rate * t)
        at = centre + velocity * t
        gain = 1 + gain_rate * t
        y.append(_sample(still.y[0][..., None], at, matrix, crop, gain)[..., 0])
        uv.append(_sample(still.uv[0], at / 2, matrix, crop // 2, 1.0))
    return np.stack(y), np.stack(uv)


def _rotation(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _sample(image, centre, matrix, side: int, gain: float) -> np.ndarray:
    """Samples a side x side window of [H, W, C] bilinearly, mirrored outside."""
    grid = np.mgrid[0:side, 0:side].reshape(2, -1) - (side - 1) / 2
    rows, columns = matrix @ grid + centre[:, None]
    height, width = image.shape[:2]
    rows, columns = _mirror(rows, height - 1), _mirror(columns, width - 1)
    top = np.minimum(rows.astype(np.int32), height - 2)
    left = np.minimum(columns.astype(np.int32), width - 2)
    fy, fx = (rows - top)[:, None], (columns - left)[:, None]
    value = (
        image[top, left] * (1 - fy) * (1 - fx)
        + image[top, left + 1] * (1 - fy) * fx
        + image[top + 1, left] * fy * (1 - fx)
        + image[top + 1, left + 1] * fy * fx
    )
    value = np.clip(value * gain + 0.5, 0, 255).astype(np.uint8)
    return value.reshape(side, side, -1)


def _mirror(position: np.ndarray, limit: float) -> np.ndarray:
    folded = np.abs(position) % (2 * limit)
    return limit - np.abs(folded - limit)
