"""MS-SSIM as Wang, Simoncelli and Bovik (2003) write it: eq. 7 with M = 5, in float64.

Every window is a two-dimensional convolution; variances are those of the samples
themselves, without the shift by which the fast one keeps float32 exact.
"""

import numpy as np
from scipy.signal import convolve2d

EXPONENTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def gaussian_window():
    """11x11, standard deviation 1.5, sum 1."""
    offsets = np.arange(-5, 6)
    rows, columns = np.meshgrid(offsets, offsets, indexing="ij")
    window = np.exp(-(rows**2 + columns**2) / (2 * 1.5**2))
    return window / window.sum()


def comparison_maps(x, y, peak):
    """l and c * s of eq. 1 to 3 at every whole window, with C3 = C2 / 2."""
    window = gaussian_window()
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mu_x = convolve2d(x, window, mode="valid")
    mu_y = convolve2d(y, window, mode="valid")
    var_x = convolve2d(x * x, window, mode="valid") - mu_x**2
    var_y = convolve2d(y * y, window, mode="valid") - mu_y**2
    cov = convolve2d(x * y, window, mode="valid") - mu_x * mu_y
    luminance = (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
    sigma_xy = np.sqrt(np.maximum(var_x, 0)) * np.sqrt(np.maximum(var_y, 0))
    contrast = (2 * sigma_xy + c2) / (var_x + var_y + c2)
    structure = (cov + c2 / 2) / (sigma_xy + c2 / 2)
    return luminance, contrast * structure


def downsample(x):
    """2x2 means of every second place; beyond the edge the last sample repeats."""
    padded = np.pad(x, ((0, 1), (0, 1)), mode="edge")
    return convolve2d(padded, np.full((2, 2), 0.25), mode="valid")[::2, ::2]


def ms_ssim(x, y, peak):
    """The similarity of two planes; negative means of a scale count as 0."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    result = 1.0
    for exponent in EXPONENTS[:-1]:
        _, contrast_structure = comparison_maps(x, y, peak)
        result *= max(contrast_structure.mean(), 0.0) ** exponent
        x, y = downsample(x), downsample(y)
    luminance, contrast_structure = comparison_maps(x, y, peak)
    return result * max((luminance * contrast_structure).mean(), 0) ** EXPONENTS[-1]
