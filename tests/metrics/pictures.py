"""Pictures for the tests of this folder: textured, and with a given amount of noise."""

import numpy as np

from jaxnvc.video import Yuv420


def textured(width, height, bit_depth=8, seed=0):
    """A picture of waves and some noise that uses most of the range of values."""
    rng = np.random.default_rng(seed)
    peak = (1 << bit_depth) - 1
    shapes = [(height, width)] + 2 * [((height + 1) // 2, (width + 1) // 2)]

    def plane(shape):
        rows, columns = np.indices(shape)
        angle, period = rng.uniform(0, np.pi), rng.uniform(7, 40)
        phase = rows * np.sin(angle) + columns * np.cos(angle)
        waves = 0.5 + 0.35 * np.sin(2 * np.pi * phase / period)
        return whole(peak * (waves + 0.03 * rng.standard_normal(shape)), bit_depth)

    return Yuv420(*(plane(shape) for shape in shapes))


def noisy(picture, deviation, seed=1):
    """The picture with Gaussian noise of this standard deviation on all planes."""
    rng = np.random.default_rng(seed)
    return Yuv420(
        *(
            whole(plane + deviation * rng.standard_normal(plane.shape), depth)
            for plane, depth in zip(
                picture.planes, [picture.bit_depth] * 3, strict=True
            )
        )
    )


def flat(value, width, height):
    """An 8-bit picture of one value."""
    chroma = (height + 1) // 2, (width + 1) // 2
    shapes = [(height, width), chroma, chroma]
    return Yuv420(*(np.full(shape, value, np.uint8) for shape in shapes))


def whole(samples, bit_depth):
    """Rounded and clipped to the type of the depth."""
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    return np.clip(np.rint(samples), 0, (1 << bit_depth) - 1).astype(dtype)
