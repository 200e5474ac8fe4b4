"""`jaxnvc convert`: PyTorch weights become a bundle that codes, or nothing."""

import functools
import os
import pickle
import zlib

import numpy as np
import pytest

from jaxnvc.cli import convert
from jaxnvc.codecs import registry
from jaxnvc.models.bundle import load_bundle
from tests.cli.conftest import is_one_line, leftovers
from tests.oracles.torch_writer import legacy_bytes, tensor, zip_bytes

TINY = {
    "dcvc-uf-intra": "dcvc_uf/intra-tiny",
    "dcvc-uf-ld": "dcvc_uf/ld-tiny",
    "dcvc-uf-hts": "dcvc_uf/hts-tiny",
    "dcvc-uf-htl": "dcvc_uf/htl-tiny",
}


@pytest.fixture(autouse=True)
def _toy_sizes(monkeypatch):
    """The published models at toy size: names are alike, shapes are small."""
    monkeypatch.setattr(registry, "PUBLISHED", TINY)


@functools.cache
def _weights(family):
    """Weights by their published names, small and drawn from the name."""
    preset = TINY[family]
    importer = registry.IMPORTERS[registry.family_of(preset)]
    shapes = importer.state_shapes(registry.PRESETS[preset])
    return {name: _drawn(name, shape) for name, shape in shapes.items()}


def _drawn(name, shape):
    n = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
    if name.startswith("q_"):
        return (1 + 0.1 * np.tanh(n)).astype("float32")
    return (0.3 * n / np.sqrt(max(np.prod(shape[1:]), 1))).astype("float32")


def _checkpoint(arrays, write=zip_bytes):
    saved = {n: tensor(str(k), a) for k, (n, a) in enumerate(arrays.items())}
    return write({"state_dict": saved})


@pytest.fixture
def files(tmp_path):
    """A folder with the checkpoint of every model."""
    for family in TINY:
        path = tmp_path / f"{family}.pth.tar"
        path.write_bytes(_checkpoint(_weights(family)))
    return tmp_path


def _refused(cli, folder, data, code):
    """Converts damaged bytes; returns the sentence after checking all else."""
    bad, out = folder / "bad.pth", folder / "out.nvcm"
    bad.write_bytes(data)
    result = cli("convert", "dcvc-uf-intra", bad, out)
    assert result.code == code, result.err
    assert is_one_line(result.err)
    assert result.out == ""
    assert not out.exists()
    assert leftovers(folder) == []
    return result.err


@pytest.mark.parametrize("family", ["dcvc-uf-ld", "dcvc-uf-hts", "dcvc-uf-htl"])
def test_a_video_model_is_joined_with_its_intra_model(cli, files, family):
    out = files / "video.nvcm"
    intra = files / "dcvc-uf-intra.pth.tar"
    result = cli("convert", family, files / f"{family}.pth.tar", out, "--intra", intra)
    assert result.code == 0, result.err
    weights = _weights(family)
    count = sum(value.size for value in weights.values())
    said = f"{family}, {len(weights)} tensors, {count} parameters, float32"
    assert said in result.err
    assert result.out == ""
    assert leftovers(files) == []
    bundle = load_bundle(str(out))
    assert bundle.name == "video"
    assert bundle.inter == registry.build(TINY[family])
    assert bundle.info["imported"] == {"intra": "dcvc-uf-intra", "inter": family}
    table = "q_encoder"
    # Not rounded to float16, as trained weights are.
    np.testing.assert_array_equal(bundle.params["inter"][table], weights[table])


def test_equal_checkpoints_become_equal_bundles(cli, files):
    out = [files / name for name in ("one.nvcm", "two.nvcm")]
    legacy = files / "legacy.pth"
    legacy.write_bytes(_checkpoint(_weights("dcvc-uf-intra"), legacy_bytes))
    for source, path in zip(
        [files / "dcvc-uf-intra.pth.tar", legacy], out, strict=True
    ):
        assert cli("convert", "dcvc-uf-intra", source, path).code == 0
    params = [load_bundle(str(path)).params["intra"] for path in out]
    for name, weights in _weights("dcvc-uf-intra").items():
        if name.startswith("q_"):
            np.testing.assert_array_equal(params[0][name], weights)
            np.testing.assert_array_equal(params[1][name], weights)


def test_an_intra_model_alone_codes_every_frame_on_its_own(cli, files, clip):
    bundle, stream = files / "intra.nvcm", files / "o.nvc"
    assert (
        cli("convert", "dcvc-uf-intra", files / "dcvc-uf-intra.pth.tar", bundle).code
        == 0
    )
    options = ["--frames", 3, "--recon", files / "recon.y4m", "--quiet"]
    result = cli("encode", clip, stream, "--model", bundle, *options)
    assert result.code == 0, result.err
    result = cli("decode", stream, files / "o.y4m", "--model", bundle, "--quiet")
    assert result.code == 0, result.err
    assert (files / "o.y4m").read_bytes() == (files / "recon.y4m").read_bytes()


