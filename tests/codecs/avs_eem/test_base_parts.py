"""The named parts of the full AVS-EEM codec do what their sections say."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.codecs import registry
from jaxnvc.codecs.avs_eem.base import entropy
from jaxnvc.codecs.avs_eem.base.align import Align
from jaxnvc.codecs.avs_eem.base.config import EemBaseConfig
from jaxnvc.codecs.protocol import Cond
from jaxnvc.errors import UsageError
from jaxnvc.evaluation.complexity import complexity
from jaxnvc.layers.convolution import Stem
from jaxnvc.ops.frame import luma
from jaxnvc.ops.spatial import repeat
from jaxnvc.ops.warp import warp_bilinear

GROUPS, FLOWS, CHANNELS = 4, 2, 16


def _normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_a_stem_is_a_strided_convolution_over_444():
    stem = Stem(8)
    x = _normal(1, 6, 8, 6)
    params = stem.init(jax.random.key(0), x)
    weights = params["params"]
    # Chroma repeated: the nine taps of a strided 3x3 fall on a 2x2 of samples, at
    # (-1, 0, 1) of the half grid's (-1, 0, 0) with phases 1, 0, 1.
    chroma = np.zeros((3, 3, 2, 8), np.float32)
    dense = _normal(3, 3, 2, 8, seed=1)
    for i, row in enumerate((0, 1, 1)):
        for j, column in enumerate((0, 1, 1)):
            chroma[row, column] += dense[i, j]
    tied = {**weights, "chroma": {"kernel": jnp.asarray(chroma)}}
    full = jnp.concatenate([luma(x), repeat(x[..., 4:], 2)], -1)
    kernel = jnp.concatenate([weights["luma"]["kernel"], dense], 2)
    expected = jax.lax.conv_general_dilated(
        full,
        kernel,
        (2, 2),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(stem.apply({"params": tied}, x), expected, atol=1e-5)


def test_alignment_without_motion_is_the_identity():
    align = Align(GROUPS, FLOWS)
    feature = _normal(2, 6, 8, CHANNELS)
    flow = jnp.zeros((2, 6, 8, GROUPS * FLOWS * 2))
    aligned, _ = align.init_with_output(jax.random.key(0), feature, flow)
    np.testing.assert_allclose(aligned, feature, atol=1e-6)


def test_alignment_along_one_vector_is_a_plain_shift():
    align = Align(GROUPS, FLOWS)
    feature = _normal(1, 9, 10, CHANNELS)
    vector = jnp.array([2.0, -1.5])
    field = jnp.broadcast_to(vector, (1, 9, 10, GROUPS * FLOWS, 2))
    flow = field.reshape(1, 9, 10, -1)
    aligned, _ = align.init_with_output(jax.random.key(0), feature, flow)
    expected = warp_bilinear(feature, field[..., 0, :])
    np.testing.assert_allclose(aligned, expected, atol=1e-5)


def test_each_group_is_moved_by_its_own_vectors():
    align = Align(GROUPS, FLOWS)
    feature = _normal(1, 8, 8, CHANNELS)
    field = np.zeros((1, 8, 8, GROUPS, FLOWS, 2), np.float32)
    field[..., 2, :, 0] = 3
    aligned, _ = align.init_with_output(
        jax.random.key(0), feature, jnp.asarray(field.reshape(1, 8, 8, -1))
    )
    moved = np.any(np.asarray(aligned != feature), axis=(0, 1, 2))
    size = CHANNELS // GROUPS
    assert moved.reshape(GROUPS, size).all(1).tolist() == [False, False, True, False]


def test_segments_are_cut_and_joined():
    x = _normal(2, 6, 4, 3)
    segments = tuple(entropy.segment(x, i) for i in range(entropy.NUM_SEGMENTS))
    np.testing.assert_array_equal(entropy.joined(segments), x)
    # The first two are one colour of the checkerboard.
    board = jnp.indices((6, 4)).sum(0)[None, :, :, None] % 2
    assert not entropy.segment(board, 0).any()
    assert not entropy.segment(board, 1).any()


@pytest.mark.parametrize("preset", ["avs_eem/base-tiny", "avs_eem/base-tiny-portable"])
def test_parameters_of_a_segment_ignore_later_segments(preset):
    """Causality: exactly zero gradient, and no change of the whole scale indices."""
    config = registry.PRESETS[preset]
    model = entropy.ResidualEntropy(config, levels=3)
    channels, cond = config.latent_channels, Cond.of(32)
    priors = [_normal(1, 4, 6, channels, seed=s) for s in range(3)]
    known = jnp.round(20 * jnp.abs(_normal(1, 4, 6, 5 * channels, seed=3)))

    def parameters(module, y, i):
        symbols = [jnp.round(3 * entropy.segment(y, k)) for k in range(i)]
        decoded = tuple(entropy.segment(y, k) for k in range(i))
        return module.parameters(priors, decoded, known, symbols, cond)

    def everything(module, y):
        module.decode_hyper(jnp.zeros((1, 1, 2, channels)))
        module.encode_hyper(y, y, y)
        module.bring_context(jnp.zeros((1, 16, 24, config.width)))
        return [parameters(module, y, i) for i in range(entropy.NUM_SEGMENTS)]

    y = _normal(1, 4, 6, channels, seed=9)
    params = model.init(jax.random.key(0), y, method=everything)
    for i in range(entropy.NUM_SEGMENTS):
        of_y = functools.partial(model.apply, params, method=parameters)
        gradient = jax.grad(lambda y, i=i, f=of_y: (f(y, i)[0] ** 2).sum())(y)
        for j in range(entropy.NUM_SEGMENTS):
            part = np.asarray(entropy.segment(gradient, j))
            assert np.any(part != 0) == (j < i), (i, j)
        later = entropy.joined(
            tuple(entropy.segment(y, k) * (k >= i) for k in range(4))
        )
        np.testing.assert_array_equal(of_y(y, i)[1], of_y(y + later, i)[1])


def test_the_parts_have_the_parameters_of_the_sheet():
    """Counts from the layer tables of FastFlowNet and of the specification."""
    modules = complexity("avs_eem/base", (64, 64))["modules"]
    expected = {
        "motion_estimation": 1_366_114,
        "reference_features": 147_776,
        "current_features": 73_888,
        "motion_encoder": 1_087_072,
        "motion_decoder": 577_248,
        "context_mining": 325_968,
        "residual_encoder": 811_776,
        "residual_decoder": 943_936,
        "frame_generator": 542_614,
    }
    assert {name: modules[name]["parameters"] for name in expected} == expected


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("width", 63, "even number"),
        ("num_groups", 5, "must divide"),
        ("num_flows", 0, "at least one vector"),
        ("downsample", 3, "choose 2 or 4"),
        ("latent_channels", 0, "even number"),
    ],
)
def test_a_bad_configuration_names_field_value_and_rule(field, value, rule):
    with pytest.raises(UsageError, match=f"{field} is {value}.*{rule}"):
        EemBaseConfig(**{field: value})
