"""Chunks of three frames from end to end: no frame more, none less."""

import dataclasses
import hashlib
import json

import pytest

from jaxnvc.bitstream import PacketKind, StreamReader
from jaxnvc.cli.main import main
from jaxnvc.coding.codec import Stream
from jaxnvc.coding.decoder import check_model
from jaxnvc.errors import BitstreamError
from jaxnvc.video import Yuv420
from tests.cli.conftest import moving, read_video, write_video

NUM_FRAMES, GOP = 10, 7
# An intra frame, two chunks of three, and an intra frame and a chunk cut short.
UNITS = [1, 3, 3, 1, 2]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory, chunked_bundle_path):
    """Folder with `clip.nvc`, `recon.y4m` and `stats.json`."""
    folder = tmp_path_factory.mktemp("chunks")
    clip = write_video(folder / "clip.y4m", moving(NUM_FRAMES))
    extra = ["--recon", folder / "recon.y4m", "--stats", folder / "stats.json"]
    args = ["encode", clip, folder / "clip.nvc", "--gop", GOP, "--quiet", *extra]
    assert main([str(a) for a in [*args, "--model", chunked_bundle_path]]) == 0
    return folder


@pytest.fixture(scope="module")
def recon(encoded):
    return [frame.planes for frame in read_video(encoded / "recon.y4m")]


@pytest.fixture(scope="module")
def packets(encoded):
    return list(StreamReader((encoded / "clip.nvc").read_bytes()))


@pytest.fixture
def model(chunked_bundle_path):
    return ["--model", chunked_bundle_path]


def _shown(path) -> list[bytes]:
    return [frame.planes.tobytes() for frame in read_video(path)]


def test_the_last_chunk_of_a_group_is_as_short_as_it_must_be(packets):
    assert [packet.num_frames for packet in packets] == UNITS
    kinds = [PacketKind.INTRA if n in (0, 3) else PacketKind.INTER for n in range(5)]
    assert [packet.kind for packet in packets] == kinds
    assert [packet.first_frame for packet in packets] == [0, 1, 4, 7, 8]


def test_as_many_frames_come_out_as_went_in(cli, encoded, recon, model, tmp_path):
    sums = tmp_path / "out.md5"
    args = [encoded / "clip.nvc", tmp_path / "out.y4m", "--framemd5", sums, "--quiet"]
    assert cli("decode", *args, *model).code == 0
    assert len(recon) == NUM_FRAMES
    assert _shown(tmp_path / "out.y4m") == [picture.tobytes() for picture in recon]
    lines = [line for line in sums.read_text().splitlines() if line[0] != "#"]
    assert [line.split(",")[-1].strip() for line in lines] == [
        hashlib.md5(picture.tobytes()).hexdigest() for picture in recon
    ]


def test_statistics_have_a_row_per_frame_and_every_byte_once(encoded, packets):
    stats = json.loads((encoded / "stats.json").read_text())
    rows = stats["per_frame"]
    assert [row["frame"] for row in rows] == list(range(NUM_FRAMES))
    assert sum(row["bytes"] for row in rows) == sum(p.num_bytes for p in packets)
    assert all(row["psnr_y"] > 25 for row in rows)
    assert stats["frames"] == NUM_FRAMES


@pytest.mark.parametrize(("start", "count"), [(2, 3), (5, 1), (8, 99)])
def test_seeking_into_a_chunk_shows_what_a_whole_decode_shows(
    cli, encoded, recon, model, tmp_path, start, count
):
    window = ["--start", start, "--frames", count, "--quiet"]
    out = tmp_path / "out.y4m"
    assert cli("decode", encoded / "clip.nvc", out, *window, *model).code == 0
    expected = recon[start : start + count]
    assert _shown(out) == [picture.tobytes() for picture in expected]


def test_a_cut_stream_loses_the_cut_unit_and_what_follows(
    cli, encoded, recon, packets, model, tmp_path
):
    data = (encoded / "clip.nvc").read_bytes()
    cut = packets[2].offset + packets[2].num_bytes // 2
    (tmp_path / "cut.nvc").write_bytes(data[:cut])
    out = tmp_path / "out.y4m"
    result = cli("decode", tmp_path / "cut.nvc", out, "--quiet", *model)
    assert result.code == 4
    assert "frames 4 to 9 are lost" in result.err
    assert _shown(out) == [picture.tobytes() for picture in recon[:4]]


def test_a_flipped_bit_in_a_chunk_costs_no_other_group(
    cli, encoded, recon, packets, model, tmp_path
):
    data = bytearray((encoded / "clip.nvc").read_bytes())
    data[packets[1].offset + packets[1].num_bytes // 2] ^= 0x10
    (tmp_path / "bad.nvc").write_bytes(data)
    out = tmp_path / "out.y4m"
    result = cli("decode", tmp_path / "bad.nvc", out, "--quiet", *model)
    assert result.code == 4
    assert "frames 1 to 6 are lost" in result.err
    assert _shown(out) == [picture.tobytes() for picture in [recon[0], *recon[7:]]]


def test_another_process_decodes_the_very_samples(
    shell, encoded, recon, model, tmp_path
):
    out = tmp_path / "out.yuv"
    assert shell("decode", encoded / "clip.nvc", out, "--quiet", *model).code == 0
    assert out.read_bytes() == b"".join(picture.tobytes() for picture in recon)


def test_verify_finds_nothing_wrong(cli, encoded, model):
    source = ["--source", encoded / "clip.y4m"]
    result = cli("verify", encoded / "clip.nvc", *source, *model)
    assert result.code == 0
    assert f"ok: {NUM_FRAMES} frames" in result.out


def test_a_slice_of_a_stream_is_the_slice_of_its_frames(encoded, recon, chunked):
    stream = Stream(encoded / "clip.nvc", chunked)
    assert len(stream) == NUM_FRAMES
    assert all(map(Yuv420.same_pixels, stream[2:6], recon[2:6]))
    assert stream[-1].same_pixels(recon[-1])


def test_a_header_of_other_units_than_the_model_is_refused(encoded, chunked):
    header = StreamReader((encoded / "clip.nvc").read_bytes()).header
    assert header.frames_per_unit == 3
    other = dataclasses.replace(header, frames_per_unit=2)
    with pytest.raises(BitstreamError, match="2 frames per unit are not the model's 3"):
        check_model(other, chunked.bundle)
