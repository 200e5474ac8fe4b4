"""Which picture is compared with which: two sequences, checked to belong together."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from jaxnvc.errors import UsageError


class Picture(Protocol):
    """What a metric needs of a picture; `jaxnvc.video.Yuv420` is one.

    Attributes:
      planes: y [H, W] and u, v [ceil(H/2), ceil(W/2)], uint8 or uint16.
      bit_depth: 8 or 10.
    """

    planes: tuple[np.ndarray, np.ndarray, np.ndarray]
    bit_depth: int


def picture_pairs(
    a: Iterable[Picture], b: Iterable[Picture], bit_depth: int
) -> list[tuple[Picture, Picture]]:
    """Pairs two sequences picture by picture.

    Args:
      a: pictures of any sizes, at least one.
      b: as many, each of its partner's size.
      bit_depth: 8 or 10, what every picture must have.

    Returns:
      The pairs in order.

    Raises:
      UsageError: none at all, or different counts, sizes or bit depths.
    """
    a, b = list(a), list(b)
    if len(a) != len(b) or not a:
        raise UsageError(
            f"{len(a)} pictures cannot be compared with {len(b)}: give two sequences "
            "of the same length, at least 1"
        )
    pairs = list(zip(a, b, strict=True))
    for number, pair in enumerate(pairs):
        for picture in pair:
            if picture.bit_depth != bit_depth:
                raise UsageError(
                    f"frame {number} has {picture.bit_depth} bits, but bit_depth="
                    f"{bit_depth} was given: pass the depth that the pictures have"
                )
        shapes = [picture.planes[0].shape for picture in pair]
        if shapes[0] != shapes[1]:
            raise UsageError(
                f"frame {number} is {shapes[0]} in one sequence and {shapes[1]} in the "
                "other: compare pictures of one size"
            )
    return pairs
