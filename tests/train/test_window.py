"""The gradient of a window: by groups, and after still passes."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxnvc.coding.gop import level_of
from jaxnvc.coding.unit import estimate_unit
from jaxnvc.ops.frame import from_planes
from tests.coding.test_portability import roughen
from tests.toy import Toy
from train.losses import distortion, lam_table, relative_cost
from train.state import Models, initial_params
from train.window import (
    Window,
    group_numbers,
    intra_costs,
    opening_state,
    window_grads,
    window_metrics,
)

FRAMES, SIDE = 4, 64


@pytest.fixture(scope="module")
def models() -> Models:
    return Models(Toy(), Toy())


@pytest.fixture(scope="module")
def params(models) -> dict:
    """Every branch at work: nothing starts at zero."""
    return {
        "intra": initial_params(models.intra, 1),
        "inter": jax.tree.map(jnp.asarray, roughen(initial_params(models.inter, 1))),
    }


@pytest.fixture(scope="module")
def window(cars) -> Window:
    half = slice(20, 20 + SIDE // 2)
    frames = [
        from_planes(
            planes.y[40 : 40 + SIDE, 40 : 40 + SIDE],
            planes.u[half, half],
            planes.v[half, half],
            multiple=32,
        )
        for planes in cars[:FRAMES]
    ]
    return Window.of(jnp.stack(frames)[None], 40, phase=1)


GROUPS = (2, 1)


@pytest.fixture(scope="module")
def cut(models, params, window):
    """Gradients and metrics in two groups."""
    program = functools.partial(window_grads, models, groups=GROUPS)
    return jax.jit(program, static_argnums=2)(params, window, 1.8)


@pytest.fixture(scope="module")
def oracle(models, params, window):
    """Returns the gradient when it is cut before given frames."""
    program = jax.jit(functools.partial(_oracle, models))
    return lambda cut: program(params, window, jnp.asarray(cut))


def _oracle(models, params, window, cut):
    """The gradient of one long scan, stopped in front of the frames `cut`."""
    _, reference = intra_costs(models.intra, params["intra"], window, 1.8)
    frames, cond = jnp.moveaxis(window.clip, 1, 0), window.cond()
    lam = jnp.asarray(lam_table())[cond.qp]
    weights = jnp.asarray(models.inter.frame_weights)

    def loss(p):
        codec = models.inter.bind({"params": p})

        def body(state, inputs):
            x, before, number, cut = inputs
            state = jax.tree.map(
                lambda a: jnp.where(cut, lax.stop_gradient(a), a), state
            )
            level = level_of(1 + number, 3)
            source = codec.analyse(x, before, cond)
            here = cond.replace(level=level)
            unit = estimate_unit(models.inter, p, state, source, here)
            error = distortion(unit.x_hat, x)
            bpp = unit.bits.sum(-1) / SIDE**2
            return unit.state, bpp + lam * weights[number % 4] * error

        state = codec.reset(lax.stop_gradient(reference), cond)
        inputs = (frames[1:], frames[:-1], jnp.arange(1, FRAMES), cut)
        _, costs = lax.scan(body, state, inputs)
        first, second = costs[:2].mean(0), costs[2:].mean(0)
        share = np.array(GROUPS) / (FRAMES - 1)
        relative = share[0] * relative_cost(first) + share[1] * relative_cost(second)
        return relative.mean()

    return jax.grad(loss)(params["inter"])


def _distance(ours, theirs) -> float:
    """Returns how far two gradients are apart, relative to their length."""
    ours, theirs = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
        for tree in (ours, theirs)
    )
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def test_gradients_stop_where_groups_meet_and_nowhere_else(cut, oracle):
    ours = cut[0]["inter"]
    assert _distance(ours, oracle([True, False, True])) < 1e-3
    # That is the place: without the cut, or with another one, it is not the same.
    assert _distance(ours, oracle([True, False, False])) > 1e-2
    assert _distance(ours, oracle([True, True, True])) > 1e-2


def test_cutting_the_gradient_does_not_change_the_cost(models, params, window, cut):
    program = functools.partial(window_metrics, models)
    metrics = jax.jit(program, static_argnums=2)(params, window, 1.8)
    chex.assert_trees_all_close(metrics, cut[1], rtol=1e-4)


def test_unequal_groups_are_padded_to_the_longest():
    numbers, known = group_numbers(8, (4, 3))
    np.testing.assert_array_equal(numbers, [[1, 2, 3, 4], [5, 6, 7, 7]])
    np.testing.assert_array_equal(known, [[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.fixture(scope="module")
def settled(models, params, window):
    """Returns the gradient of an opening state and the state, by still passes."""

    @jax.jit
    def compute(repeats):
        def total(p):
            before = window.replace(repeats=repeats)
            state = opening_state(models.inter, p, before, window.clip[:, 0])
            return jnp.sum(state.x_hat), state

        return jax.grad(total, has_aux=True)(params["inter"])

    return compute


def test_still_passes_leave_no_gradient(settled):
    grads, state = settled(jnp.int32(3))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads))
    assert np.any(state.memory)


def test_no_still_pass_is_a_plain_start(models, params, window, settled):
    codec = models.inter.bind({"params": params["inter"]})
    plain = codec.reset(window.clip[:, 0], window.cond())
    chex.assert_trees_all_equal(settled(jnp.int32(0))[1], plain)


def test_still_passes_are_units_that_code_frame_0_again(
    models, params, window, settled
):
    codec = models.inter.bind({"params": params["inter"]})
    x, cond = window.clip[:, 0], window.cond()

    @jax.jit
    def unit(state, level):
        source = codec.analyse(x, x, cond)
        here = cond.replace(level=level)
        return estimate_unit(models.inter, params["inter"], state, source, here).state

    state = codec.reset(x, cond)
    for number in (1, 2):
        state = unit(state, jnp.int32(level_of(1 + number, 3)))
    ours = settled(jnp.int32(2))[1]
    np.testing.assert_allclose(ours.x_hat, state.x_hat, atol=1e-4)
