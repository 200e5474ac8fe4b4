"""What a codec family is: a short list of stages, each a group of symbols.

A *unit* is one frame, or one chunk of frames, coded as `num_stages` groups of
integer symbols. A family is a Flax module with the methods of `UnitCodec`;
training, encoding, decoding and batch inference are written once on top of it
(`jaxnvc.coding`, `train`).

    encoder  analyse --------> residual_0 .. residual_n
                                  |              |
    both     begin -> prior_0 -> symbols_0 -> absorb_0 .. -> finish -> State
"""

from typing import Any, Protocol

import jax

from jaxnvc.entropy.cond import NUM_QP, Cond
from jaxnvc.entropy.prior import Prior, Residual

__all__ = [
    "NUM_QP",
    "Cond",
    "Prior",
    "Residual",
    "Source",
    "State",
    "UnitCodec",
    "Work",
]

State = Any
Work = Any
Source = Any


class UnitCodec(Protocol):
    """The methods of a family (a Flax Linen module). All are pure.

    `portable` promises that scale indices depend on transmitted integers alone.
    `level_weights` are the weights of the distortion by quality level in training.

    Frames are packed tensors [B, H/2, W/2, 6] (`jaxnvc.ops.frame`), H and W
    multiples of `size_multiple`. Encoder and decoder call the same methods in the
    same order; only `analyse` and `residual` are the encoder's.

    `prior` and `residual` thread what they compute (`Work`, `Source`) so that
    nothing is computed twice and nothing hangs on a compiler finding it.
    """

    num_stages: int
    num_levels: int
    level_weights: tuple[float, ...]
    portable: bool
    size_multiple: int
    frames_per_unit: int

    def reset(self, x_hat: jax.Array, cond: Cond) -> State:
        """Returns the decoded buffer after an intra unit decoded to `x_hat`."""

    def begin(self, state: State, cond: Cond) -> Work:
        """Returns the contexts known before any symbol of the unit."""

    def analyse(self, x: jax.Array, x_previous: jax.Array, cond: Cond) -> Source:
        """Encoder: prepares the source frame and its predecessor."""

    def prior(self, work: Work, cond: Cond, stage: int) -> tuple[Prior, Work]:
        """Returns the distribution of a stage's symbols."""

    def residual(
        self, work: Work, source: Source, cond: Cond, stage: int
    ) -> tuple[Residual, Source]:
        """Encoder: returns (y - mu) / step of a stage, shaped as its prior."""

    def absorb(
        self, work: Work, prior: Prior, symbols: jax.Array, cond: Cond, stage: int
    ) -> Work:
        """Turns a stage's symbols (float32 whole numbers) into y_hat."""

    def finish(self, work: Work, cond: Cond) -> tuple[State, jax.Array]:
        """Returns the next decoded buffer and the reconstruction, in [0, 1]."""
