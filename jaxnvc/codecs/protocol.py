"""What a codec family is: a short list of stages, each a group of symbols.

A *unit* is one frame, or one chunk of N frames, coded as `num_stages` groups of
integer symbols. A family is a Flax module with the methods of `UnitCodec`;
training, encoding, decoding and batch inference are written once on top of it
(`jaxnvc.coding`, `train`).

The frames of a unit are one array: [B, H/2, W/2, 6] where a unit is one frame, and
[B, N, H/2, W/2, 6] in order of time where it is a chunk. A family always codes all N:
where a clip ends or an intra frame follows sooner, the drivers repeat the last frame
to fill the unit, and drop what is decoded of the repetition.

    encoder  analyse --------> residual_0 .. residual_n
                                  |              |
    both     begin -> prior_0 -> symbols_0 -> absorb_0 .. -> finish -> State
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from jaxnvc.entropy.cond import NUM_QP, Cond
from jaxnvc.entropy.prior import Prior, Residual

__all__ = [
    "NUM_QP",
    "REFRESH_SCOPE",
    "Cond",
    "MotionCodec",
    "Prior",
    "Residual",
    "Source",
    "State",
    "UnitCodec",
    "Work",
    "first_params",
    "run_unit",
    "still_unit",
]

# The name of computations that only a refresh needs; complexity leaves them out.
REFRESH_SCOPE = "refresh"

State = Any
Work = Any
Source = Any


class UnitCodec(Protocol):
    """The methods of a family (a Flax Linen module). All are pure.

    `stage_names` says what the symbols of each stage are of, for reports: a group's
    name such as "hyper", with a number where the group is coded in parts, "motion 0".
    `portable` promises that scale indices depend on transmitted integers alone.
    With one quality level (`num_levels`), `cond.level` is always 0.
    `frame_weights` are the weights of the distortion in training, which the frames
    after an intra frame take in turn; a mean of 1 keeps the meaning of lam. There
    are `frames_per_unit` of them, or a multiple. `plane_weights` are those of the mean
    squared errors of Y, U and V; luma's 6 keeps the meaning of lam.

    Frames are packed (`jaxnvc.ops.frame`), H and W multiples of `size_multiple`.
    Encoder and decoder call the same methods in the same order; only `analyse` and
    `residual` are the encoder's.

    `prior` and `residual` thread what they compute (`Work`, `Source`) so that
    nothing is computed twice and nothing hangs on a compiler finding it.
    """

    num_stages: int
    stage_names: tuple[str, ...]
    num_levels: int
    frame_weights: tuple[float, ...]
    plane_weights: tuple[float, float, float]
    portable: bool
    size_multiple: int
    frames_per_unit: int

    def reset(self, x_hat: jax.Array, cond: Cond) -> State:
        """Returns the decoded buffer after an intra frame decoded to `x_hat`."""

    def begin(self, state: State, cond: Cond) -> Work:
        """Returns the contexts known before any symbol of the unit."""

    def analyse(self, x: jax.Array, x_previous: jax.Array, cond: Cond) -> Source:
        """Encoder: prepares a unit's source and the one frame before it."""

    def prior(self, work: Work, cond: Cond, stage: int) -> tuple[Prior, Work]:
        """Returns the distribution of a stage's symbols."""

    def residual(
        self, work: Work, source: Source, cond: Cond, stage: int
    ) -> tuple[Residual, Source]:
        """Encoder: returns (y - mu) / step of a stage, shaped as its prior.

        Where it has already computed what `absorb` needs, `Residual.work` holds it.
        """

    def absorb(
        self, work: Work, prior: Prior, symbols: jax.Array, cond: Cond, stage: int
    ) -> Work:
        """Turns a stage's symbols (float32 whole numbers) into y_hat."""

    def finish(self, work: Work, cond: Cond) -> tuple[State, jax.Array]:
        """Returns the next decoded buffer and the unit's picture(s), in [0, 1]."""


@runtime_checkable
class MotionCodec(UnitCodec, Protocol):
    """A family that codes motion first, in stages of its own.

    Training may then descend the motion and the rest apart.
    """

    num_motion_stages: int

    def prediction(self, work: Work, cond: Cond) -> jax.Array:
        """Returns the picture, in [0, 1], that the motion stages alone give."""


def still_unit(model: UnitCodec, frame: jax.Array) -> jax.Array:
    """Returns a unit of which every frame is `frame` [B, H/2, W/2, 6]."""
    count = model.frames_per_unit
    return frame if count == 1 else jnp.repeat(frame[:, None], count, axis=1)


def run_unit(codec: UnitCodec, x: jax.Array, *, encoding: bool = True):
    """Runs a unit of still pictures through every method, with no entropy coder.

    Coding has its own loops over stages (`jaxnvc.coding`); this one serves to
    initialise and to count.

    Args:
      codec: a bound module.
      x: the picture before the unit, and every picture of it.
      encoding: false leaves the encoder's methods out, symbols are zero then.

    Returns:
      What `finish` returns.
    """
    cond = Cond.of(32)
    work = codec.begin(codec.reset(x, cond), cond)
    source = codec.analyse(still_unit(codec, x), x, cond) if encoding else None
    for stage in range(codec.num_stages):
        prior, work = codec.prior(work, cond, stage)
        symbols = jnp.zeros_like(prior.index)
        if encoding:
            residual, source = codec.residual(work, source, cond, stage)
            work = work if residual.work is None else residual.work
            symbols = prior.quantise(residual)
        work = codec.absorb(work, prior, symbols, cond, stage)
    return codec.finish(work, cond)


def first_params(model: UnitCodec, key: jax.Array) -> dict:
    """Returns the parameters that a family's module starts from; traceable."""
    side = model.size_multiple // 2
    return model.init(key, jnp.zeros((1, side, side, 6)), method=run_unit)["params"]
