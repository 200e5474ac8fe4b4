"""What a window of frames costs, and its gradient group by group.

    x_0 -> intra -> reference --(N still passes)--> state
                                                      |
    x_1 .. x_n          [ group 0: scan over frames ] -+- value and gradient
                                                      | carry, no gradient
    x_n+1 .. x_T-1      [ group 1: scan over frames ] -+- value and gradient, added

An outer scan takes the gradient of one group at a time, so that memory is that of
the longest group. Source: AVS-EEM v5.2, group-wise cascaded training (section 11 of
the sheet); v1.0, reference-quality-aware training.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax

from jaxnvc.codecs.protocol import NUM_QP, Cond, State, UnitCodec
from jaxnvc.coding.gop import level_of
from jaxnvc.coding.unit import Estimate, estimate_unit
from train.losses import distortion, lam_table, psnr_db, relative_cost
from train.state import Models


class Window(struct.PyTreeNode):
    """A batch of windows and how they are coded.

    Attributes:
      clip: [B, T, H/2, W/2, 6] in [0, 1].
      qp: int32 [B], of inter frames.
      boost: int32 [B], added to it for the intra frame.
      phase: int32 [], position of frame 0 in the group of quality levels.
      repeats: int32 [], times that frame 0 is coded onto itself first.
      refresh: bool [], drops the temporal history before frame 1.
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
    """What frames cost, each [..., B].

    Attributes:
      cost: J, bits per luma pixel plus weighted distortion.
      bpp: bits per luma pixel of each stage, [..., B, stages].
      mse: distortion on samples in [0, 1].
    """

    cost: jax.Array
    bpp: jax.Array
    mse: jax.Array


def _costs(unit: Estimate, x: jax.Array, lam: jax.Array) -> Costs:
    mse = distortion(unit.x_hat, x)
    bpp = unit.bits / (4 * x.shape[1] * x.shape[2])
    return Costs(bpp.sum(-1) + lam * mse, bpp, mse)


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
    lam = jnp.asarray(lam_table())[qp] * weight
    return _costs(unit, x, lam), unit.x_hat


def opening_state(model: UnitCodec, params, window: Window, reference) -> State:
    """Returns the buffer before frame 1, without gradient.

    Frame 0 is coded onto itself `repeats` times first, each time from the result
    before: so the codec meets its own drift without the cost of long windows.
    """
    params = lax.stop_gradient(params)
    x, cond = window.clip[:, 0], window.cond()
    codec = model.bind({"params": params})
    source = codec.analyse(x, x, cond)

    def again(n, state):
        level = level_of(window.phase + n + 1)
        return estimate_unit(
            model, params, state, source, cond.replace(level=level)
        ).state

    first = codec.reset(lax.stop_gradient(reference), cond)
    return lax.stop_gradient(lax.fori_loop(0, window.repeats, again, first))


def inter_costs(model: UnitCodec, params, window: Window, state: State, at, known):
    """Codes some of the frames 1.. from a buffer.

    Args:
      model: the inter module.
      params: its parameters.
      window: the batch.
      state: decoded buffer before them.
      at: int [L], frame numbers in order.
      known: bool [L], false for padding, which costs nothing and changes nothing.

    Returns:
      The buffer after them and their costs [L, B], those of padding meaningless.
    """
    codec = model.bind({"params": params})
    frames, cond = jnp.moveaxis(window.clip, 1, 0), window.cond()
    lam = jnp.asarray(lam_table())[cond.qp]
    weights = jnp.asarray(model.level_weights)
    x = frames[at]
    sources = jax.vmap(lambda x, before: codec.analyse(x, before, cond))(
        x, frames[at - 1]
    )

    def body(state, inputs):
        x, source, number, known = inputs
        level = level_of(window.phase + window.repeats + number)
        refresh = window.refresh & (number == 1)
        unit = estimate_unit(
            model, params, state, source, cond.replace(level=level, refresh=refresh)
        )
        kept = jax.tree.map(
            lambda new, old: jnp.where(known, new, old), unit.state, state
        )
        return kept, _costs(unit, x, lam * weights[level])

    return lax.scan(jax.checkpoint(body), state, (x, sources, at, known))


