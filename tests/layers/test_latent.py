"""The entropy model of a latent sees only what has been decoded before."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.entropy.cond import Cond
from jaxnvc.layers.latent import History, HyperPrior, LatentCoder, whole_hyper
from jaxnvc.layers.quarters import put_quarter, stage_mask, take_quarter

# Compiles in a third of the time what runs a few times.
QUICK = {"xla_backend_optimization_level": 0}
CHANNELS, HEIGHT, WIDTH = 16, 6, 7
SHAPE = (1, HEIGHT, WIDTH, CHANNELS)


def _coder(*, portable: bool) -> LatentCoder:
    return LatentCoder(
        channels=CHANNELS,
        mean_width=12,
        scale_width=12,
        levels=2,
        initial_index=np.full((9, CHANNELS), 24.0, np.float32),
        portable=portable,
    )


def _normal(*shape, seed, scale=1.0):
    return jnp.asarray(np.random.default_rng(seed).normal(0, scale, shape), jnp.float32)


def _walk(coder, y, mu, features, known, cond):
    """Codes `y`; returns what each stage knew before its own symbols."""
    trunk, coded, seen = coder.trunk(known, features, cond), coder.open(mu), []
    step = 0.5
    for stage in range(4):
        coded = coder.predict(coded, mu, step, features, stage)
        prior = coder.prior(coded, trunk, cond, stage)
        seen.append((prior.index, take_quarter(coded.mu, stage)))
        symbols = prior.quantise(coder.residual(coded, y, step, 1e6, stage))
        coded = coder.absorb(coded, symbols, prior.index, step, stage)
    return seen, coded


INPUTS = {
    "y": _normal(*SHAPE, seed=1, scale=2.0),
    "mu": _normal(*SHAPE, seed=2, scale=0.3),
    "features": _normal(*SHAPE[:3], 6, seed=3),
    "known": jnp.asarray(
        np.random.default_rng(5).integers(-127, 128, (*SHAPE[:3], 5)), jnp.float32
    ),
}


@pytest.fixture(scope="module", params=[True, False], ids=["portable", "float"])
def coder(request) -> LatentCoder:
    return _coder(portable=request.param)


@pytest.fixture(scope="module")
def params(coder):
    """Random weights everywhere, so that nothing is independent by being zero."""

    @functools.partial(jax.jit, compiler_options=QUICK)
    def make(key):
        init = coder.init(key, **INPUTS, cond=Cond.of(30), method=_walk)
        leaves, tree = jax.tree.flatten(init)
        keys = jax.random.split(key, len(leaves))
        noise = [
            leaf + 0.3 * jax.random.normal(key, leaf.shape)
            for leaf, key in zip(leaves, keys, strict=True)
        ]
        return jax.tree.unflatten(tree, noise)

    return make(jax.random.key(0))


@pytest.fixture(scope="module")
def run(coder, params):
    """Codes y; see `_walk`."""
    program = jax.jit(
        lambda y: coder.apply(
            params, **{**INPUTS, "y": y}, cond=Cond.of(30), method=_walk
        ),
        compiler_options=QUICK,
    )
    return lambda y: jax.device_get(program(jnp.asarray(y, jnp.float32)))


def _elements_from(stage: int) -> np.ndarray:
    """Returns the elements coded in `stage` or later, float32 0/1 [1, H, W, C]."""
    grid = (HEIGHT, WIDTH, CHANNELS)
    return sum(stage_mask(*grid, k) for k in range(stage, 4)) + np.zeros((1, *grid))


@pytest.mark.parametrize("stage", range(4))
def test_a_stage_does_not_depend_on_itself_or_on_later_ones(run, stage):
    y = INPUTS["y"]
    disturbed = y + 50 * _normal(*SHAPE, seed=9) * _elements_from(stage)
    before, after = run(y)[0], run(disturbed)[0]
    for earlier in range(stage + 1):
        for found, expected in zip(after[earlier], before[earlier], strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_stage_does_use_the_ones_before(run, stage):
    y = INPUTS["y"]
    disturbed = y + 5 * _normal(*SHAPE, seed=9) * stage_mask(
        HEIGHT, WIDTH, CHANNELS, stage - 1
    )
    before, after = (
        run(y)[0][stage],
        run(disturbed)[0][stage],
    )
    assert (before[0] != after[0]).any()  # scale indices
    assert (before[1] != after[1]).any()  # means


def test_scale_indices_of_a_portable_model_ignore_everything_but_whole_numbers(
    coder, params
):
    """Portability: floats may differ in the last bit, the indices may not."""
    cond = Cond.of(30)
    symbols = jnp.round(INPUTS["y"]) * stage_mask(HEIGHT, WIDTH, CHANNELS, 0)

    def index(coder, mu, features):
        coded = coder.open(mu).replace(symbols=symbols)
        trunk = coder.trunk(INPUTS["known"], features, cond)
        return coder.prior(coded, trunk, cond, 1).index

    program = jax.jit(lambda *floats: coder.apply(params, *floats, method=index))
    mu, features = INPUTS["mu"], INPUTS["features"]
    first, other = program(mu, features), program(mu + 1e3, features + 1)
    assert jnp.unique(first).size > 10
    assert (first == other).all() == coder.portable


def test_coded_symbols_are_whole_to_the_last_bit(run):
    """The coder takes them as integers: 2.9999998 would be sent as 2."""
    _, coded = run(INPUTS["y"])
    np.testing.assert_array_equal(coded.symbols, np.rint(coded.symbols))


def test_the_decoded_latent_lies_within_half_a_step_of_the_source(run):
    y = INPUTS["y"]
    _, coded = run(y)
    assert float(jnp.abs(coded.y_hat - y).max()) <= 0.25 + 1e-5
    assert (coded.symbols != 0).any()


def test_history_keeps_magnitudes_and_indices_of_the_whole_latent(run):
    seen, coded = run(INPUTS["y"])
    history = History.of(coded)
    expected = sum(put_quarter(index, stage) for stage, (index, _) in enumerate(seen))
    np.testing.assert_array_equal(history.index, expected)
    assert 0 <= float(history.code.min()) < float(history.code.max()) <= 127
    np.testing.assert_array_equal(history.code == 0, coded.symbols == 0)
    empty = History.empty(SHAPE)
    assert jax.tree.map(jnp.shape, empty) == jax.tree.map(jnp.shape, history)


def test_the_hyper_latent_is_a_fourth_of_the_grid_and_fits_the_integer_network():
    hyper = HyperPrior(channels=3, width=8, levels=1)

    def both(module, residual):
        z = module.analyse(residual)
        return z, module.prior(z.shape, Cond.of(7)).index

    residual = _normal(2, 8, 12, CHANNELS, seed=4, scale=100.0)
    init = jax.jit(lambda x: hyper.init_with_output(jax.random.key(0), x, method=both))
    (z, index), _ = init(residual)
    assert z.shape == index.shape == (2, 2, 3, 3)
    # The model's own initial value.
    np.testing.assert_array_equal(index, np.full(index.shape, 14.0))
    whole = whole_hyper(jnp.array([-20.0, -3.0, 0.0, 2.0, 9.0]))
    np.testing.assert_array_equal(whole, [-127, -48, 0, 32, 127])
