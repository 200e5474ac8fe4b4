"""Starting weights are made to fit how a run weighs chroma."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import Cond
from jaxnvc.coding.unit import estimate_unit
from jaxnvc.models.bundle import load_bundle
from jaxnvc.ops.frame import from_planes
from train.config import load_config
from train.losses import distortion
from train.warm_start import load_start

LITE = "configs/avs_eem/lite.py"


@pytest.fixture(scope="module")
def coded(cars):
    """Codes a frame by given weights; returns the errors of luma and chroma, bits."""
    model, cond = registry.build("intra/lite"), Cond.of(32)
    planes = [plane[None] for plane in (cars[0].y, cars[0].u, cars[0].v)]
    x = from_planes(*planes, multiple=32)

    @jax.jit
    def estimate(params):
        codec = model.bind({"params": params})
        unit = estimate_unit(
            model, params, codec.reset(x, cond), codec.analyse(x, x, cond), cond
        )
        luma = distortion(unit.x_hat, x, (8.0, 0.0, 0.0))
        return luma[0], distortion(unit.x_hat, x, (0.0, 4.0, 4.0))[0], unit.bits.sum()

    return lambda params: np.array(estimate(params))


def test_a_run_that_weighs_chroma_more_starts_with_finer_steps_for_it(coded):
    old = load_bundle("eem-lite-1").params["intra"]
    new = load_start("eem-lite-1", load_config(LITE))["intra"]
    (luma, chroma, bits), (luma_now, chroma_now, bits_now) = coded(old), coded(new)
    assert chroma_now < 0.75 * chroma
    assert abs(luma_now / luma - 1) < 0.1
    assert 1 < bits_now / bits < 1.1


def test_a_bundle_that_weighs_chroma_as_the_run_does_is_taken_as_it_is():
    tiny = {"intra": "intra/tiny", "inter": "avs_eem/tiny"}
    run = dataclasses.replace(load_config(LITE), **tiny)
    for unit, params in load_start("eem-lite-1", run).items():
        jax.tree.map(
            np.testing.assert_array_equal,
            params,
            load_bundle("eem-lite-1").params[unit],
        )
