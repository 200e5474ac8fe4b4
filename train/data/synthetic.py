"""Synthetic motion over stills: a virtual camera, and what happens before it.

The camera pans, zooms and rotates. At random another part of the picture passes in
front and hides it, the exposure drifts or pulses, the picture fades towards grey or
comes out of focus. Source of the list: DHVC 2.0's robustness patterns, and occlusion.
"""

import dataclasses

import numpy as np

from train.data.clips import Clip

_GREY = 128.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effects:
    """What happens to a window of T frames besides the camera's motion.

    Attributes:
      gain: factor of luma [T].
      fade: share of grey [T], 0 for none.
      blur: share of a 5x5 mean [T], 0 for sharp.
      occluder: side of the square in front, in luma samples, even; 0 for none.
    """

    gain: np.ndarray
    fade: np.ndarray
    blur: np.ndarray
    occluder: int = 0

    @classmethod
    def none(cls, frames: int) -> "Effects":
        """Returns the effects that change nothing."""
        return cls(gain=np.ones(frames), fade=np.zeros(frames), blur=np.zeros(frames))

    @classmethod
    def drawn(cls, frames: int, crop: int, rng: np.random.Generator) -> "Effects":
        """Draws at most one change of light, and an occluder now and then."""
        t = np.arange(frames)
        effects = cls.none(frames)
        kind, rate = rng.integers(10), rng.uniform(0.005, 0.04)
        ramp = np.clip(rate * (t - rng.integers(frames)), 0, 1)
        if kind < 2:
            gain = 1 + rng.choice([-0.25, 0.25]) * rate * t
            effects = dataclasses.replace(effects, gain=gain)
        elif kind == 2:
            pulse = np.where(t == rng.integers(frames), rng.uniform(0.6, 1.5), 1.0)
            effects = dataclasses.replace(effects, gain=pulse)
        elif kind == 3:
            effects = dataclasses.replace(effects, fade=ramp)
        elif kind == 4:
            effects = dataclasses.replace(effects, blur=np.clip(4 * ramp, 0, 1))
        if rng.random() < 0.25:
            side = int(rng.integers(crop // 8, crop // 2)) // 2 * 2
            effects = dataclasses.replace(effects, occluder=side)
        return effects


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Camera:
    """A path over a picture, times counted in frames."""

    centre: np.ndarray
    velocity: np.ndarray
    zoom: float
    zoom_rate: float
    angle: float
    angle_rate: float

    @classmethod
    def drawn(cls, height: int, width: int, rng: np.random.Generator) -> "_Camera":
        return cls(
            centre=np.array(
                [rng.uniform(0.3, 0.7) * height, rng.uniform(0.3, 0.7) * width]
            ),
            velocity=rng.normal(0, 2.0, 2),
            zoom=rng.uniform(0.7, 1.2),
            zoom_rate=rng.normal(0, 0.006),
            angle=rng.normal(0, 0.1),
            angle_rate=rng.normal(0, 0.004),
        )

    def view(self, still: Clip, t: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns luma [side, side, 1] and chroma [side/2, side/2, 2] at a time."""
        scale = self.zoom * (1 + self.zoom_rate * t)
        matrix = scale * _rotation(self.angle + self.angle_rate * t)
        at = self.centre + self.velocity * t
        return (
            _sample(still.y[0][..., None], at, matrix, side),
            _sample(still.uv[0], at / 2, matrix, side // 2),
        )


def moving_window(
    still: Clip, frames: int, crop: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Makes a window of a virtual camera moving over a still.

    Args:
      still: one frame, larger than the crop.
      frames: window length T.
      crop: luma side, even.
      rng: source of the camera's path and of the effects.

    Returns:
      y uint8 [T, crop, crop] and uv uint8 [T, crop/2, crop/2, 2].
    """
    height, width = still.y.shape[1:]
    camera = _Camera.drawn(height, width, rng)
    effects = Effects.drawn(frames, crop, rng)
    views = [camera.view(still, t, crop) for t in range(frames)]
    if effects.occluder:
        front = _Camera.drawn(height, width, rng)
        corner = rng.uniform(0, crop - effects.occluder, 2)
        passing = rng.normal(0, 4.0, 2)
        for t, view in enumerate(views):
            patch = front.view(still, 0, effects.occluder)
            _paste(view, patch, corner + passing * t)
    return with_effects(views, effects)


def with_effects(views, effects: Effects) -> tuple[np.ndarray, np.ndarray]:
    """Applies changes of light and focus to views (luma, chroma), and rounds.

    Returns:
      y uint8 [T, H, W] and uv uint8 [T, H/2, W/2, 2].
    """
    planes = ([], [])
    for t, view in enumerate(views):
        for plane, into, gain in zip(view, planes, (effects.gain[t], 1.0), strict=True):
            value = plane + effects.blur[t] * (_mean5(plane) - plane)
            value = value * gain + effects.fade[t] * (_GREY - value * gain)
            into.append(np.clip(value + 0.5, 0, 255).astype(np.uint8))
    return np.stack(planes[0])[..., 0], np.stack(planes[1])


def _mean5(plane: np.ndarray) -> np.ndarray:
    """Averages 5x5 neighbours of [H, W, C], edges replicated."""
    height, width = plane.shape[:2]
    padded = np.pad(plane, ((2, 2), (2, 2), (0, 0)), mode="edge")
    rows = sum(padded[i : i + height] for i in range(5))
    return sum(rows[:, j : j + width] for j in range(5)) / 25


def _paste(view, patch, corner: np.ndarray) -> None:
    """Puts a patch (luma, chroma) over a view, at an even corner, as far as it fits."""
    top, left = (int(side) // 2 for side in corner)
    for plane, part, scale in zip(view, patch, (2, 1), strict=True):
        first = np.array([top, left]) * scale
        begin = np.clip(first, 0, plane.shape[:2])
        end = np.clip(first + part.shape[:2], 0, plane.shape[:2])
        inside = tuple(slice(*pair) for pair in zip(begin, end, strict=True))
        taken = tuple(
            slice(*pair) for pair in zip(begin - first, end - first, strict=True)
        )
        plane[inside] = part[taken]


def _rotation(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _sample(image, centre, matrix, side: int) -> np.ndarray:
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
    return value.reshape(side, side, -1)


def _mirror(position: np.ndarray, limit: float) -> np.ndarray:
    folded = np.abs(position) % (2 * limit)
    return limit - np.abs(folded - limit)
