"""The untrained codec is the plain transform codec."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import Cond
from jaxnvc.coding.unit import estimate_unit
from jaxnvc.layers.transform import (
    CellTransform,
    initial_index,
    initial_log_step,
    is_chroma,
    luma_step,
)
from jaxnvc.ops.dct import cell_transform
from jaxnvc.ops.frame import from_planes
from jaxnvc.ops.spatial import depth_to_space, space_to_depth
from train.state import initial_params


def test_the_new_inverse_transform_inverts_the_forward_one():
    x = jnp.asarray(np.random.default_rng(0).random((2, 8, 12, 6)), jnp.float32)

    def both(module, x):
        y = module.forward(x)
        return y, module.inverse(y)

    (y, back), _ = CellTransform().init_with_output(jax.random.key(0), x, method=both)
    assert y.shape == (2, 2, 3, 96)
    np.testing.assert_allclose(back, x, atol=1e-5)


def test_mid_grey_has_no_coefficients():
    grey = jnp.full((1, 4, 4, 6), 0.5)
    y, _ = CellTransform().init_with_output(
        jax.random.key(0), grey, method=CellTransform.forward
    )
    np.testing.assert_array_equal(y, np.zeros((1, 1, 1, 96)))


def test_quantiser_steps_fall_from_96_to_4_as_quality_rises():
    steps = luma_step(np.arange(64))
    np.testing.assert_allclose(steps[[0, 63]], [96, 4])
    assert (np.diff(steps) < 0).all()
    # Samples are in [0, 1] there, and chroma steps are larger.
    ratio = 255 * np.exp(initial_log_step()) / luma_step(8 * np.arange(9))[:, None]
    np.testing.assert_allclose(ratio[:, ~is_chroma()], 1.0, rtol=1e-5)
    np.testing.assert_allclose(ratio[:, is_chroma()], 1.22, rtol=1e-5)


def test_initial_scale_indices_name_the_deviation_in_steps():
    deviation = np.full(96, 12.0)
    sigma = 0.11 * 2 ** (8 * initial_index(deviation) / 63)
    steps = 255 * np.exp(initial_log_step())
    # Index 0 stands for 0.11 and all below.
    np.testing.assert_allclose(sigma, np.maximum(deviation / steps, 0.11), rtol=1e-4)


@pytest.fixture(scope="module")
def picture(cars):
    """The middle of a real frame, packed, 64x64."""
    planes = (cars[0].y[64:128, 160:224],) + tuple(
        plane[32:64, 80:112] for plane in (cars[0].u, cars[0].v)
    )
    return from_planes(*planes, multiple=32)[None]


@pytest.fixture(scope="module")
def reconstruct():
    """x_hat of an untrained intra codec that rounds to nearest, by picture and qp.

    Where an error costs a million bits, no rate is worth a farther symbol.
    """
    model = registry.build("intra/tiny", rdo_weight=1e6)
    params = initial_params(model, seed=1)

    @jax.jit
    def run(picture, qp):
        cond = Cond.of(qp)
        codec = model.bind({"params": params})
        source = codec.analyse(picture, picture, cond)
        state = codec.reset(picture, cond)
        return estimate_unit(model, params, state, source, cond).x_hat

    return run


# Steps of qp 0 and 63 are whole samples: many coefficients lie on rounding edges.
@pytest.mark.parametrize("qp", [1, 33, 61])
def test_the_untrained_intra_codec_is_the_dct_a_quantiser_and_its_inverse(
    picture, qp, reconstruct
):
    matrix = cell_transform().astype(np.float64)
    step = luma_step(qp) / 255 * np.where(is_chroma(), 1.22, 1.0)
    cells = np.asarray(space_to_depth(picture - 0.5, 4), np.float64)
    y_hat = np.floor(cells @ matrix / step + 0.5) * step
    expected = np.clip(0.5 + np.asarray(depth_to_space(y_hat @ matrix.T, 4)), 0, 1)
    error = np.abs(np.asarray(reconstruct(picture, qp)) - expected)
    # A coefficient that lies on a rounding edge may fall to the other side.
    assert np.mean(error < 1e-4) > 0.98


def test_the_untrained_intra_codec_is_good_at_the_highest_quality(picture, reconstruct):
    """A step of 4 has a noise of 4 / sqrt(12) = 1.15, which is 46.9 dB."""
    error = 255 * (reconstruct(picture, 63) - picture)
    psnr_db = 20 * np.log10(255) - 10 * np.log10(float(jnp.mean(error**2)))
    assert psnr_db > 38
