"""A portable model's streams decode to the same symbols on every platform.

Promise L0 (DESIGN section 1): symbols are alike everywhere; pixels may differ by
float rounding. A round trip in one process cannot find a breach, so that other
processes with other instructions and another convolution library take part.
"""

import dataclasses
import json
import pathlib
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnvc
from jaxnvc.bitstream import PacketKind, StreamReader
from jaxnvc.coding.codec import Codec
from jaxnvc.models.bundle import load_bundle, save_bundle
from jaxnvc.video import Yuv420
from tests.entropy.test_integer_exactness import (
    ELSEWHERE,
    float_fingerprint,
    run_elsewhere,
)

QP, NUM_FRAMES = 40, 4
# High enough that about half of the symbols are skipped at this quality.
SKIP_THRESHOLDS = (8, 10, 12)


def roughen(params: dict) -> dict:
    """Draws values for all that starts at zero, so that every branch matters.

    Sizes are those of a trained model by order: corrections of means of a few
    tenths of a step, of scale indices of a few units.
    """
    rng = np.random.default_rng(30)
    deviation = {
        "integer_kernel": 0.15,
        "integer_bias": 0.5,
        "integer_level_bias": 0.5,
        "kernel": 0.08,
    }

    def fill(path, leaf):
        if np.any(np.asarray(leaf)):
            return np.asarray(leaf)
        name = jax.tree_util.keystr(path[-1:], simple=True)
        return rng.normal(0, deviation.get(name, 0.05), leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, params)


@pytest.fixture(scope="session")
def rough_path(tiny_bundle_path, tmp_path_factory) -> str:
    """Path of a tiny portable model in which no branch is zero."""
    bundle = load_bundle(tiny_bundle_path)
    meta = {k: v for k, v in bundle.info.items() if k not in ("format", "certificate")}
    meta |= {"skip_thresholds": list(SKIP_THRESHOLDS), "refresh_period": 2}
    path = str(tmp_path_factory.mktemp("rough") / "rough.nvcm")
    save_bundle(path, roughen(bundle.params), meta)
    return path


@pytest.fixture(scope="session")
def rough(rough_path) -> Codec:
    return jaxnvc.load(rough_path)


@pytest.fixture(scope="session")
def clip(cars) -> list[Yuv420]:
    """Moving cars, 64x64."""
    return [
        Yuv420(p.y[:64, 64:128], p.u[:32, 32:64], p.v[:32, 32:64])
        for p in cars[:NUM_FRAMES]
    ]


@pytest.fixture(scope="session")
def stream(rough, clip) -> bytes:
    """The clip as this process encodes it."""
    return rough.encode(clip, qp=QP)


def exchange(folder: str) -> None:
    """In another process: decodes `here.nvc`, encodes the clip to `there.nvc`."""
    place = pathlib.Path(folder)
    codec = jaxnvc.load(str(place / "rough.nvcm"))
    video = codec.decode((place / "here.nvc").read_bytes())
    clip = pickle.loads((place / "clip.pickle").read_bytes())
    (place / "there.nvc").write_bytes(codec.encode(clip, qp=QP))
    (place / "decoded.pickle").write_bytes(pickle.dumps(video.frames))
    damages = [damage.reason for damage in video.damages]
    print(json.dumps({"floats": float_fingerprint(), "damages": damages}))


@pytest.fixture(scope="module", params=ELSEWHERE)
def visit(request, rough_path, stream, clip, tmp_path_factory):
    """What another platform made of our stream, and its own stream."""
    place = tmp_path_factory.mktemp("visit")
    (place / "rough.nvcm").write_bytes(pathlib.Path(rough_path).read_bytes())
    (place / "here.nvc").write_bytes(stream)
    (place / "clip.pickle").write_bytes(pickle.dumps(clip))
    program = "from tests.coding import test_portability as t; t.exchange(%r)"
    result = run_elsewhere(request.param, program % str(place))
    frames = pickle.loads((place / "decoded.pickle").read_bytes())
    return result["damages"], frames, (place / "there.nvc").read_bytes()


def _samples(frames) -> np.ndarray:
    planes = [plane.ravel() for frame in frames for plane in frame.planes]
    return np.concatenate(planes).astype(int)


def _assert_differ_by_rounding_only(found, expected):
    difference = np.abs(_samples(found) - _samples(expected))
    assert difference.size == NUM_FRAMES * 64 * 64 * 3 // 2
    # Means and pixels are floats, and rounding to 8 bits may fall either way: at
    # most one level on nearly every sample, and two on almost all.
    assert np.mean(difference > 0) < 0.02
    assert np.mean(difference > 2) < 0.001


def test_the_clip_uses_levels_skips_and_a_refresh(rough, clip, stream):
    packets = [e for e in StreamReader(stream).events()]
    assert [p.kind for p in packets] == [PacketKind.INTRA] + [PacketKind.INTER] * 3
    assert {p.level for p in packets} == {0, 1, 2}
    assert [p.refresh for p in packets] == [False, False, False, True]
    everything = dataclasses.replace(
        rough.bundle, info={**rough.info, "skip_thresholds": [0, 0, 0]}
    )
    unskipped = Codec(everything).encode(clip, qp=QP)
    # Skipping matters: without it the stream is another, and larger.
    assert len(unskipped) > 1.02 * len(stream)


def test_a_stream_decodes_at_home(rough, clip, stream):
    video = rough.decode(stream, strict=True)
    assert video.numbers == list(range(NUM_FRAMES))
    error = np.abs(_samples(video.frames) - _samples(clip))
    # Random weights in the synthesis blur the picture, but a picture it is.
    assert error.mean() < 10


def test_one_wrong_scale_index_would_be_noticed(rough, stream):
    """The control: a change of one unit in a head breaks the check."""
    params = jax.tree.map(jnp.array, rough.params)
    base = params["inter"]["latent"]["scale"]["base"]
    # A unit of the index is 512 sums, of which the table counts eighths of 1/64.
    base["integer_bias"] = base["integer_bias"].at[:, 5].add(1.0)
    other = Codec(dataclasses.replace(rough.bundle, params=params))
    damages = other.decode(stream).damages
    assert [damage.first_lost for damage in damages] == [1]


def test_our_stream_decodes_elsewhere(rough, stream, visit):
    damages, frames, _ = visit
    assert damages == []
    _assert_differ_by_rounding_only(frames, rough.decode(stream).frames)


def test_a_stream_from_elsewhere_decodes_here(rough, clip, visit):
    _, _, theirs = visit
    video = rough.decode(theirs, strict=True)
    assert video.numbers == list(range(NUM_FRAMES))
    assert np.abs(_samples(video.frames) - _samples(clip)).mean() < 10
