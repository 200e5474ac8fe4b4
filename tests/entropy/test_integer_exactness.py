"""The integer prior gives the same scale indices in every way to compute it.

One differing index makes a stream undecodable from there on, so not one of two
million may differ: between routes, batch sizes, jit and eager, shardings, other
instruction sets and another convolution library. The last two are only reached by
flags that XLA reads at its start, hence the other processes.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxnvc.entropy.cond import Cond
from jaxnvc.entropy.integer import Arithmetic
from jaxnvc.layers.quarters import group_map, stage_mask
from jaxnvc.layers.scales import ScaleNet

ROOT = pathlib.Path(__file__).parents[2]
# The other machines that one machine can be.
ELSEWHERE = {
    "SSE4.2": "--xla_cpu_max_isa=SSE4_2",
    "other-convolutions": "--xla_cpu_experimental_ynn_fusion_type=",
}
BATCH, HEIGHT, WIDTH, CHANNELS, KNOWN = 8, 32, 128, 64, 24
HIDDEN, LEVELS, LEVEL = 32, 2, 1


def _net(arithmetic: Arithmetic) -> ScaleNet:
    initial = np.zeros((9, CHANNELS), np.float32)
    return ScaleNet(CHANNELS, HIDDEN, LEVELS, initial, arithmetic)


def _index(net: ScaleNet, known, symbols, qp):
    """Returns the indices of all four stages, int [B, H, W, C]."""
    cond = Cond.of(qp, LEVEL)
    trunk = net.trunk(known, None, cond)
    decoded, stages = jnp.zeros_like(symbols), []
    for stage in range(4):
        stages.append(net.index(trunk, decoded, cond, stage))
        decoded = decoded + symbols * stage_mask(*symbols.shape[1:], stage)
    return jnp.concatenate(stages, -1)


def _inputs():
    """Draws transmitted whole numbers, alike in every process."""
    rng = np.random.default_rng(20)
    grid = (BATCH, HEIGHT, WIDTH)
    known = rng.integers(-127, 128, (*grid, KNOWN)).astype(np.float32)
    symbols = np.rint(rng.laplace(0, 2.0, (*grid, CHANNELS))).astype(np.float32)
    return known, symbols, np.array([0, 3, 17, 31, 32, 45, 62, 63], np.int32)


def _params():
    """Draws weights for every leaf, the heads that start at zero included."""
    shapes = jax.eval_shape(
        lambda *inputs: _net(Arithmetic.FLOAT32).init(
            jax.random.key(0), *inputs, method=_index
        ),
        *_inputs(),
    )
    rng = np.random.default_rng(21)

    def draw(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.endswith("base/integer_bias"):
            return rng.uniform(5, 55, leaf.shape)
        if not name.endswith("kernel"):
            return rng.normal(0, 2, leaf.shape)
        return rng.normal(0, 1.5 / np.sqrt(np.prod(leaf.shape[:-1])), leaf.shape)

    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: draw(path, leaf).astype(np.float32), shapes
    )


def _program(arithmetic=Arithmetic.FLOAT32):
    net, params = _net(arithmetic), _params()
    return lambda *inputs: net.apply(params, *inputs, method=_index)


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """The indices as this process's decoder computes them, in float32."""
    index = np.asarray(jax.jit(_program())(*_inputs()))
    assert index.size >= 2_000_000
    # A test of constants would prove nothing.
    histogram = np.bincount(index.astype(int).ravel(), minlength=64)
    assert (histogram > 0).all()
    assert histogram[[0, 63]].sum() < 0.25 * index.size
    return index


def _assert_none_differs(found, expected):
    assert np.count_nonzero(np.asarray(found) != expected) == 0


def test_indices_are_whole_numbers_of_the_table(expected):
    _assert_none_differs(np.clip(np.floor(expected), 0, 63), expected)


def _oracle(known, symbols, qp) -> np.ndarray:
    """The same network in 64-bit NumPy integers, for one clip."""
    params = jax.tree.map(
        lambda a: np.floor(a.astype(np.float64) * 64 + 0.5).astype(np.int64),
        _params()["params"],
    )

    def dense(x, name):
        layer = params[name]
        return x @ np.clip(layer["integer_kernel"], -127, 127) + layer["integer_bias"]

    def mix(x, name):
        kernel = np.clip(params[name]["integer_kernel"], -127, 127)
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        (height, width), total = x.shape[:2], params[name]["integer_bias"]
        for i, j in np.ndindex(3, 3):
            total = total + padded[i : i + height, j : j + width] * kernel[i, j]
        return total

    def table(name):
        rows, (low, part) = params[name]["integer_bias"], divmod(int(qp), 8)
        row = rows[low] * (8 - part) + rows[low + 1] * part
        return row + 8 * params[name]["integer_level_bias"][LEVEL]

    def requantise(sums):
        return np.clip((sums + 32) >> 6, 0, 127)

    def code(symbols):
        levels = np.array([1, 2, 3, 4, 5, 7, 9, 12, 15])
        values = np.minimum(127, np.rint(32 * np.log2(1 + levels)).astype(int))
        below = np.searchsorted(levels, np.abs(symbols), side="right")
        return np.concatenate([[0], values])[below]

    trunk = requantise(dense(known, "enter") + table("shade"))
    trunk = requantise(dense(requantise(mix(trunk, "mix")), "leave"))
    decoded, stages = np.zeros_like(symbols), []
    height, width = symbols.shape[:2]
    for stage in range(4):
        x = np.concatenate([trunk, code(decoded)], -1)
        x = requantise(dense(x, f"stage_enter_{stage}"))
        x = requantise(mix(x, f"stage_mix_{stage}"))
        sums = dense(x, f"head_{stage}") + table("base")
        group = group_map(height, width, stage)[..., None, None]
        quarter = np.take_along_axis(sums.reshape(height, width, 4, -1), group, 2)
        stages.append(np.clip((quarter[:, :, 0] + 256) >> 9, 0, 63))
        decoded = decoded + symbols * stage_mask(*symbols.shape, stage)[0].astype(int)
    return np.concatenate(stages, -1)


