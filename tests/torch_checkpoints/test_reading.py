"""Weights come out of PyTorch's files as they went in, without PyTorch."""

import hashlib
import pathlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxnvc.models.torch_checkpoint import read_state_dict
from tests.oracles.torch_writer import Stored, View, legacy_bytes, tensor, zip_bytes

WRITERS = {"zip": zip_bytes, "legacy": legacy_bytes}
HERE = pathlib.Path(__file__).parent


@pytest.fixture(params=WRITERS)
def read_back(request, tmp_path):
    """Saves with either format and reads the weights again."""

    def read(value):
        path = tmp_path / "checkpoint.pth.tar"
        path.write_bytes(WRITERS[request.param](value))
        return read_state_dict(path)

    return read


def _weights():
    rng = np.random.default_rng(1)
    shapes = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "gain": ()}
    return {n: rng.normal(size=s).astype("float32") for n, s in shapes.items()}


def _saved(arrays, prefix=""):
    return {prefix + n: tensor(str(k), a) for k, (n, a) in enumerate(arrays.items())}


def _assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_names_shapes_and_numbers_survive(read_back):
    _assert_same(read_back(_saved(_weights())), _weights())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda saved: {"state_dict": saved},
        lambda saved: {"epoch": 7, "net": saved},
        lambda saved: {"state_dict": {"net": saved}},
    ],
    ids=["state_dict", "net", "both"],
)
def test_the_state_dict_is_unwrapped(read_back, wrap):
    _assert_same(read_back(wrap(_saved(_weights()))), _weights())


def test_the_prefix_of_data_parallel_training_is_dropped(read_back):
    _assert_same(read_back({"net": _saved(_weights(), "module.")}), _weights())


def test_the_optimizer_of_a_training_status_is_passed_over(read_back):
    step = tensor("step", np.array(3.0, "float32"))
    optimizer = {
        "state": {0: {"step": step, "exp_avg": tensor("avg", np.zeros(4, "float32"))}},
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "fused": None}],
    }
    status = {"epoch": 3, "net": _saved(_weights()), "opt": optimizer}
    _assert_same(read_back(status), _weights())


def test_parameters_are_read_as_tensors(read_back):
    stored = Stored("0", np.arange(6, dtype="float32"))
    found = read_back({"w": View(stored, (2, 3), (3, 1), is_parameter=True)})
    np.testing.assert_array_equal(found["w"], [[0, 1, 2], [3, 4, 5]])


def test_tensors_may_share_a_storage(read_back):
    stored = Stored("7", np.arange(24, dtype="float32"))
    found = read_back(
        {
            "whole": View(stored, (2, 3, 4), (12, 4, 1)),
            "transposed": View(stored, (4, 3, 2), (1, 4, 12)),
            "column": View(stored, (2, 3), (12, 4), offset=2),
            "repeated": View(stored, (2, 3), (1, 0), offset=22),
            "empty": View(stored, (0, 5), (5, 1)),
            "lone": View(stored, (1, 2), (10**30, 12)),
        }
    )
    whole = np.arange(24, dtype="float32").reshape(2, 3, 4)
    np.testing.assert_array_equal(found["whole"], whole)
    np.testing.assert_array_equal(found["transposed"], whole.transpose(2, 1, 0))
    np.testing.assert_array_equal(found["column"], whole[:, :, 2])
    np.testing.assert_array_equal(found["repeated"], [[22] * 3, [23] * 3])
    assert found["empty"].shape == (0, 5)
    np.testing.assert_array_equal(found["lone"], [[0, 12]])


@pytest.mark.parametrize(
    "dtype",
    [
        "float64",
        "float32",
        "float16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "bool",
    ],
)
def test_every_kind_of_number_is_read(read_back, dtype):
    numbers = np.arange(-3, 9).reshape(3, 4).astype(dtype)
    _assert_same(read_back({"w": tensor("0", numbers)}), {"w": numbers})


def test_bfloat16_becomes_the_same_float32(read_back):
    numbers = np.array([1.0, -2.5, 3.140625, 2.0**-130, np.inf], "float32")
    upper_halves = (numbers.view("uint32") >> 16).astype("uint16")
    found = read_back({"w": tensor("0", upper_halves, dtype="bfloat16")})
    _assert_same(found, {"w": numbers})


@pytest.mark.parametrize("byteorder", ["little", "big", None])
def test_the_byte_order_is_what_the_file_says(tmp_path, byteorder):
    path = tmp_path / "c.pth"
    path.write_bytes(zip_bytes(_saved(_weights()), byteorder=byteorder))
    _assert_same(read_state_dict(path), _weights())


def test_arrays_cannot_be_changed_by_accident(read_back):
    found = read_back(_saved(_weights()))
    with pytest.raises(ValueError, match="read-only"):
        found["conv.bias"][0] = 1


def test_a_file_that_pytorch_wrote_is_read():
    """The numbers follow from a rule, so this file needs no second one beside it."""
    found = read_state_dict(HERE / "real.pth.tar")
    shapes = {"0.weight": (2, 3, 3, 3), "0.bias": (2,), "1.weight": (4, 2)}
    expected = {}
    for name, shape in shapes.items():
        seed = list(hashlib.sha256(name.encode()).digest()[:4])
        rng = np.random.default_rng(seed)
        expected[name] = rng.normal(size=shape).astype("float32")
    _assert_same(found, expected)


@st.composite
def _views(draw):
    """A storage and a view that lies within it."""
    dtype = draw(st.sampled_from(["float32", "float16", "float64", "int64", "uint8"]))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    strides = draw(
        st.lists(st.integers(0, 9), min_size=len(shape), max_size=len(shape))
    )
    offset = draw(st.integers(0, 5))
    reach = sum(max(n - 1, 0) * s for n, s in zip(shape, strides, strict=True))
    numbers = np.arange(offset + reach + 1).astype(dtype)
    return View(Stored("0", numbers), tuple(shape), tuple(strides), offset)


@hypothesis.settings(deadline=None, max_examples=60, derandomize=True)
@hypothesis.given(view=_views(), format=st.sampled_from(sorted(WRITERS)))
def test_any_view_is_what_its_strides_say(tmp_path_factory, view, format):
    path = tmp_path_factory.getbasetemp() / "view.pth"
    path.write_bytes(WRITERS[format]({"w": view}))
    found = read_state_dict(path)["w"]
    assert found.shape == view.shape
    for place in np.ndindex(*view.shape):
        index = view.offset + sum(np.multiply(place, view.strides))
        assert found[place] == view.storage.numbers[int(index)]
