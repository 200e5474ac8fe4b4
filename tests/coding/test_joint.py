"""Models that are not portable: both sides run one program, and streams say so."""

import dataclasses
import io

import numpy as np
import pytest

import jaxnvc
from jaxnvc.bitstream import StreamReader, StreamWriter
from jaxnvc.coding.codec import here
from jaxnvc.video import VideoFrame, VideoInfo, Yuv420
from tests.models import export_untrained

WIDTH, HEIGHT, NUM_FRAMES = 72, 56, 3


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory) -> str:
    """An untrained small model whose inter frames take their scales from floats."""
    path = str(tmp_path_factory.mktemp("models") / "base-tiny.nvcm")
    return export_untrained(path, "intra/tiny", "avs_eem/base-tiny", rough=True)


@pytest.fixture(scope="module")
def codec(bundle_path):
    return jaxnvc.load(bundle_path)


@pytest.fixture(scope="module")
def frames(cars) -> list[Yuv420]:
    return [
        Yuv420(
            *(
                plane[: HEIGHT // step, 100 // step :][:, : WIDTH // step].copy()
                for plane, step in zip(picture.planes, (1, 2, 2), strict=True)
            )
        )
        for picture in cars[:NUM_FRAMES]
    ]


@pytest.fixture(scope="module")
def coded(codec, frames):
    """The stream and what its encoder reconstructed."""
    settings = codec.settings(qp=40)
    out, shown = io.BytesIO(), []
    info = VideoInfo(width=WIDTH, height=HEIGHT)
    with StreamWriter(out, codec.header(info, settings, NUM_FRAMES)) as writer:
        for one in codec.encode_iter(map(VideoFrame, frames), settings):
            writer.write(one.packet)
            shown += one.reconstructions
    return out.getvalue(), shown


def test_the_decoder_shows_the_very_samples_of_the_encoder(codec, coded):
    stream, shown = coded
    video = codec.decode(stream)
    assert not video.damages
    assert len(video.frames) == NUM_FRAMES
    for ours, theirs in zip(video.frames, shown, strict=True):
        assert ours.same_pixels(theirs)


def test_more_than_a_mean_colour_is_coded(coded):
    stream, shown = coded
    assert len(stream) > 300
    assert np.ptp(shown[-1].y) > 10


def test_the_stream_says_where_it_was_made(codec, coded):
    header = StreamReader(coded[0]).header
    assert not codec.portable
    assert not header.portable
    assert header.profile == here()


def test_a_batch_has_the_bytes_of_single_clips(codec, coded, frames):
    assert jaxnvc.encode_batch(codec, [frames], qp=40) == [codec.encode(frames, qp=40)]


def test_decoding_elsewhere_is_warned_of(codec, coded, bundle_path, tmp_path, capfd):
    from jaxnvc.cli.main import main

    reader = StreamReader(coded[0])
    elsewhere = dataclasses.replace(here(), device_kind="abacus")
    header = dataclasses.replace(reader.header, profile=elsewhere)
    path = tmp_path / "other.nvc"
    with path.open("wb") as file, StreamWriter(file, header) as writer:
        for packet in reader:
            writer.write(packet)
    out = str(tmp_path / "out.y4m")
    assert main(["decode", str(path), out, "--model", bundle_path]) == 0
    assert "abacus" in capfd.readouterr().err


def test_a_flipped_bit_is_noticed(codec, coded):
    stream, _ = coded
    at = len(stream) // 2
    broken = stream[:at] + bytes([stream[at] ^ 8]) + stream[at + 1 :]
    assert codec.decode(broken).damages
