"""Training a family of chunks with the trainer and the configurations of frames."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.avs_eem import lite as eem_lite
from configs.dcvc_uf import lite as uf_lite
from jaxnvc.ops.frame import from_planes
from train.config import Stage, TrainConfig, whole_units
from train.losses import lam_table, relative_cost
from train.state import build_models, initial_params
from train.window import Window, inter_costs

STEPS = 10
STAGE = Stage(
    name="smoke",
    steps=STEPS,
    frames=6,
    batch=2,
    crop=32,
    learning_rate=4e-3,
    final_learning_rate=2e-3,
)


@pytest.fixture(scope="module")
def config() -> TrainConfig:
    given = TrainConfig(
        name="smoke",
        intra="intra/tiny",
        inter="dcvc_uf/tiny",
        stages=(STAGE,),
        clips="",
    )
    return whole_units(given, 3)


@pytest.fixture(scope="module")
def models(config):
    return build_models(config)


@pytest.fixture(scope="module")
def params(models):
    return initial_params(models.inter, seed=1)


@pytest.fixture(scope="module")
def window(cars, config) -> Window:
    """Two places of the example clip."""
    frames = config.stages[0].frames

    def place(row, column):
        y, half = slice(row, row + 32), slice(row // 2, row // 2 + 16)
        x, across = slice(column, column + 32), slice(column // 2, column // 2 + 16)
        planes = [(p.y[y, x], p.u[half, across], p.v[half, across]) for p in cars]
        return jnp.stack([from_planes(*p, multiple=32) for p in planes[:frames]])

    return Window.of(jnp.stack([place(40, 60), place(96, 200)]), jnp.array([20, 44]))


def test_another_family_is_another_line_of_the_configuration():
    ours, theirs = uf_lite.get_config(), eem_lite.get_config()
    same_names = {"name": theirs.name, "inter": theirs.inter}
    assert ours.inter == "dcvc_uf/lite"
    assert dataclasses.replace(ours, **same_names) == theirs


def test_windows_are_lengthened_to_whole_chunks():
    stages = (
        dataclasses.replace(STAGE, frames=4),
        dataclasses.replace(STAGE, frames=10, groups=(4, 5)),
    )
    config = dataclasses.replace(eem_lite.get_config(), stages=stages)
    longer = whole_units(config, 4)
    assert [(s.frames, s.groups) for s in longer.stages] == [(5, ()), (13, (4, 8))]
    assert longer.validation_frames == 13
    assert whole_units(config, 1) == config


@pytest.fixture(scope="module")
def steps(models, params, window):
    """Costs of a few steps of gradient descent through two chunks of a fixed batch."""
    model, descent = models.inter, optax.adam(4e-3)

    def cost(params):
        state = model.bind({"params": params}).reset(window.clip[:, 0], window.cond())
        at, known = jnp.array([1, 2]), jnp.array([True, True])
        _, costs = inter_costs(model, params, window, state, at, known)
        return relative_cost(costs.cost.mean(0)).mean(), costs

    # Nearly all of it is compile time.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def step(params, moments):
        grads, costs = jax.grad(cost, has_aux=True)(params)
        updates, moments = descent.update(grads, moments)
        return optax.apply_updates(params, updates), moments, costs

    found, moments = [], descent.init(params)
    for _ in range(STEPS):
        params, moments, costs = step(params, moments)
        found.append(jax.tree.map(np.asarray, costs))
    return found


def test_steps_on_chunks_lower_the_cost_of_a_fixed_batch(steps):
    costs = [np.log(step.cost.mean(0)).mean() for step in steps]
    assert np.all(np.isfinite(costs))
    assert np.mean(costs[-3:]) < costs[0] - 0.02


def test_each_frame_of_a_chunk_has_its_own_weight(models, window, steps):
    found, model = steps[0], models.inter
    assert found.mse.shape == (2, 2, model.frames_per_unit)
    weights = np.array(model.frame_weights)
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] == weights.max()
    lam = lam_table()[np.asarray(window.qp)]
    expected = found.bpp.sum(-1) + lam * (found.mse * weights).mean(-1)
    np.testing.assert_allclose(found.cost, expected, rtol=1e-4)
