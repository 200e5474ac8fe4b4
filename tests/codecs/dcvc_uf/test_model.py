"""The video models keep their state, their order of parts and their dtype.

A chunk of two frames with every tool of HT-S; the others run in test_parity.py.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.codecs import registry
from jaxnvc.codecs.dcvc_uf.model import DcvcUf
from jaxnvc.codecs.dcvc_uf.published import params_from_state_dict, state_shapes
from jaxnvc.codecs.protocol import Cond
from tests.codecs.dcvc_uf.weights import drawn

SIDE = 16


def _normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


class Tiny:
    """A tiny model, its weights, two clips of one unit and a state with memory."""

    def __init__(self):
        config = registry.PRESETS["dcvc_uf/hts-tiny"]
        self.model = DcvcUf(config)
        weights = drawn(state_shapes(config), gain=0.9)
        params = params_from_state_dict(weights, config)
        self.params = jax.tree.map(jnp.asarray, params)
        self.bound = self.model.bind({"params": self.params})
        rng = np.random.default_rng(0)
        shape = (2, config.frames, SIDE, SIDE, 6)
        self.x = jnp.asarray(rng.random(shape), jnp.float32)
        start = self.bound.start(_normal(2, 4, 4, 192))
        self.state = start.replace(
            fresh=jnp.zeros(2, bool),
            memory=_normal(*start.memory.shape, seed=1),
            feature=_normal(*start.feature.shape, seed=2),
        )


@pytest.fixture(scope="module")
def hts():
    return Tiny()


# Nearly all of it is compile time.
@functools.partial(
    jax.jit,
    static_argnums=0,
    compiler_options={"xla_backend_optimization_level": 0},
)
def run(model, params, state, x, cond):
    """Codes a unit of a model with all scales at once; returns what y became."""
    codec = model.bind({"params": params})
    work = codec.begin(state, cond)
    source = codec.analyse(x, None, cond)
    prior, work = codec.prior(work, cond, 0)
    residual, source = codec.residual(work, source, cond, 0)
    work = codec.absorb(work, prior, prior.quantise(residual), cond, 0)
    prior, work = codec.prior(work, cond, 1)
    residual, source = codec.residual(work, source, cond, 1)
    symbols = prior.quantise(residual)
    ahead = codec.absorb(residual.work, prior, symbols, cond, 1).latent.y_hat
    work = codec.absorb(work, prior, symbols, cond, 1)
    state, x_hat = codec.finish(work, cond)
    y = source.y * work.latent.fine
    return state, x_hat, (y, residual.value, symbols, work.latent.y_hat, ahead)


@functools.partial(jax.jit, static_argnums=0)
def begin(model, params, state, cond):
    return model.bind({"params": params}).begin(state, cond)


def test_the_decoder_finds_the_means_that_the_encoder_subtracted(hts):
    _, _, latent = run(hts.model, hts.params, hts.state, hts.x, Cond.of([20, 40]))
    y, residual, symbols, y_hat, ahead = latent
    assert float(jnp.abs(symbols).max()) > 0
    np.testing.assert_allclose(y_hat - symbols, y - residual, atol=1e-5)
    # And the encoder need not find them a second time.
    np.testing.assert_allclose(ahead, y_hat, atol=1e-5)


def test_a_unit_is_as_many_pictures_as_it_has_frames(hts):
    _, x_hat, _ = run(hts.model, hts.params, hts.state, hts.x, Cond.of([20, 40]))
    assert x_hat.shape == hts.x.shape == (2, 2, SIDE, SIDE, 6)
    assert float(jnp.abs(x_hat[:, 0] - x_hat[:, 1]).max()) > 0.01


def test_a_unit_whose_pictures_are_not_wanted_leaves_the_same_behind(hts):
    cond = Cond.of([20, 40])
    state, x_hat, latent = run(hts.model, hts.params, hts.state, hts.x, cond)
    unseen = cond.replace(shown=jnp.bool_(False))
    found = run(hts.model, hts.params, hts.state, hts.x, unseen)
    chex.assert_trees_all_equal((found[0], found[2]), (state, latent))
    assert found[1].shape == x_hat.shape
    assert float(jnp.ptp(found[1])) < 1e-3 < float(jnp.ptp(x_hat))


def test_a_refresh_starts_from_the_last_picture_and_forgets_the_memory(hts):
    last = hts.bound.recon_head(hts.state.feature)[:, -1]
    expected = begin(hts.model, hts.params, hts.bound.start(last), Cond.of(9))
    found = begin(hts.model, hts.params, hts.state, Cond.of(9, refresh=True))
    for a, b in ((found.memory, expected.memory), (found.context, expected.context)):
        np.testing.assert_allclose(a, b, atol=1e-5)
    kept = begin(hts.model, hts.params, hts.state, Cond.of(9))
    assert float(jnp.abs(kept.memory - found.memory).max()) > 0.1


def test_a_clip_that_starts_does_not_disturb_one_that_goes_on(hts):
    mixed = hts.state.replace(fresh=jnp.array([True, False]))
    begun = [
        begin(hts.model, hts.params, hts.state.replace(fresh=fresh), Cond.of(9)).memory
        for fresh in (jnp.ones(2, bool), jnp.zeros(2, bool))
    ]
    found = begin(hts.model, hts.params, mixed, Cond.of(9)).memory
    np.testing.assert_allclose(found[0], begun[0][0], atol=1e-5)
    np.testing.assert_allclose(found[1], begun[1][1], atol=1e-5)


def test_a_refresh_of_a_clip_that_just_started_changes_nothing(hts):
    start = hts.bound.start(_normal(2, 4, 4, 192))
    plain = begin(hts.model, hts.params, start, Cond.of(9)).memory
    refreshed = begin(hts.model, hts.params, start, Cond.of(9, refresh=True)).memory
    np.testing.assert_array_equal(plain, refreshed)


def test_networks_run_in_bfloat16_nearly_alike_and_the_latent_in_float32(hts):
    half = hts.model.clone(dtype=jnp.bfloat16)
    state = jax.tree.map(
        lambda leaf: leaf.astype(jnp.bfloat16) if leaf.dtype != bool else leaf,
        hts.state,
    )
    cond = Cond.of([20, 40])
    exact = run(hts.model, hts.params, hts.state, hts.x, cond)
    found = run(half, hts.params, state, hts.x, cond)

    after, x_hat, latent = found
    kept = [leaf.dtype for leaf in jax.tree.leaves(after)]
    assert kept == [leaf.dtype for leaf in jax.tree.leaves(state)]
    assert {leaf.dtype for leaf in (x_hat, *latent)} == {jnp.dtype("float32")}

    def error(a, b):
        a, b = (np.asarray(x, np.float32) for x in (a, b))
        return np.sqrt(np.mean((a - b) ** 2) / np.mean(a**2))

    # Eight bits of mantissa: half a percent was measured, and more of the feature.
    assert 1e-4 < error(exact[2][0], latent[0]) < 0.02
    assert error(exact[0].feature, after.feature) < 0.04
    assert error(exact[1], x_hat) < 0.02


def test_frames_are_weighted_as_published_around_a_mean_of_one():
    for preset, heaviest in (("dcvc_uf/hts", 7), ("dcvc_uf/ld", 0)):
        weights = registry.build(preset).frame_weights
        assert np.mean(weights) == pytest.approx(1)
        assert np.argmax(weights) == heaviest