def test_the_checkpoint_of_another_model_exits_with_5(cli, files):
    message = _refused(cli, files, _checkpoint(_weights("dcvc-uf-ld")), 5)
    assert "not a checkpoint of dcvc-uf-intra" in message
    others = set(_weights("dcvc-uf-ld"))
    lacking = [name for name in _weights("dcvc-uf-intra") if name not in others]
    assert f"{lacking[0]!r} and {len(lacking) - 1} more" in message


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (None, "lacks"),
        (np.zeros((7, 7), "float32"), "(7, 7)"),
        (np.full((64, 8), np.nan, "float32"), "not finite"),
        (np.zeros((64, 8), "int64"), "int64"),
    ],
    ids=["missing", "shape", "NaN", "whole numbers"],
)
def test_one_wrong_weight_exits_with_5_and_its_name(cli, files, change, word):
    weights = dict(_weights("dcvc-uf-intra"))
    del weights["q_scale_y_enc"]
    if change is not None:
        weights["q_scale_y_enc"] = change
    message = _refused(cli, files, _checkpoint(weights), 5)
    assert "q_scale_y_enc" in message
    assert word in message


def test_an_unexpected_weight_exits_with_5_and_its_name(cli, files):
    weights = _weights("dcvc-uf-intra") | {"head.extra": np.ones(3, "float32")}
    assert "head.extra" in _refused(cli, files, _checkpoint(weights), 5)


class _Harm:
    def __reduce__(self):
        return os.system, ("touch harm",)


def test_a_malicious_checkpoint_exits_with_3_and_does_nothing(cli, files, monkeypatch):
    monkeypatch.chdir(files)
    data = zip_bytes(pickle=pickle.dumps({"state_dict": _Harm()}, protocol=2))
    assert "system" in _refused(cli, files, data, 3)
    assert not (files / "harm").exists()


def test_what_is_no_whole_checkpoint_exits_with_3(cli, files):
    whole = (files / "dcvc-uf-intra.pth.tar").read_bytes()
    for data in (b"", b"no checkpoint", whole[: len(whole) // 2], whole[:-10]):
        assert "bad.pth" in _refused(cli, files, data, 3)
    missing = cli("convert", "dcvc-uf-intra", files / "no.pth", files / "out.nvcm")
    assert missing.code == 3
    assert is_one_line(missing.err)


def test_a_bad_intra_model_spoils_the_video_model(cli, files):
    video = files / "dcvc-uf-ld.pth.tar"
    out = files / "o.nvcm"
    result = cli("convert", "dcvc-uf-ld", video, out, "--intra", video)
    assert result.code == 5
    assert "dcvc-uf-intra" in result.err
    assert not out.exists()


def test_arguments_that_do_not_fit_exit_with_2(cli, files):
    video, intra = files / "dcvc-uf-ld.pth.tar", files / "dcvc-uf-intra.pth.tar"
    out = files / "o.nvcm"
    for args, word in (
        (["dcvc-uf-ld", video, out], "--intra"),
        (["dcvc-uf-intra", intra, out, "--intra", intra], "leave --intra out"),
        (["dcvc-uf-intra", intra, files / "o.zip"], ".nvcm"),
        (["dcvc-uf-intra", intra, intra], ".nvcm"),
        (["dcvc-uf-xl", intra, out], "dcvc-uf-htl"),
    ):
        result = cli("convert", *args)
        assert result.code == 2, args
        assert word in result.err
        assert not out.exists()


def test_an_existing_bundle_stays_unless_told(cli, files):
    out = files / "o.nvcm"
    out.write_text("precious")
    args = ["convert", "dcvc-uf-intra", files / "dcvc-uf-intra.pth.tar", out]
    assert cli(*args, "-n").code == 2
    assert cli(*args).code == 2
    assert out.read_text() == "precious"
    bad = files / "bad.pth"
    bad.write_bytes(b"no checkpoint")
    assert cli("convert", "dcvc-uf-intra", bad, out, "-y").code == 3
    assert out.read_text() == "precious"
    assert cli(*args, "-y").code == 0
    assert load_bundle(str(out)).name == "o"


def test_the_command_offers_what_can_be_imported(monkeypatch):
    monkeypatch.undo()
    assert set(registry.PUBLISHED) == {convert.INTRA, *convert.VIDEO}
    assert set(registry.PUBLISHED.values()) <= set(registry.PRESETS)
