"""Integer layers: exact sums, a certificate, and weights that survive storage."""

import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.entropy.integer import (
    EXACT_LIMIT,
    Arithmetic,
    IntegerDense,
    IntegerDepthwise,
    IntegerTable,
    certify,
    magnitude_code,
    requantise,
    whole_bias,
    whole_weights,
)
from jaxnvc.errors import ModelError
from jaxnvc.models.bundle import load_bundle, save_bundle

every_arithmetic = pytest.mark.parametrize("arithmetic", Arithmetic)


def _master(rng, *shape) -> np.ndarray:
    """Draws master weights; their unit is 1/64, their range a little above 127/64."""
    return rng.uniform(-2.2, 2.2, shape).astype(np.float32)


def _whole(master: np.ndarray, limit=127) -> np.ndarray:
    """Rounds half up in float64: the definition, apart from the implementation."""
    scaled = np.clip(master.astype(np.float64) * 64, -limit, limit)
    return np.floor(scaled + 0.5).astype(np.int64)


def test_master_weights_round_half_up_to_whole_numbers_within_127():
    master = np.array([-5, -0.5 / 64, 0.5 / 64, 1.49 / 64, 126.7 / 64, 5], np.float32)
    np.testing.assert_array_equal(whole_weights(master), [-127, 0, 1, 1, 127, 127])
    # A bias is a whole number too, but may be larger.
    np.testing.assert_array_equal(whole_bias(master), [-320, 0, 1, 1, 127, 320])


@every_arithmetic
def test_dense_sums_are_those_of_64_bit_integers(arithmetic):
    rng = np.random.default_rng(0)
    x = rng.integers(-127, 128, (300, 96))
    kernel, bias = _master(rng, 96, 40), 30 * _master(rng, 40)
    params = {"params": {"integer_kernel": kernel, "integer_bias": bias}}
    layer = jax.jit(IntegerDense(40, arithmetic).apply)
    found = np.asarray(layer(params, jnp.asarray(x, jnp.float32)))
    expected = x @ _whole(kernel) + _whole(bias, limit=np.inf)
    np.testing.assert_array_equal(found, expected)


@every_arithmetic
def test_dense_sums_are_exact_up_to_the_certified_bound(arithmetic):
    """1040 full-scale products reach 0.9998 * 2**24 and none may be lost."""
    rng = np.random.default_rng(1)
    kernel = np.where(rng.random((1040, 8)) < 0.5, 127, 126).astype(np.float32) / 64
    x = rng.integers(126, 128, (64, 1040))
    params = {"integer_kernel": kernel, "integer_bias": np.zeros(8, np.float32)}
    assert 0.99 * EXACT_LIMIT < certify(params)["integer_kernel"] < EXACT_LIMIT
    layer = jax.jit(IntegerDense(8, arithmetic).apply)
    found = np.asarray(layer({"params": params}, jnp.asarray(x, jnp.float32)))
    np.testing.assert_array_equal(found.astype(np.int64), x @ _whole(kernel))


@every_arithmetic
def test_depthwise_sums_are_those_of_64_bit_integers(arithmetic):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 128, (2, 6, 7, 5))
    kernel, bias = _master(rng, 3, 3, 5), _master(rng, 5)
    params = {"params": {"integer_kernel": kernel, "integer_bias": bias}}
    layer = jax.jit(IntegerDepthwise(3, arithmetic).apply)
    found = np.asarray(layer(params, jnp.asarray(x, jnp.float32)))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = _whole(bias) + sum(
        padded[:, i : i + 6, j : j + 7] * _whole(kernel)[i, j]
        for i, j in np.ndindex(3, 3)
    )
    np.testing.assert_array_equal(found, expected)


def test_requantising_scales_rounds_half_up_and_rectifies():
    sums = jnp.array([-500.0, -32.0, 31.0, 32.0, 95.0, 96.0, 8127.0, 1e6])
    np.testing.assert_array_equal(requantise(sums), [0, 0, 0, 1, 1, 2, 127, 127])


def test_magnitude_codes_grow_like_the_logarithm_and_ignore_the_sign():
    symbols = np.arange(-40, 41)
    code = np.asarray(magnitude_code(jnp.asarray(symbols, jnp.float32)))
    np.testing.assert_array_equal(code, code[::-1])
    assert (np.diff(code[40:]) >= 0).all()
    ideal = np.minimum(32 * np.log2(1 + np.abs(symbols)), 127)
    # Between the listed levels 9, 12 and 15 the step is 11 at most.
    assert np.abs(code - ideal).max() < 12
    np.testing.assert_array_equal(code[40:44], np.round(ideal[40:44]))


def test_tables_interpolate_exactly_between_anchors_and_add_the_level():
    rng = np.random.default_rng(3)
    anchors, levels = 10 * _master(rng, 9, 6), _master(rng, 2, 6)
    params = {"params": {"integer_bias": anchors, "integer_level_bias": levels}}
    table = jax.jit(IntegerTable(6, 2).apply)
    qp = np.arange(64)
    found = table(params, jnp.asarray(qp, jnp.int32), jnp.int32(1))
    low, part = qp // 8, (qp % 8)[:, None]
    whole = _whole(anchors, np.inf)
    expected = whole[low] * (8 - part) + whole[low + 1] * part
    expected = expected + 8 * _whole(levels, np.inf)[1]
    np.testing.assert_array_equal(found[:, 0, 0], expected)