def test_float32_sums_give_the_indices_of_64_bit_integers(expected):
    for clip, (known, symbols, qp) in enumerate(zip(*_inputs(), strict=True)):
        found = _oracle(known.astype(np.int64), symbols.astype(np.int64), qp)
        _assert_none_differs(found, expected[clip])


def test_int8_operands_with_int32_sums_give_the_same_indices(expected):
    _assert_none_differs(jax.jit(_program(Arithmetic.INT8))(*_inputs()), expected)


@pytest.mark.parametrize("size", [1, 4])
def test_the_batch_size_does_not_matter(expected, size):
    program, inputs = jax.jit(_program()), _inputs()
    for first in range(0, BATCH, size):
        part = slice(first, first + size)
        _assert_none_differs(program(*(a[part] for a in inputs)), expected[part])


def test_vmap_gives_the_same_indices(expected):
    def one(*inputs):
        return _program()(*(a[None] for a in inputs))[0]

    _assert_none_differs(jax.jit(jax.vmap(one))(*_inputs()), expected)


def test_op_by_op_execution_gives_the_same_indices(expected):
    known, symbols, qp = (jnp.asarray(a[:1]) for a in _inputs())
    with jax.disable_jit():
        found = _program()(known, symbols, qp)
    _assert_none_differs(found, expected[:1])


def test_sharding_over_eight_devices_gives_the_same_indices(expected):
    assert jax.device_count() == 8
    mesh = Mesh(np.array(jax.devices()), ("data",))
    inputs = jax.device_put(_inputs(), NamedSharding(mesh, P("data")))
    found = jax.jit(_program())(*inputs)
    assert len(found.sharding.device_set) == 8
    _assert_none_differs(found, expected)


def float_fingerprint() -> str:
    """Hashes what floats do here: elementary functions, sums, and convolutions."""
    rng = np.random.default_rng(22)
    x = rng.normal(size=(2, 16, 16, 64)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 64, 64)).astype(np.float32)

    def floats(x, kernel):
        wave = jnp.tanh(x) * x + jnp.exp(x)
        return wave, jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    parts = jax.jit(floats)(x, kernel)
    return hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in parts)).hexdigest()


def digest(index) -> str:
    """Hashes scale indices."""
    return hashlib.sha256(np.asarray(index).astype(np.uint8).tobytes()).hexdigest()


def report() -> None:
    """Prints what another process has to say; see `run_elsewhere`."""
    index = {
        arithmetic.name: digest(jax.jit(_program(arithmetic))(*_inputs()))
        for arithmetic in Arithmetic
    }
    print(json.dumps({"floats": float_fingerprint(), "index": index}))


def run_elsewhere(name: str, program: str) -> dict:
    """Runs a Python program on an `ELSEWHERE` platform; skips where there is none.

    Args:
      name: key of `ELSEWHERE`.
      program: prints one line of JSON with "floats": `float_fingerprint()`.

    Returns:
      What it printed.
    """
    flag = ELSEWHERE[name]
    environment = {
        **os.environ,
        "XLA_FLAGS": flag,
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode and "Unknown flag" in done.stderr:
        pytest.skip(f"the installed jaxlib does not know the flag {flag}")
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    if result["floats"] == float_fingerprint():
        pytest.skip(f"{flag} changes no float on this machine: it is no other platform")
    return result


@pytest.mark.parametrize("name", ELSEWHERE)
def test_another_platform_gives_the_same_indices(expected, name):
    program = "from tests.entropy import test_integer_exactness as t; t.report()"
    found = run_elsewhere(name, program)["index"]
    assert found == {"FLOAT32": digest(expected), "INT8": digest(expected)}


def test_a_flag_unknown_to_xla_is_reported_and_not_passed(monkeypatch):
    monkeypatch.setitem(ELSEWHERE, "none", "--xla_cpu_no_such_flag=1")
    with pytest.raises(pytest.skip.Exception, match="xla_cpu_no_such_flag"):
        run_elsewhere("none", "import jax; print(jax.devices())")
