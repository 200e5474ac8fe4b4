"""With equal weights, the four models compute what the published networks compute.

Rounding is a step: a float difference may move a symbol that sits on a half. So the
symbols that go on are the fixture's, and ours may differ from them in one of 1,000.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.codecs import registry
from jaxnvc.codecs.dcvc_uf.intra import IntraSource
from jaxnvc.codecs.dcvc_uf.likelihood import bits_of, bits_y
from jaxnvc.codecs.dcvc_uf.model import UfSource
from jaxnvc.codecs.dcvc_uf.partitions import partition_mask
from jaxnvc.codecs.dcvc_uf.pictures import join_frames, over_frames
from jaxnvc.codecs.dcvc_uf.published import params_from_state_dict
from jaxnvc.codecs.protocol import Cond
from jaxnvc.layers.quarters import put_quarter, take_quarter
from jaxnvc.ops.spatial import pixel_shuffle, pixel_unshuffle
from tests.codecs.dcvc_uf.weights import FIXTURES, MODELS, state_dict

QP = 21
# The unit before which the memory is reset.
REFRESHED = 2
QUANTITIES = ("z", "scales", "y_hat", "bits_y", "bits_z", "x_hat")


def _stage_z(prior, residual, given):
    z = residual.value + prior.centre
    bits = bits_of(prior.curves.probability(z))
    symbols = jnp.floor(given["z"] + 0.5) - prior.centre
    return symbols, {"z": z, "bits_z": bits.sum((1, 2, 3))}


def _stage_y(config, latent, prior, residual, given, step):
    """Returns the symbols to go on with, and ours, residual and scales of a part."""
    ours = prior.quantise(residual)
    if config.scales_once:
        return given["y_q"], (ours, residual.value, latent.scales)
    mask = partition_mask(*latent.mu.shape[1:], config.partitions, step)
    parts = put_quarter(ours, step), put_quarter(residual.value, step)
    return take_quarter(given["y_q"], step), (*parts, latent.scales * mask)


@functools.partial(jax.jit, static_argnums=0)
def run_unit(model, params, state, source, given, cond):
    """Runs a unit; returns the next state and everything the fixtures list."""
    codec = model.bind({"params": params})
    work, parts = codec.begin(state, cond), []
    for stage in range(codec.num_stages):
        prior, work = codec.prior(work, cond, stage)
        residual, source = codec.residual(work, source, cond, stage)
        if stage == 0:
            symbols, found = _stage_z(prior, residual, given)
        else:
            arguments = (model.config, work.latent, prior, residual, given, stage - 1)
            symbols, part = _stage_y(*arguments)
            parts.append(part)
        work = codec.absorb(work, prior, symbols, cond, stage)
    y_q, residual, scales = (sum(part) for part in zip(*parts, strict=True))
    found |= {"y": source.y, "y_q": y_q, "scales": scales}
    found |= {"bits_y": bits_y(residual, scales).sum((1, 2, 3))}
    found |= {"y_hat": work.latent.y_hat * work.latent.coarse}
    if model.frames_per_unit > 1 or hasattr(codec, "decode"):
        state, cells = codec.decode(work, cond)
    else:
        cells = codec.cells(work, cond)[:, None]
    shown = over_frames(lambda x: pixel_shuffle(x, 8), cells)
    return state, found | {"x_hat": join_frames(shown)}


def _nhwc(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def _cells(frames: np.ndarray) -> jax.Array:
    """Turns NCHW frames [N, 3, H, W] into one unit's cells [1, H/8, W/8, N 192]."""
    return join_frames(pixel_unshuffle(jnp.asarray(_nhwc(frames)), 8)[None])


def _run_intra(model, params, fixture):
    state = model.bind({"params": params}).reset(jnp.zeros((1, 32, 32, 6)), Cond.of(QP))
    source = IntraSource(cells=_cells(fixture.pop("frames")))
    _, found = run_unit(model, params, state, source, fixture, Cond.of(QP))
    return [(found, fixture)]


def _run_video(model, params, fixture):
    frames, size = fixture.pop("frames"), model.frames_per_unit
    units, state = [], model.bind({"params": params}).start(_cells(frames[:1]))
    for unit in range(3):
        source = UfSource(cells=_cells(frames[1 + unit * size :][:size]))
        expected = {
            name[:-1]: value
            for name, value in fixture.items()
            if name.endswith(str(unit))
        }
        cond = Cond.of(QP, refresh=unit == REFRESHED)
        state, found = run_unit(model, params, state, source, expected, cond)
        units.append((found, expected))
    return units


@pytest.fixture(scope="module", params=MODELS)
def units(request):
    """What we found and what is published, for each unit."""
    model = registry.build(f"dcvc_uf/{request.param}")
    params = params_from_state_dict(state_dict(request.param), model.config)
    with np.load(FIXTURES / f"{request.param}.npz") as file:
        fixture = {name: _nhwc(value) for name, value in file.items()}
        fixture["frames"] = file["frames"]
    run = _run_intra if request.param == "intra" else _run_video
    return jax.device_get(run(model, jax.tree.map(jnp.asarray, params), fixture))


def test_the_symbols_are_those_of_the_published_networks(units):
    for found, expected in units:
        difference = np.abs(found["y_q"] - expected["y_q"])
        assert difference.max() <= 1
        assert np.mean(difference > 0) <= 1e-3
        assert np.mean(expected["y_q"] != 0) > 0.1


@pytest.mark.parametrize("name", QUANTITIES)
def test_every_quantity_is_that_of_the_published_networks(units, name):
    for found, expected in units:
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            found[name], expected[name], rtol=0, atol=1e-4 * scale
        )


def test_y_is_that_of_the_published_networks_where_they_tell(units):
    for found, expected in units:
        if "y" in expected:
            scale = np.abs(expected["y"]).max()
            np.testing.assert_allclose(found["y"], expected["y"], atol=1e-4 * scale)
