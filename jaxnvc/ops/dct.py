"""The orthonormal 8x8 DCT of a YUV 4:2:0 cell, as one 96 x 96 matrix.

A cell is 8x8 luma samples with the 4x4 U and 4x4 V samples that cover them. In
the packed frame tensor (see `ops.frame`) it is a 4x4 patch of six channels.
"""

import functools

import numpy as np

CELL_CHANNELS = 96


@functools.cache
def dct_matrix(size: int) -> np.ndarray:
    """Returns the orthonormal DCT-II matrix [frequency, sample], float64."""
    frequency, sample = np.mgrid[0:size, 0:size]
    basis = np.cos(np.pi * (sample + 0.5) * frequency / size)
    basis *= np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis


def _frequencies(size: int) -> np.ndarray:
    """Lists (row, column) frequencies of a size x size block, lowest first."""
    pairs = [(u, v) for u in range(size) for v in range(size)]
    return np.array(sorted(pairs, key=lambda p: (p[0] ** 2 + p[1] ** 2, p)))


@functools.cache
def channel_frequencies() -> np.ndarray:
    """Returns [96, 3] (plane, row, column frequency) of each cell channel.

    Frequencies are in cycles of the luma cell (a chroma block spans the same
    picture area, so its indices mean the same frequency). Channels are ordered
    so that each quarter, channels 24*g to 24*g + 23, holds every fourth
    frequency of each plane: the four coding groups then carry like shares of
    energy. Plane 0 is Y, 1 is U, 2 is V.
    """
    rows = [(0, u, v) for u, v in _frequencies(8)]
    rows += [(1, u, v) for u, v in _frequencies(4)]
    rows += [(2, u, v) for u, v in _frequencies(4)]
    table = np.array(rows)
    rank = np.concatenate([np.arange(64), np.arange(16), np.arange(16)])
    order = np.lexsort((np.arange(CELL_CHANNELS), rank % 4))
    return table[order]


@functools.cache
def cell_transform() -> np.ndarray:
    """Returns the orthonormal matrix [96 samples, 96 coefficients], float32.

    Rows follow `space_to_depth(frame, 4)`: (row, column, packed channel) with
    packed channels (Y00, Y01, Y10, Y11, U, V).
    """
    matrix = np.zeros((4, 4, 6, CELL_CHANNELS))
    luma, chroma = dct_matrix(8), dct_matrix(4)
    for channel, (plane, u, v) in enumerate(channel_frequencies()):
        if plane == 0:
            block = np.outer(luma[u], luma[v]).reshape(4, 2, 4, 2)
            matrix[:, :, :4, channel] = block.transpose(0, 2, 1, 3).reshape(4, 4, 4)
        else:
            matrix[:, :, 3 + plane, channel] = np.outer(chroma[u], chroma[v])
    return matrix.reshape(-1, CELL_CHANNELS).astype(np.float32)
