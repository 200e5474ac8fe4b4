"""One optimiser step over windows of frames, pure and jittable."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from jaxnvc.codecs.protocol import NUM_QP, Cond, UnitCodec
from jaxnvc.coding.gop import level_of
from jaxnvc.coding.unit import Estimate, estimate_unit
from train.config import TrainConfig
from train.losses import distortion, lam_table, psnr_db, relative_cost

# Integer biases and tables are counted in activation or index steps, where the
# weights are of order one: they need a longer stride.
_TABLE_STRIDE = 30.0


class TrainState(struct.PyTreeNode):
    """What a checkpoint holds.

    Attributes:
      step: int32, steps taken.
      params: {"intra": .., "inter": ..}.
      averaged: exponential moving average of `params`.
      opt_state: optimiser state.
    """

    step: jax.Array
    params: dict
    averaged: dict
    opt_state: optax.OptState


@dataclasses.dataclass(frozen=True)
class Models:
    """The two modules of a model."""

    intra: UnitCodec
    inter: UnitCodec


def schedule(config: TrainConfig) -> optax.Schedule:
    """Joins the cosine of each stage, after a linear rise at the very start."""
    parts, bounds, total = [], [], 0
    for stage in config.stages:
        ratio = stage.final_learning_rate / stage.learning_rate
        parts.append(
            optax.cosine_decay_schedule(stage.learning_rate, stage.steps, ratio)
        )
        total += stage.steps
        bounds.append(total)
    joined = optax.join_schedules(parts, bounds[:-1])
    rise = max(config.warmup_steps, 1)
    return lambda step: joined(step) * jnp.minimum((step + 1) / rise, 1.0)


def optimiser(config: TrainConfig) -> optax.GradientTransformation:
    """Returns Adam with clipped gradients and longer strides for tables."""
    rate = schedule(config)

    def labels(params):
        return jax.tree_util.tree_map_with_path(_label, params)

    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.zero_nans(),
        optax.scale_by_adam(b1=0.9, b2=0.99),
        optax.multi_transform(
            {"weight": optax.identity(), "table": optax.scale(_TABLE_STRIDE)}, labels
        ),
        optax.scale_by_learning_rate(rate),
    )


def _label(path, _) -> str:
    name = jax.tree_util.keystr(path[-1:], simple=True)
    return "table" if name in ("integer_bias", "integer_level_bias") else "weight"


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


def _intra_costs(model: UnitCodec, params, x, cond: Cond, weight: float):
    """Codes the first frame; returns its costs and the reference it leaves."""
    codec = model.bind({"params": params})
    state = codec.reset(x, cond)
    unit = estimate_unit(model, params, state, codec.analyse(x, x, cond), cond)
    lam = jnp.asarray(lam_table())[cond.qp] * weight
    return _costs(unit, x, lam), unit.x_hat


def _inter_costs(model: UnitCodec, params, frames, reference, cond: Cond, phase):
    """Codes frames 1.. after a reference; returns costs with leading axis T - 1."""
    codec = model.bind({"params": params})
    lam = jnp.asarray(lam_table())[cond.qp]
    weights = jnp.asarray(model.level_weights)
    sources = jax.vmap(lambda x, before: codec.analyse(x, before, cond))(
        frames[1:], frames[:-1]
    )

    def body(state, inputs):
        x, source, position = inputs
        level = level_of(position)
        unit = estimate_unit(model, params, state, source, cond.replace(level=level))
        return unit.state, _costs(unit, x, lam * weights[level])

    positions = phase + 1 + jnp.arange(frames.shape[0] - 1)
    inputs = (frames[1:], sources, positions)
    state = codec.reset(reference, cond)
    return jax.lax.scan(jax.checkpoint(body), state, inputs)[1]


def window_loss(models: Models, params, clip, qp, boost, phase, intra_weight: float):
    """Returns the loss of a window and its metrics.

    Args:
      models: the modules.
      params: {"intra", "inter"}.
      clip: [B, T, H/2, W/2, 6] in [0, 1].
      qp: int32 [B], of inter frames.
      boost: int32 [B], added to it for the intra frame.
      phase: int32 [], position of frame 0 in the group of quality levels.
      intra_weight: distortion weight of frame 0.
    """
    frames = jnp.moveaxis(clip, 1, 0)
    cond = Cond(qp, jnp.int32(0), jnp.int32(0), jnp.bool_(False))
    intra, reference = _intra_costs(
        models.intra,
        params["intra"],
        frames[0],
        cond.replace(qp=jnp.minimum(qp + boost, NUM_QP - 1)),
        intra_weight,
    )
    inter = _inter_costs(
        models.inter,
        params["inter"],
        frames,
        jax.lax.stop_gradient(reference),
        cond,
        phase,
    )
    window = inter.cost.mean(0)
    metrics = {
        "bpp_intra": intra.bpp.sum(-1).mean(),
        "psnr_intra": psnr_db(intra.mse).mean(),
        "bpp_inter": inter.bpp.sum(-1).mean(),
        "bpp_motion": inter.bpp[..., :4].sum(-1).mean(),
        "bpp_hyper": inter.bpp[..., 4].mean(),
        "psnr_inter": psnr_db(inter.mse).mean(),
        # log J is what relative_cost descends.
        "log_j_intra": jnp.log(intra.cost).mean(),
        "log_j_inter": jnp.log(window).mean(),
    }
    return (relative_cost(intra.cost) + relative_cost(window)).mean(), metrics


def train_step(
    models: Models, config: TrainConfig, state: TrainState, clip, qp, boost, phase
):
    """Takes one step; returns the next state and metrics."""

    def loss(params):
        return window_loss(models, params, clip, qp, boost, phase, config.intra_weight)

    grads, metrics = jax.grad(loss, has_aux=True)(state.params)
    updates, opt_state = optimiser(config).update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The average starts short, so that early checkpoints are usable too.
    decay = jnp.minimum(config.ema, (1.0 + state.step) / (10.0 + state.step))
    averaged = jax.tree.map(
        lambda old, new: old * decay + new * (1 - decay), state.averaged, params
    )
    squares = (jnp.vdot(g, g) for g in jax.tree.leaves(grads))
    metrics["grad_norm"] = jnp.sqrt(sum(squares))
    state = TrainState(state.step + 1, params, averaged, opt_state)
    return state, metrics


def initial_state(models: Models, config: TrainConfig) -> TrainState:
    """Initialises parameters and optimiser."""
    params = {
        name: initial_params(getattr(models, name), config.seed)
        for name in ("intra", "inter")
    }
    return TrainState(
        step=jnp.int32(0),
        params=params,
        # A copy: donated buffers must not be shared between fields.
        averaged=jax.tree.map(jnp.copy, params),
        opt_state=optimiser(config).init(params),
    )


def initial_params(model: UnitCodec, seed: int):
    """Returns freshly initialised parameters of a family's module."""
    size = model.size_multiple // 2
    x = jnp.zeros((1, size, size, 6))

    def one_unit(codec, x):
        cond = Cond.of(32)
        work = codec.begin(codec.reset(x, cond), cond)
        source = codec.analyse(x, x, cond)
        for stage in range(codec.num_stages):
            prior, work = codec.prior(work, cond, stage)
            residual, source = codec.residual(work, source, cond, stage)
            work = codec.absorb(work, prior, prior.quantise(residual), cond, stage)
        return codec.finish(work, cond)

    init = jax.jit(lambda key: model.init(key, x, method=one_unit))
    return init(jax.random.key(seed))["params"]


def qp_sample(rng: np.random.Generator, batch: int) -> np.ndarray:
    """Draws qp stratified over the batch, lower ones a little more often."""
    uniform = (np.arange(batch) + rng.random(batch)) / batch
    return (64 * uniform**1.3).astype(np.int32)