def group_numbers(num_frames: int, groups: tuple[int, ...]):
    """Lays out frames 1 .. num_frames - 1 as rows of groups.

    Args:
      num_frames: T of the window.
      groups: inter frames of each group; none stands for one group.

    Returns:
      Frame numbers int32 [groups, longest], the last one repeated as padding, and
      bool of the same shape, false for padding.
    """
    sizes = groups or (num_frames - 1,)
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
):
    """Returns the gradient of the relative cost of windows, and metrics.

    Args:
      models: the modules.
      params: {"intra", "inter"}.
      window: the batch.
      intra_weight: distortion weight of frame 0.
      groups: inter frames per gradient group (static).
      repeated: whether `window.repeats` is heeded (static).
    """

    def intra_loss(p):
        costs, reference = intra_costs(models.intra, p, window, intra_weight)
        return relative_cost(costs.cost).mean(), (costs, reference)

    grad = jax.grad(intra_loss, has_aux=True)
    intra_grads, (intra, reference) = grad(params["intra"])
    if not repeated:
        window = window.replace(repeats=jnp.int32(0))
    first = _opening(models.inter, params["inter"], window, reference, repeated)
    num_inter = window.clip.shape[1] - 1
    numbers, known = group_numbers(num_inter + 1, groups)

    def group_loss(p, state, at, known):
        state, costs = inter_costs(models.inter, p, window, state, at, known)
        mean = (costs.cost * known[:, None]).sum(0) / known.sum()
        share = known.sum() / num_inter
        return share * relative_cost(mean).mean(), (state, costs)

    def one_group(carry, inputs):
        state, total = carry
        grad = jax.grad(group_loss, has_aux=True)
        grads, (state, costs) = grad(params["inter"], state, *inputs)
        return (state, jax.tree.map(jnp.add, total, grads)), costs

    zeros = jax.tree.map(jnp.zeros_like, params["inter"])
    (_, inter_grads), costs = lax.scan(one_group, (first, zeros), (numbers, known))
    inter = jax.tree.map(lambda a: a[np.nonzero(known)], costs)
    grads = {"intra": intra_grads, "inter": inter_grads}
    return grads, metrics_of(intra, inter)


def _opening(model, params, window, reference, repeated: bool) -> State:
    if repeated:
        return opening_state(model, params, window, reference)
    codec = model.bind({"params": params})
    return lax.stop_gradient(codec.reset(reference, window.cond()))


def window_metrics(models: Models, params: dict, window: Window, intra_weight: float):
    """Returns the metrics of windows without any gradient."""
    intra, reference = intra_costs(models.intra, params["intra"], window, intra_weight)
    state = _opening(models.inter, params["inter"], window, reference, False)
    at = jnp.arange(1, window.clip.shape[1])
    _, inter = inter_costs(
        models.inter, params["inter"], window, state, at, jnp.ones(at.shape, bool)
    )
    return metrics_of(intra, inter)


def metrics_of(intra: Costs, inter: Costs) -> dict[str, jax.Array]:
    """Averages costs [B] and [T-1, B] to what is logged.

    `log_j` is what `relative_cost` descends.
    """
    return {
        "bpp_intra": intra.bpp.sum(-1).mean(),
        "psnr_intra": psnr_db(intra.mse).mean(),
        "bpp_inter": inter.bpp.sum(-1).mean(),
        "bpp_motion": inter.bpp[..., :4].sum(-1).mean(),
        "bpp_hyper": inter.bpp[..., 4].mean(),
        "psnr_inter": psnr_db(inter.mse).mean(),
        "psnr_last": psnr_db(inter.mse[-1]).mean(),
        "log_j_intra": jnp.log(intra.cost).mean(),
        "log_j_inter": jnp.log(inter.cost.mean(0)).mean(),
    }
