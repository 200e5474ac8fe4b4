"""What every codec family owes the drivers, told once for all of them.

A new family joins by its line in `UNDER_CONTRACT`.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import Cond, still_unit
from jaxnvc.coding.gop import level_of
from jaxnvc.coding.unit import decode_unit, encode_unit, estimate_unit
from jaxnvc.ops.frame import from_planes
from tests.coding.test_portability import roughen
from train.state import initial_params

UNDER_CONTRACT = (
    "intra/tiny",
    "intra/base-tiny",
    "avs_eem/tiny",
    # The same but for where scales come from: tests/coding/test_joint.py.
    "avs_eem/base-tiny-portable",
    "dcvc_uf/tiny",
    "dcvc_uf/intra-tiny",
    "dcvc_uf/hts-tiny",
)
# Untrained, these are working transform codecs; the others start from noise.
START_AS_CODECS = ("intra/tiny", "avs_eem/tiny", "dcvc_uf/tiny")
# A refresh starts these from the last picture alone, the others from more: 4:4:4 and
# not clipped, see tests/codecs/dcvc_uf/test_model.py.
START_OVER_FROM_PICTURE = tuple(p for p in UNDER_CONTRACT if p != "dcvc_uf/hts-tiny")
SIZE, NUM_UNITS, MOST_FRAMES = 64, 3, 3
QP = np.array([27, 45])  # One per clip of the batch.

# Each program is run a few times on little: compiling them is most of the work.
_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)
encode = _jit(encode_unit, static_argnums=0)
decode = _jit(decode_unit, static_argnums=(0, 5))


@functools.partial(_jit, static_argnums=0)
def estimate(model, params, state, x, x_previous, cond):
    source = model.bind({"params": params}).analyse(x, x_previous, cond)
    return estimate_unit(model, params, state, source, cond)


@functools.partial(_jit, static_argnums=0)
def reset(model, params, x_hat, cond):
    return model.bind({"params": params}).reset(x_hat, cond)


class Family:
    """A preset with its weights, and the units of two clips coded with them."""

    def __init__(self, preset: str, frames):
        self.preset, self.frames = preset, frames
        self.model = registry.build(preset)
        self.params = initial_params(self.model, seed=1)
        self.rough = roughen(self.params)

    def cond(self, unit: int, qp=QP, refresh=False) -> Cond:
        level = level_of(unit, self.model.num_levels)
        return Cond.of(qp, level, skip=6, refresh=refresh)

    @functools.cached_property
    def units(self) -> list:
        """Payload, state and x_hat of each unit, with weights not zero."""
        state = self.start(self.frames[0])
        units = []
        for unit in range(1, NUM_UNITS + 1):
            coded = self.encode(state, unit)
            units.append(coded)
            state = coded[1]
        return units

    def start(self, x_hat):
        return reset(self.model, self.rough, x_hat, self.cond(0))

    def encode(self, state, unit: int, **cond):
        x, x_previous = self.source(self.frames, unit)
        cond = self.cond(unit, **cond)
        return encode(self.model, self.rough, state, x, x_previous, cond)

    def source(self, frames, unit: int):
        """Returns a unit after frame 0, counted from 1, and the frame before it."""
        count = self.model.frames_per_unit
        first = 1 + (unit - 1) * count
        own = frames[first : first + count]
        return own[0] if count == 1 else jnp.stack(own, 1), frames[first - 1]


def _cut(cars, corners) -> list:
    """Cuts two 64x64 clips out of real video, packed, [2, 32, 32, 6] per frame."""

    def both(plane, step):
        side = SIZE // step
        return np.stack(
            [plane[r // step :, c // step :][:side, :side] for r, c in corners]
        )

    return [
        from_planes(both(p.y, 1), both(p.u, 2), both(p.v, 2), multiple=32)
        for p in cars[: NUM_UNITS * MOST_FRAMES + 1]
    ]


@pytest.fixture(scope="module")
def frames(cars):
    """Cars that move by several samples per frame."""
    return _cut(cars, ((0, 64), (8, 32)))


@pytest.fixture(scope="module")
def still(cars):
    """Parts where little moves."""
    return _cut(cars, ((96, 128), (64, 224)))


@pytest.fixture(scope="module", params=UNDER_CONTRACT)
def family(request, frames) -> Family:
    return Family(request.param, frames)


@pytest.fixture(scope="module", params=START_AS_CODECS)
def starting_codec(request, frames) -> Family:
    return Family(request.param, frames)


def test_every_family_is_under_contract():
    families = {registry.family_of(preset) for preset in UNDER_CONTRACT}
    assert families == set(registry.FAMILIES)


@pytest.mark.parametrize("preset", registry.PRESETS)
def test_every_stage_has_a_name_of_its_own(preset):
    model = registry.build(preset)
    assert len(model.stage_names) == model.num_stages
    assert len(set(model.stage_names)) == model.num_stages


def test_a_family_states_its_stages_sizes_and_levels(family):
    model = family.model
    assert model.num_stages >= 1
    assert model.num_levels >= 1
    assert model.size_multiple % 2 == 0
    assert 1 <= model.frames_per_unit <= MOST_FRAMES
    assert len(model.frame_weights) % model.frames_per_unit == 0
    # Static arguments of jitted programs: equal modules must be equal keys.
    twin = registry.build(family.preset)
    assert (model, hash(model)) == (twin, hash(twin))


def test_residuals_have_the_shape_of_their_prior_in_every_stage(family):
    def walk(params, x):
        codec, cond = family.model.bind({"params": params}), family.cond(1)
        work = codec.begin(codec.reset(x, cond), cond)
        source, pairs = codec.analyse(still_unit(codec, x), x, cond), []
        for stage in range(codec.num_stages):
            prior, work = codec.prior(work, cond, stage)
            residual, source = codec.residual(work, source, cond, stage)
            pairs.append((prior.index, residual.value))
            work = codec.absorb(work, prior, residual.value, cond, stage)
        return pairs

    for index, residual in jax.eval_shape(walk, family.params, family.frames[0]):
        assert index.shape == residual.shape
        assert index.shape[0] == len(QP)


def test_the_decoder_gets_the_symbols_state_and_picture_of_the_encoder(family):
    state = family.start(family.frames[0])
    for unit, (payload, expected, x_hat) in enumerate(family.units, 1):
        lanes = {int(n) for n in payload.lanes}
        assert len(lanes) == 1, "clips this small all have the least lanes"
        state, decoded, sound, check = decode(
            family.model,
            family.rough,
            state,
            payload.words,
            payload.num_words,
            lanes.pop(),
            family.cond(unit),
        )
        assert sound.all()
        np.testing.assert_array_equal(check, payload.check)
        # Two programs: floats differ by rounding, gathered over the units.
        chex.assert_trees_all_close(state, expected, atol=2e-3, rtol=1e-3)
        np.testing.assert_allclose(decoded, x_hat, atol=1e-3)


def test_reconstructions_are_pictures_in_range(family):
    for unit, (_, _, x_hat) in enumerate(family.units, 1):
        assert x_hat.shape == family.source(family.frames, unit)[0].shape
        assert 0 <= float(x_hat.min()) < float(x_hat.max()) <= 1


def test_reconstructions_are_near_their_source(starting_codec):
    family, params = starting_codec, starting_codec.params
    state = reset(family.model, params, family.frames[0], family.cond(0))
    for unit in range(1, NUM_UNITS + 1):
        source = family.source(family.frames, unit)
        _, state, x_hat = encode(
            family.model, params, state, *source, family.cond(unit)
        )
        assert float(jnp.abs(x_hat - source[0]).mean()) < 10 / 255


def test_the_state_keeps_its_structure_from_unit_to_unit(family):
    states = [family.start(family.frames[0])] + [state for _, state, _ in family.units]
    chex.assert_trees_all_equal_shapes_and_dtypes(*states)


def test_a_damaged_payload_is_noticed(family):
    payload, _, _ = family.units[0]
    words = payload.words.at[0, payload.num_words[0] // 2].add(1)
    _, _, sound, check = decode(
        family.model,
        family.rough,
        family.start(family.frames[0]),
        words,
        payload.num_words,
        int(payload.lanes[0]),
        family.cond(1),
    )
    fine = np.asarray(sound & (check == payload.check))
    assert fine.tolist() == [False, True]


@pytest.mark.parametrize("weights", ["params", "rough"])
def test_estimated_bits_are_those_of_the_payload(family, still, weights):
    # Still parts, because the estimate knows no escapes, and the untrained scales
    # are far too small for new content: each escape costs 6 to 15 bits more.
    params = getattr(family, weights)
    (x, x_previous), cond = family.source(still, 1), family.cond(1)
    state = reset(family.model, params, x_previous, cond)
    expected = estimate(family.model, params, state, x, x_previous, cond)
    payload, _, x_hat = encode(family.model, params, state, x, x_previous, cond)
    assert expected.bits.shape == (len(QP), family.model.num_stages)
    bits = 16 * np.asarray(payload.num_words)
    difference = np.abs(np.asarray(expected.bits.sum(-1)) - bits)
    # Integer tables and the coder's own state: 3 % and two words per lane.
    assert (difference <= 0.03 * bits + 64).all(), (expected.bits.sum(-1), bits)
    # What training optimises is what is coded.
    np.testing.assert_allclose(expected.x_hat, x_hat, atol=1e-3)


@pytest.mark.parametrize(
    "family", START_OVER_FROM_PICTURE, indirect=True, scope="module"
)
def test_a_refresh_drops_the_history_and_nothing_else(family):
    _, state, x_hat = family.units[1]
    fresh = family.start(x_hat if x_hat.ndim == 4 else x_hat[:, -1])
    refreshed = family.encode(state, 3, refresh=True)
    chex.assert_trees_all_equal(refreshed, family.encode(fresh, 3))
    remembers = any(
        np.any(np.asarray(a) != np.asarray(b))
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(fresh), strict=True)
    )
    continued = family.encode(state, 3)[0]
    same = np.array_equal(continued.words, refreshed[0].words)
    assert same != remembers


def test_bits_and_quality_rise_with_qp(starting_codec):
    family = starting_codec
    # A grey reference, so that an inter codec has all of the picture to code.
    x = jnp.repeat(family.frames[1][1:], 2, axis=0)
    grey = jnp.full_like(x, 0.5)
    x = still_unit(family.model, x)
    bits, psnr_db = [], []
    for pair in ((0, 16), (32, 48), (63, 63)):
        cond = family.cond(1, qp=np.array(pair)).replace(skip=jnp.int32(0))
        state = reset(family.model, family.params, grey, cond)
        payload, _, x_hat = encode(family.model, family.params, state, x, grey, cond)
        mse = np.mean(np.square(np.asarray(x_hat - x)).reshape(len(x), -1), -1)
        bits += (16 * np.asarray(payload.num_words)).tolist()
        psnr_db += (-10 * np.log10(mse)).tolist()
    assert bits[4] == bits[5]
    assert (np.diff(bits[:5]) > 0).all(), bits
    # Steps fall by a factor of 2.2 per 16 qp, which is 7 dB once all is coded.
    assert (np.diff(psnr_db[:5]) > 1).all(), psnr_db
