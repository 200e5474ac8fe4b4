"""What a window of frames costs, and its gradient group by group.

After the intra frame x_0 come units: frames, or chunks of frames.

    x_0 -> intra -> reference --(N still passes)--> state
                                                      |
    x_1 .. x_n          [ group 0: scan over units ] --+- value and gradient
                                                      | carry, no gradient
    x_n+1 .. x_T-1      [ group 1: scan over units ] --+- value and gradient, added

An outer scan takes the gradient of one group at a time, so that memory is that of
the longest group. Source: AVS-EEM v5.2, group-wise cascaded training (section 11 of
the sheet); v1.0, reference-quality-aware training.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from jaxnvc.codecs.protocol import (
    NUM_QP,
    Cond,
    MotionCodec,
    State,
    UnitCodec,
    still_unit,
)
from jaxnvc.coding.gop import level_of
from jaxnvc.coding.unit import Estimate, estimate_motion, estimate_unit
from jaxnvc.errors import UsageError
from train.config import Objective
from train.losses import distortion, lam_table, psnr_by_level, psnr_db, relative_cost
from train.state import Models


class Window(struct.PyTreeNode):
    """A batch of windows and how they are coded.

    Attributes:
      clip: [B, T, H/2, W/2, 6] in [0, 1]; all but the first frame are whole units.
      qp: int32 [B], of inter frames.
      boost: int32 [B], added to it for the intra frame.
      phase: int32 [], position of frame 0 in the group of quality levels.
      repeats: int32 [], times that frame 0 is coded onto itself first.
      refresh: bool [], drops the temporal history before the first inter unit.
    """

    clip: jax.Array
    qp: jax.Array
    boost: jax.Array
    phase: jax.Array
    repeats: jax.Array
    refresh: jax.Array

    @classmethod
    def of(cls, clip, qp, boost=0, phase=0, repeats=0, refresh=False) -> "Window":
        """Builds a window from numbers; `qp` and `boost` are one or [B]."""
        batch = clip.shape[0]
        return cls(
            clip=clip,
            qp=jnp.broadcast_to(jnp.asarray(qp, jnp.int32), (batch,)),
            boost=jnp.broadcast_to(jnp.asarray(boost, jnp.int32), (batch,)),
            phase=jnp.int32(phase),
            repeats=jnp.int32(repeats),
            refresh=jnp.bool_(refresh),
        )

    def cond(self) -> Cond:
        """Returns the conditions of inter frames."""
        return Cond(self.qp, jnp.int32(0), jnp.int32(0), jnp.bool_(False))


class Costs(NamedTuple):
    """What units cost, each [..., B].

    Attributes:
      cost: J, bits per luma pixel of every frame plus mean weighted distortion.
      bpp: bits per luma pixel of each stage, [..., B, stages].
      mse: (6 MSE_Y + MSE_U + MSE_V) / 8 on samples in [0, 1] of each frame, [..., B],
        of a chunk's frames [..., B, N]; in J it has the codec's own weights.
    """

    cost: jax.Array
    bpp: jax.Array
    mse: jax.Array


def _costs(
    model: UnitCodec, unit: Estimate, x: jax.Array, lam: jax.Array, weights, first=0
) -> Costs:
    """Returns the costs of a unit, for lam [B] and the frames' weights [N].

    The bits of stages before `first` count for nothing.
    """
    error = distortion(unit.x_hat, x, model.plane_weights)
    bpp = unit.bits / (4 * math.prod(x.shape[1:-1]))
    weighted = (weights[None] * error.reshape(len(error), -1)).mean(-1)
    cost = bpp[:, first:].sum(-1) + lam * weighted
    return Costs(cost, bpp, distortion(unit.x_hat, x))


def intra_costs(model: UnitCodec, params, window: Window, weight: float):
    """Codes frame 0; returns its costs and the reference it leaves.

    Args:
      model: the intra module.
      params: its parameters.
      window: the batch.
      weight: of the distortion.
    """
    x = window.clip[:, 0]
    qp = jnp.minimum(window.qp + window.boost, NUM_QP - 1)
    cond = window.cond().replace(qp=qp)
    codec = model.bind({"params": params})
    unit = estimate_unit(
        model, params, codec.reset(x, cond), codec.analyse(x, x, cond), cond
    )
    lam = jnp.asarray(lam_table())[qp]
    return _costs(model, unit, x, lam, jnp.full(1, weight)), unit.x_hat


def opening_state(model: UnitCodec, params, window: Window, reference) -> State:
    """Returns the buffer before the first inter unit, without gradient.

    Units of frame 0 alone are coded `repeats` times first, each from the result
    before: so the codec meets its own drift without the cost of long windows.
    """
    params = lax.stop_gradient(params)
    x, cond = window.clip[:, 0], window.cond()
    codec = model.bind({"params": params})
    source = codec.analyse(still_unit(model, x), x, cond)

    def again(n, state):
        level = level_of(window.phase + n + 1, model.num_levels)
        return estimate_unit(
            model, params, state, source, cond.replace(level=level)
        ).state

    first = codec.reset(lax.stop_gradient(reference), cond)
    return lax.stop_gradient(lax.fori_loop(0, window.repeats, again, first))


def inter_costs(
    model: UnitCodec,
    params,
    window: Window,
    state: State,
    at,
    known,
    objective: Objective = Objective.JOINT,
):
    """Codes some of the units 1.. from a buffer.

    Args:
      model: the inter module.
      params: its parameters.
      window: the batch.
      state: decoded buffer before them.
      at: int [L], unit numbers in order, the intra frame being 0.
      known: bool [L], false for padding, which costs nothing and changes nothing.
      objective: what of a unit counts.

    Returns:
      The buffer after them and their costs [L, B], those of padding meaningless.
    """
    codec, cond = model.bind({"params": params}), window.cond()
    estimate, first = _counted(model, objective)
    lam = jnp.asarray(lam_table())[cond.qp]
    units, before = in_chunks(window.clip, model.frames_per_unit)
    x = units[at - 1]
    sources = jax.vmap(lambda x, before: codec.analyse(x, before, cond))(
        x, before[at - 1]
    )

    def body(state, inputs):
        x, source, number, known = inputs
        level = level_of(window.phase + window.repeats + number, model.num_levels)
        refresh = window.refresh & (number == 1)
        weights = _weights(model, window, number)
        unit = estimate(
            model, params, state, source, cond.replace(level=level, refresh=refresh)
        )
        kept = jax.tree.map(
            lambda new, old: jnp.where(known, new, old), unit.state, state
        )
        return kept, _costs(model, unit, x, lam, weights, first)

    return lax.scan(jax.checkpoint(body), state, (x, sources, at, known))


def _counted(model: UnitCodec, objective: Objective):
    """Returns how a unit is estimated, and the first stage whose bits count."""
    if objective is Objective.JOINT:
        return estimate_unit, 0
    if not isinstance(model, MotionCodec):
        raise UsageError(
            f"{objective} needs a codec with motion of its own, which "
            f"{type(model).__name__} is not; train all of it at once."
        )
    if objective is Objective.MOTION:
        return estimate_motion, 0
    return estimate_unit, model.num_motion_stages


def in_chunks(clip: jax.Array, frames_per_unit: int) -> tuple[jax.Array, jax.Array]:
    """Cuts the frames after the first into units.

    Args:
      clip: [B, 1 + L N, ...].
      frames_per_unit: N.

    Returns:
      Units [L, B, ...], [L, B, N, ...] where N is not 1, and the frame before each
      [L, B, ...].
    """
    frames, count = jnp.moveaxis(clip, 1, 0), frames_per_unit
    if count == 1:
        return frames[1:], frames[:-1]
    units = frames[1:].reshape(-1, count, *frames.shape[1:])
    return jnp.moveaxis(units, 1, 2), frames[:-1:count]


def _weights(model: UnitCodec, window: Window, number) -> jax.Array:
    """Returns the distortion weights of the frames of a unit, [N]."""
    cycle, count = jnp.asarray(model.frame_weights), model.frames_per_unit
    # Only levels tell a family of a phase; without them, counting starts at the intra.
    phase = window.phase if model.num_levels > 1 else 0
    first = phase + (window.repeats + number - 1) * count
    return cycle[(first + jnp.arange(count)) % len(cycle)]


def group_numbers(num_units: int, groups: tuple[int, ...]):
    """Lays out the units after the intra frame as rows of groups.

    Args:
      num_units: how many, the intra frame included.
      groups: inter units of each group; none stands for one group.

    Returns:
      Unit numbers int32 [groups, longest], the last one repeated as padding, and
      bool of the same shape, false for padding.
    """
    sizes = groups or (num_units - 1,)
    starts = 1 + np.cumsum((0, *sizes[:-1]))
    column = np.arange(max(sizes))[None]
    known = column < np.array(sizes)[:, None]
    last = (starts + sizes)[:, None] - 1
    numbers = np.minimum(starts[:, None] + column, last)
    return numbers.astype(np.int32), known


def window_grads(
    models: Models,
    params: dict,
    window: Window,
    intra_weight: float,
    groups: tuple[int, ...] = (),
    *,
    repeated: bool = False,
    objective: Objective = Objective.JOINT,
):
    """Returns the gradient of the relative cost of windows, and metrics.

    Args:
      models: the modules.
      params: {"intra", "inter"}, and others that get no gradient.
      window: the batch.
      intra_weight: distortion weight of frame 0.
      groups: inter units per gradient group (static).
      repeated: whether `window.repeats` is heeded (static).
      objective: what of the inter units counts (static).
    """

    def intra_loss(p):
        costs, reference = intra_costs(models.intra, p, window, intra_weight)
        return relative_cost(costs.cost).mean(), (costs, reference)

    grad = jax.grad(intra_loss, has_aux=True)
    intra_grads, (intra, reference) = grad(params["intra"])
    still = jax.tree.map(jnp.zeros_like, params)
    nothing = still["inter"]
    if window.clip.shape[1] == 1:
        return still | {"intra": intra_grads}, intra_metrics(intra)
    if not repeated:
        window = window.replace(repeats=jnp.int32(0))
    first = _opening(models.inter, params["inter"], window, reference, repeated)
    num_inter = (window.clip.shape[1] - 1) // models.inter.frames_per_unit
    numbers, known = group_numbers(num_inter + 1, groups)

    def group_loss(p, state, at, known):
        state, costs = inter_costs(models.inter, p, window, state, at, known, objective)
        mean = (costs.cost * known[:, None]).sum(0) / known.sum()
        share = known.sum() / num_inter
        return share * relative_cost(mean).mean(), (state, costs)

    def one_group(carry, inputs):
        state, total = carry
        grad = jax.grad(group_loss, has_aux=True)
        grads, (state, costs) = grad(params["inter"], state, *inputs)
        return (state, jax.tree.map(jnp.add, total, grads)), costs

    (_, inter_grads), costs = lax.scan(one_group, (first, nothing), (numbers, known))
    inter = jax.tree.map(lambda a: a[np.nonzero(known)], costs)
    grads = still | {"intra": intra_grads, "inter": inter_grads}
    return grads, metrics_of(intra, inter) | level_metrics(models.inter, window, inter)


def _opening(model, params, window, reference, repeated: bool) -> State:
    if repeated:
        return opening_state(model, params, window, reference)
    codec = model.bind({"params": params})
    return lax.stop_gradient(codec.reset(reference, window.cond()))


def window_metrics(models: Models, params: dict, window: Window, intra_weight: float):
    """Returns the metrics of windows without any gradient."""
    intra, inter = window_costs(models, params, window, intra_weight)
    return metrics_of(intra, inter) | level_metrics(models.inter, window, inter)


def window_costs(models: Models, params: dict, window: Window, intra_weight: float):
    """Returns the costs of frame 0, [B], and of the units after it, [units, B]."""
    intra, reference = intra_costs(models.intra, params["intra"], window, intra_weight)
    state = _opening(models.inter, params["inter"], window, reference, False)
    num_inter = (window.clip.shape[1] - 1) // models.inter.frames_per_unit
    at = jnp.arange(1, num_inter + 1)
    _, inter = inter_costs(
        models.inter, params["inter"], window, state, at, jnp.ones(at.shape, bool)
    )
    return intra, inter


def level_metrics(model: UnitCodec, window: Window, inter: Costs):
    """Returns the PSNR of each quality level, where a family has several."""
    if model.num_levels < 2:
        return {}
    numbers = window.phase + window.repeats + 1 + jnp.arange(len(inter.mse))
    return psnr_by_level(inter.mse, level_of(numbers, model.num_levels))


def rd_points(intra: Costs, inter: Costs) -> tuple[jax.Array, jax.Array]:
    """Averages the costs of windows over their frames: bpp and PSNR, each [B]."""
    mse = inter.mse.reshape(*inter.mse.shape[:2], -1)
    units, _, frames_per_unit = mse.shape
    frames = 1 + units * frames_per_unit
    bpp = intra.bpp.sum(-1) + frames_per_unit * inter.bpp.sum((0, -1))
    psnr = psnr_db(intra.mse) + psnr_db(mse).sum((0, 2))
    return bpp / frames, psnr / frames


def metrics_of(intra: Costs, inter: Costs) -> dict[str, jax.Array]:
    """Averages costs [B] and [units, B] to what is logged.

    `psnr_last` is of the last unit; `log_j` is what `relative_cost` descends.
    """
    stages = jnp.moveaxis(inter.bpp, -1, 0)
    return {
        **intra_metrics(intra),
        "bpp_inter": inter.bpp.sum(-1).mean(),
        "psnr_inter": psnr_db(inter.mse).mean(),
        "psnr_last": psnr_db(inter.mse[-1]).mean(),
        "log_j_inter": jnp.log(inter.cost.mean(0)).mean(),
        **{f"bpp_stage_{k}": stages[k].mean() for k in range(len(stages))},
    }


def intra_metrics(intra: Costs) -> dict[str, jax.Array]:
    """Averages the costs [B] of intra frames to what is logged."""
    return {
        "bpp_intra": intra.bpp.sum(-1).mean(),
        "psnr_intra": psnr_db(intra.mse).mean(),
        "log_j_intra": jnp.log(intra.cost).mean(),
    }
