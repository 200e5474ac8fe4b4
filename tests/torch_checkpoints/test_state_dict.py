"""Weights of another model are told by the first name that differs."""

import numpy as np
import pytest

from jaxnvc.errors import ModelError
from jaxnvc.models.state_dict import check_state_dict

SHAPES = {"enc.weight": (2, 3), "enc.bias": (2,), "dec.weight": (3,)}
GOOD = {name: np.ones(shape, "float32") for name, shape in SHAPES.items()}


def _check(state):
    return check_state_dict(state, SHAPES, "w.pth", "dcvc-uf-ld")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_of_any_width_become_float32_in_the_model_s_order(dtype):
    shuffled = {name: GOOD[name].astype(dtype) for name in reversed(GOOD)}
    found = _check(shuffled)
    assert list(found) == list(SHAPES)
    assert {value.dtype.name for value in found.values()} == {"float32"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"enc.bias": None}, ["lacks 'enc.bias' and 0 more", "3 tensors"]),
        ({"head.bias": np.ones(2)}, ["'head.bias'", "not have"]),
        ({"enc.bias": np.ones((2, 1))}, ["'enc.bias'", "(2, 1) instead of (2,)"]),
        ({"enc.bias": np.ones(2, "int64")}, ["'enc.bias'", "int64"]),
        ({"enc.bias": np.array([1, np.nan])}, ["'enc.bias'", "not finite"]),
        ({"enc.bias": np.array([1, -np.inf])}, ["'enc.bias'", "not finite"]),
        ({"enc.bias": np.array([1, 1e300])}, ["'enc.bias'", "not finite"]),
    ],
)
def test_the_first_difference_is_named(change, words):
    state = {k: v for k, v in (GOOD | change).items() if v is not None}
    with pytest.raises(ModelError) as caught:
        _check(state)
    message = str(caught.value)
    assert all(word in message for word in ["w.pth", *words]), message


def test_a_weight_that_claims_all_memory_is_refused_by_its_shape():
    vast = np.broadcast_to(np.float32(1), (1 << 20, 1 << 10, 1 << 10))
    with pytest.raises(ModelError, match="instead of"):
        _check(GOOD | {"enc.bias": vast})