def test_the_certificate_is_the_largest_possible_sum_of_each_layer():
    rng = np.random.default_rng(4)
    params = {
        "dense": {
            "integer_kernel": _master(rng, 50, 7),
            "integer_bias": 9 * _master(rng, 7),
        },
        "deep": {
            "mix": {
                "integer_kernel": _master(rng, 3, 3, 7),
                "integer_bias": _master(rng, 7),
            }
        },
        "float": {"kernel": np.full((4, 4), 1e9, np.float32)},
    }
    expected = {}
    for path, layer in (
        ("dense", params["dense"]),
        ("deep/mix", params["deep"]["mix"]),
    ):
        weights = np.abs(_whole(layer["integer_kernel"])).reshape(-1, 7).sum(0)
        bias = np.abs(_whole(layer["integer_bias"], np.inf))
        expected[f"{path}/integer_kernel"] = int((bias + 127 * weights).max())
    assert certify(params) == expected


def _wide_layer(num_inputs: int, value: float = 2.0) -> dict:
    return {
        "wide": {
            "integer_kernel": np.full((num_inputs, 2), value, np.float32),
            "integer_bias": np.zeros(2, np.float32),
        }
    }


def test_a_layer_that_could_pass_the_bound_is_refused_by_name():
    # 1100 * 127 * 127 = 1.06 * 2**24; 1040 inputs stay at 0.9998 * 2**24.
    assert certify(_wide_layer(1040))["wide/integer_kernel"] == 1040 * 127**2
    with pytest.raises(ModelError, match="wide/integer_kernel.*17741900"):
        certify(_wide_layer(1100))


def test_beyond_the_bound_float_sums_do_go_wrong():
    """Why the certificate exists: 1.05 * 2**24 holds no odd number."""
    sums = 1100 * 126 * 127 + 1
    x = jnp.concatenate([jnp.full(1100, 127.0), jnp.ones(1)])
    kernel = jnp.concatenate([jnp.full(1100, 126.0), jnp.ones(1)])[:, None]
    assert int((x @ kernel)[0]) != sums


def test_a_bias_counts_towards_the_bound():
    params = _wide_layer(1040)
    params["wide"]["integer_bias"][1] = -4096 / 64
    with pytest.raises(ModelError, match=str(1040 * 127**2 + 4096)):
        certify(params)


@pytest.fixture(scope="module")
def tiny_parts(tiny_bundle_path):
    """The tiny model's parameters with noise on them, and what its file says."""
    bundle = load_bundle(tiny_bundle_path)
    with zipfile.ZipFile(tiny_bundle_path) as archive:
        meta = json.loads(archive.read("meta.json"))
    rng = np.random.default_rng(6)
    params = jax.tree.map(
        lambda a: a + rng.normal(0, 0.2, a.shape).astype(np.float32), bundle.params
    )
    return params, {k: v for k, v in meta.items() if k != "certificate"}


def test_stored_weights_stand_for_the_same_whole_numbers(tiny_parts, tmp_path):
    params, meta = tiny_parts
    path = str(tmp_path / "noisy.nvcm")
    save_bundle(path, params, meta)
    loaded = load_bundle(path).params
    pairs = zip(
        jax.tree_util.tree_leaves_with_path(params),
        jax.tree_util.tree_leaves_with_path(loaded),
        strict=True,
    )
    seen = 0
    for (key, before), (_, after) in sorted(pairs, key=str):
        name = jax.tree_util.keystr(key[-1:], simple=True)
        if name.startswith("integer_"):
            rounded = whole_weights if name == "integer_kernel" else whole_bias
            np.testing.assert_array_equal(rounded(after), rounded(before))
            seen += 1
    assert seen > 40


def test_a_bundle_carries_its_certificate(tiny_bundle_path):
    bundle = load_bundle(tiny_bundle_path)
    assert bundle.info["certificate"] == certify(bundle.params)


def test_loading_checks_the_weights_and_not_the_certificate_in_the_file(
    tiny_parts, tmp_path, monkeypatch
):
    params, meta = tiny_parts
    unsafe = {**params, "inter": {**params["inter"], **_wide_layer(1100)}}
    path = str(tmp_path / "unsafe.nvcm")
    with pytest.raises(ModelError, match="wide/integer_kernel"):
        save_bundle(path, unsafe, meta)
    # A file from elsewhere: written without the check.
    monkeypatch.setattr("jaxnvc.models.bundle.certify", lambda params: {"all": 1})
    save_bundle(path, unsafe, meta)
    monkeypatch.undo()
    with pytest.raises(ModelError, match="wide/integer_kernel"):
        load_bundle(path)
    # A model that makes no promise may sum as it likes.
    monkeypatch.setattr("jaxnvc.models.bundle.certify", lambda params: {"all": 1})
    save_bundle(path, unsafe, {**meta, "portable": False})
    monkeypatch.undo()
    assert not load_bundle(path).portable
