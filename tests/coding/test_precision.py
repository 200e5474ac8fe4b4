"""Which precision a model computes in, and what its streams say of it."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from jaxnvc.bitstream import ArithmeticProfile
from jaxnvc.cli.stream import load_codec
from jaxnvc.coding.codec import Codec, here
from jaxnvc.coding.decoder import Sequence
from jaxnvc.errors import ModelError
from jaxnvc.models import presets
from jaxnvc.models.bundle import Bundle
from jaxnvc.video import VideoInfo

INFO = VideoInfo(width=64, height=48)


@pytest.fixture(scope="module")
def published() -> Bundle:
    """Modules as published weights have them, without any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "weights_of", lambda model: ("untrained", {}))
        return presets.open_model("dcvc_uf/ld-tiny")[0]


def header(bundle: Bundle):
    codec = Codec(bundle)
    return codec.header(INFO, codec.settings())


def test_a_stream_says_what_its_model_computed_in(published):
    half = published.in_precision("bfloat16")
    assert half.intra.dtype == half.inter.dtype == jnp.bfloat16
    assert half.params is published.params
    assert header(half).profile == here("bfloat16")
    assert header(published).profile == here()
    assert half.in_precision("float32").inter == published.inter


def test_a_decoder_computes_in_what_the_stream_says(published, monkeypatch):
    chosen = []

    def note(pair, size):
        chosen.append((pair.intra.dtype, pair.inter.dtype))

    monkeypatch.setattr("jaxnvc.coding.decoder.choose_programs", note)
    Sequence(published, header(published.in_precision("bfloat16")))
    Sequence(published.in_precision("bfloat16"), header(published))
    assert chosen == [(jnp.bfloat16,) * 2, (jnp.float32,) * 2]


def test_the_command_decodes_as_the_stream_says(published, monkeypatch, capsys):
    monkeypatch.setattr("jaxnvc.load", lambda model: Codec(published), raising=False)
    half = header(published.in_precision("bfloat16"))
    elsewhere = dataclasses.replace(half.profile, device_kind="abacus")
    before = jax.config.jax_default_matmul_precision
    try:
        codec, _ = load_codec(half, "any")
        assert codec.bundle.inter.dtype == jnp.bfloat16
        assert jax.config.jax_default_matmul_precision == "bfloat16"
        assert capsys.readouterr().err == ""
        load_codec(dataclasses.replace(half, profile=elsewhere), "any")
        assert "abacus" in capsys.readouterr().err
    finally:
        jax.config.update("jax_default_matmul_precision", before)


def test_a_precision_of_another_version_is_refused(published):
    profile = dataclasses.replace(here(), dtype="float8")
    assert isinstance(profile, ArithmeticProfile)
    strange = dataclasses.replace(header(published), profile=profile)
    with pytest.raises(ModelError, match="float8"):
        Sequence(published, strange)


def test_a_portable_model_is_the_same_in_any_precision(tiny):
    half = tiny.bundle.in_precision("bfloat16")
    assert (half.intra, half.inter) == (tiny.bundle.intra, tiny.bundle.inter)
    assert half.params is tiny.params
    assert header(half).profile is None
