"""Published checkpoints fit our networks: names, shapes, sizes, values."""

import jax
import numpy as np
import pytest

from jaxnvc.codecs import registry
from jaxnvc.codecs.dcvc_uf.published import (
    params_from_state_dict,
    state_dict_from_params,
    state_shapes,
)
from tests.codecs.dcvc_uf.weights import MODELS, published_shapes

PARAMETERS = {
    "intra": 42_179_328,
    "ld": 9_650_176,
    "hts": 81_157_632,
    "htl": 120_538_368,
}
TINY = ("intra-tiny", "ld-tiny", "hts-tiny", "htl-tiny")


def _config(model: str):
    return registry.PRESETS[f"dcvc_uf/{model}"]


@pytest.mark.parametrize("model", MODELS)
def test_names_and_shapes_are_those_of_the_published_checkpoint(model):
    assert state_shapes(_config(model)) == published_shapes(model)


@pytest.mark.parametrize("model", MODELS)
def test_the_models_have_the_published_number_of_parameters(model):
    shapes = state_shapes(_config(model)).values()
    assert sum(np.prod(shape, dtype=int) for shape in shapes) == PARAMETERS[model]


@pytest.fixture(scope="module", params=TINY)
def weights(request):
    """Configuration and weights by name, every element another number."""
    config, rng = _config(request.param), np.random.default_rng(0)
    shapes = state_shapes(config).items()
    return config, {n: rng.normal(size=s).astype(np.float32) for n, s in shapes}


def test_weights_survive_the_way_to_our_parameters_and_back(weights):
    config, state = weights
    params = params_from_state_dict(state, config)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}
    back = state_dict_from_params(params, config)
    assert list(back) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(back[name], value, name)
