"""Blocks keep their shapes and start where the design says."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.layers.blocks import (
    BlockStack,
    DepthConvBlock,
    Depthwise,
    QpCurve,
    add_neighbours,
    gated,
    wsilu,
    zero_dense,
)

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 5, 8)), jnp.float32)
KEY = jax.random.key(0)


def _new(module, *inputs):
    """Returns output and variables of a module just initialised."""
    return jax.jit(lambda *inputs: module.init_with_output(KEY, *inputs))(*inputs)


def test_the_gate_has_the_value_and_slope_of_its_smooth_model():
    x = jnp.array([-2.0, -0.5, -0.25, 0.0, 0.25, 0.5, 3.0])
    np.testing.assert_allclose(gated(x), [0, 0, -0.0625, 0, 0.1875, 0.5, 3])
    # x * sigmoid(4x) has slope 1/2 at zero.
    assert jax.grad(gated)(0.0) == pytest.approx(0.5)


def test_four_adjacent_channels_are_summed():
    x = jnp.arange(16.0).reshape(2, 8)
    np.testing.assert_array_equal(add_neighbours(x), [[6, 22], [38, 54]])


@pytest.mark.parametrize(
    ("options", "size"),
    [
        # 3.5 o^2 + 9.5 o and 7 o^2 + 17 o, and in o + o of an adaptor (DCVC-UF).
        ({}, 3.5 * 64 + 9.5 * 8),
        ({"half": False}, 7 * 64 + 17 * 8),
        ({"half": False, "adapt": True}, 8 * 64 + 18 * 8),
        ({"features": 4}, 3.5 * 16 + 9.5 * 4 + 8 * 4 + 4),
    ],
)
def test_a_block_has_the_parameters_of_its_formula(options, size):
    params = jax.eval_shape(DepthConvBlock(**options).init, KEY, X)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == size


def test_a_shortcut_adds_the_adapted_input_once_more():
    plain = DepthConvBlock(features=4, gate=wsilu)
    y, variables = _new(plain, X)
    adapted = nn.Dense(4).apply({"params": variables["params"]["adapt"]}, X)
    twice = DepthConvBlock(features=4, gate=wsilu, shortcut=True)
    np.testing.assert_allclose(twice.apply(variables, X), y + adapted, atol=1e-6)


def test_a_block_computes_in_its_dtype_with_parameters_of_float32():
    y, variables = _new(DepthConvBlock(gate=wsilu), X)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(variables)}
    half = DepthConvBlock(gate=wsilu, dtype=jnp.bfloat16)
    half = half.apply(variables, X.astype(jnp.bfloat16))
    assert (dtypes, half.dtype) == ({jnp.dtype("float32")}, jnp.bfloat16)
    np.testing.assert_allclose(half.astype(jnp.float32), y, atol=0.05)


def test_a_new_block_is_nearly_the_identity():
    y, _ = _new(DepthConvBlock(), X)
    assert y.shape == X.shape
    change = jnp.sqrt(jnp.mean((y - X) ** 2) / jnp.mean(X**2))
    assert 0 < float(change) < 0.2


def test_a_block_reaches_one_sample_in_each_direction():
    before, params = _new(DepthConvBlock(), X)
    spot = X.at[0, 3, 2].add(1.0)
    moved = jax.jit(DepthConvBlock().apply)(params, spot) != before
    touched = np.argwhere(np.asarray(moved).any(-1))
    assert touched.min(0).tolist() == [0, 2, 1]
    assert touched.max(0).tolist() == [0, 4, 3]


@pytest.mark.parametrize("depth", [0, 2])
def test_a_stack_joins_its_inputs_into_its_width(depth):
    stack = BlockStack(width=12, depth=depth)
    y, variables = _new(stack, X, X[..., :3])
    assert y.shape == (2, 6, 5, 12)
    assert len(variables["params"]) == 1 + depth


def test_depthwise_adds_its_bias():
    y, variables = _new(Depthwise(3), X)
    assert y.shape == X.shape
    variables["params"]["bias"] = jnp.arange(8.0)
    shifted = Depthwise(3).apply(variables, X)
    np.testing.assert_allclose(
        shifted - y, np.broadcast_to(np.arange(8.0), X.shape), atol=1e-5
    )


def test_a_branch_yet_to_be_learned_gives_zero():
    y, _ = _new(zero_dense(5, None), X)
    np.testing.assert_array_equal(y, np.zeros((2, 6, 5, 5)))


@pytest.fixture(scope="module")
def curve():
    anchors = np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)
    module = QpCurve(4, 3, anchors, (0.0, -0.2, 0.5))
    params = module.init(KEY, jnp.zeros(1, jnp.int32), jnp.int32(0))
    return anchors, lambda qp, level=0: module.apply(
        params, jnp.asarray(qp, jnp.int32), jnp.int32(level)
    )


def test_a_qp_curve_meets_its_anchors_at_every_eighth_qp(curve):
    anchors, factor = curve
    found = factor(np.arange(0, 64, 8))
    assert found.shape == (8, 1, 1, 4)
    np.testing.assert_allclose(found[:, 0, 0], np.exp(anchors[:8]), rtol=1e-6)


def test_a_qp_curve_is_geometric_between_anchors(curve):
    anchors, factor = curve
    for qp in (3, 37, 63):
        low, part = divmod(qp, 8)
        expected = np.exp((1 - part / 8) * anchors[low] + part / 8 * anchors[low + 1])
        np.testing.assert_allclose(factor([qp])[0, 0, 0], expected, rtol=1e-5)


def test_a_quality_level_scales_the_whole_curve(curve):
    _, factor = curve
    qp = np.array([0, 21, 63])
    ratio = factor(qp, 2) / factor(qp, 1)
    np.testing.assert_allclose(ratio, np.full(ratio.shape, np.exp(0.7)), rtol=1e-5)
