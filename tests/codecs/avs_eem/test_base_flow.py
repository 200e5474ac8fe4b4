"""The flow network of the full codec: what it correlates, that it learns motion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.ndimage

from jaxnvc.codecs.avs_eem.base.flow import (
    FLOW_SCALE,
    FastFlowNet,
    MotionEstimation,
    correlation,
)

SIDE, REACH = 64, 6
STEPS = 110


def test_correlation_peaks_at_the_displacement():
    rng = np.random.default_rng(0)
    theirs = jnp.asarray(rng.normal(size=(1, 16, 16, 32)), jnp.float32)
    ours = jnp.roll(theirs, (-1, 2), (1, 2))
    best = np.asarray(correlation(ours, theirs).argmax(-1))[0, 5:-5, 5:-5]
    assert correlation(ours, theirs).shape[-1] == 53
    assert len(np.unique(best)) == 1


def _pairs(seed: int, batch: int = 4):
    """Makes textures and their shifted selves: x(p) = reference(p + vector)."""
    rng = np.random.default_rng(seed)
    wide = SIDE + 2 * REACH
    noise = rng.normal(size=(batch, wide, wide, 3))
    image = scipy.ndimage.gaussian_filter(noise, (0, 2, 2, 0))
    image = image / image.std()
    vectors = rng.integers(-REACH, REACH + 1, (batch, 2))
    x = [
        one[REACH + dy : REACH + dy + SIDE, REACH + dx : REACH + dx + SIDE]
        for one, (dx, dy) in zip(image, vectors, strict=True)
    ]
    reference = image[:, REACH : REACH + SIDE, REACH : REACH + SIDE]
    arrays = np.stack(x), reference, vectors[:, None, None]
    return tuple(jnp.asarray(array, jnp.float32) for array in arrays)


def test_a_known_translation_is_found_after_a_short_fit():
    model = FastFlowNet(width=8)
    params = jax.jit(model.init)(jax.random.key(0), *_pairs(0)[:2])
    optimiser = optax.adam(1e-3)

    def error(params, x, reference, vectors):
        found = FLOW_SCALE * model.apply(params, x, reference)
        return jnp.sqrt(((found - vectors) ** 2).sum(-1) + 1e-6).mean()

    @_quick
    def step(params, state, *pair):
        gradient = jax.grad(error)(params, *pair)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, updates), state

    state = optimiser.init(params)
    for seed in range(STEPS):
        params, state = step(params, state, *_pairs(seed + 1))
    unseen = _pairs(10_000, batch=8)
    standing_still = float(jnp.sqrt((unseen[2] ** 2).sum(-1)).mean())
    after = float(jax.jit(error)(params, *unseen))
    # What moves in from outside cannot be found.
    assert after < 0.7 * standing_still, (after, standing_still)


def _estimation(gain_db: float):
    model = MotionEstimation(downsample=2, gain_db=gain_db)
    x = jnp.zeros((1, 32, 32, 6))
    return model, _quick(model.init)(jax.random.key(1), x, x)


def _quick(function, **options):
    """Compiles what runs once."""
    quick = {"xla_backend_optimization_level": 0}
    return jax.jit(function, compiler_options=quick, **options)


def test_frames_that_reduction_brings_closer_are_estimated_reduced():
    rng = np.random.default_rng(0)
    model, params = _estimation(gain_db=1.0)
    smooth = jnp.asarray(rng.uniform(0.3, 0.7, (1, 1, 1, 6)), jnp.float32)
    still = jnp.broadcast_to(smooth, (1, 32, 32, 6))
    noisy = still + jnp.asarray(rng.normal(0, 0.05, still.shape), jnp.float32)
    brighter = still + 0.1

    pays = _quick(functools.partial(model.apply, params, method="_reduction_pays"))
    estimate = _quick(
        functools.partial(model.apply, params, method="_estimate"), static_argnums=2
    )
    run = _quick(functools.partial(model.apply, params))

    assert pays(noisy, still)
    assert not pays(brighter, still)
    # The decision is what runs: each side gives the vectors of its own estimate.
    for frame, factor in ((noisy, 2), (brighter, 1)):
        expected = estimate(frame, still, factor)
        np.testing.assert_allclose(run(frame, still), expected, atol=1e-4)
