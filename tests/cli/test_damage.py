"""Damaged streams: all that can be decoded is, and what is lost is told."""

import dataclasses
import pathlib

import numpy as np
import pytest

from jaxnvc.bitstream import StreamReader, StreamWriter
from jaxnvc.errors import BitstreamError
from jaxnvc.video import Yuv420
from tests.cli.conftest import HEIGHT, WIDTH, leftovers, read_video


@pytest.fixture(scope="module")
def data(stream):
    return pathlib.Path(stream).read_bytes()


@pytest.fixture(scope="module")
def packets(data):
    return list(StreamReader(data))


def shown(path, recon):
    """Numbers of the frames in a file, by their pixels."""
    numbers = []
    for frame in read_video(path):
        numbers += [n for n, p in enumerate(recon) if p.same_pixels(frame.planes)][:1]
    return numbers


def decode(cli, data, tmp_path, *options):
    source, out = tmp_path / "bad.nvc", tmp_path / "out.y4m"
    source.write_bytes(data)
    return cli("decode", source, out, "--quiet", *options), out


def flipped(data, offset):
    return data[:offset] + bytes([data[offset] ^ 0x10]) + data[offset + 1 :]


def test_a_flipped_bit_costs_the_rest_of_its_group_only(
    cli, data, packets, recon, model, tmp_path
):
    offset = packets[5].offset + packets[5].num_bytes // 2
    result, out = decode(cli, flipped(data, offset), tmp_path, *model)
    assert result.code == 4
    assert shown(out, recon) == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    assert result.err.count("\n") == 1
    assert f"byte {packets[5].offset}" in result.err
    assert "frames 5 to 7 are lost" in result.err
    assert leftovers(tmp_path) == []


def test_a_damaged_first_packet_leaves_the_later_groups(
    cli, data, packets, recon, model, tmp_path
):
    result, out = decode(cli, flipped(data, packets[0].offset + 9), tmp_path, *model)
    assert result.code == 4
    assert shown(out, recon) == list(range(4, 12))
    assert "frames 0 to 3 are lost" in result.err


def test_strict_stops_at_the_damage_and_keeps_what_was_decoded(
    cli, data, packets, recon, model, tmp_path
):
    bad = flipped(data, packets[5].offset + 9)
    result, out = decode(cli, bad, tmp_path, "--strict", *model)
    assert result.code == 4
    assert shown(out, recon) == [0, 1, 2, 3, 4]
    assert f"(byte {packets[5].offset}" in result.err


def test_wrong_symbols_cost_the_rest_of_their_group(
    cli, stream, data, packets, recon, model, tmp_path
):
    bad, out = tmp_path / "bad.nvc", tmp_path / "out.y4m"
    # Every CRC is right; only decoding the symbols can tell.
    with bad.open("wb") as file, StreamWriter(file, StreamReader(data).header) as made:
        for packet in packets:
            check = packet.check ^ (packet.first_frame == 6)
            made.write(dataclasses.replace(packet, check=check))
    result = cli("decode", bad, out, *model)
    assert result.code == 4
    assert shown(out, recon) == [0, 1, 2, 3, 4, 5, 8, 9, 10, 11]
    assert "frames 6 to 7 are lost" in result.err
    verified = cli("verify", bad, *model)
    assert verified.code == 7
    assert "10 frames decode" in verified.err


def test_start_finds_its_frames_behind_damage(
    cli, data, packets, recon, model, tmp_path
):
    bad = flipped(data, packets[5].offset + 9)
    window = ["--start", "8", "--frames", "2"]
    result, out = decode(cli, bad, tmp_path, *window, *model)
    assert (result.code, shown(out, recon)) == (0, [8, 9])
    window = ["--start", "5", "--frames", "5"]
    result, out = decode(cli, bad, tmp_path, "-y", *window, *model)
    assert (result.code, shown(out, recon)) == (4, [8, 9])
    assert "frames 5 to 7 are lost" in result.err


def test_cuts_keep_the_frames_before_them(cli, data, packets, recon, model, tmp_path):
    last = packets[-1]
    cuts = {
        packets[1].offset: [0],
        packets[6].offset + 3: list(range(6)),
        last.offset + last.num_bytes: list(range(12)),
        len(data) - 1: list(range(12)),
    }
    for cut, expected in cuts.items():
        result, out = decode(cli, data[:cut], tmp_path, "-y", *model)
        assert (result.code, shown(out, recon)) == (4, expected), cut
        assert result.err.startswith("jaxnvc: warning: byte ")


def test_a_stream_cut_in_its_first_packet_makes_no_file(
    cli, data, packets, model, tmp_path
):
    for cut in (0, 3, 40, packets[0].offset, packets[0].offset + 20):
        result, out = decode(cli, data[:cut], tmp_path, *model)
        assert result.code == 4, cut
        assert not out.exists()
        assert leftovers(tmp_path) == []


def test_every_cut_and_every_flipped_byte_is_noticed(tiny):
    grey = np.full((HEIGHT, WIDTH), 90, np.uint8)
    picture = Yuv420(grey, grey[::2, ::2].copy(), grey[::2, ::2].copy())
    whole = tiny.encode([picture] * 2, qp=0)
    shown = tiny.decode(whole).frames
    header_bytes = StreamReader(whole).header_bytes

    def check(bad, place):
        if place < header_bytes:
            with pytest.raises(BitstreamError):
                StreamReader(bad)
            return
        video = tiny.decode(bad)
        assert video.damages, place
        for number, frame in zip(video.numbers, video.frames, strict=True):
            assert frame.same_pixels(shown[number]), place

    assert len(shown) == 2
    for place in range(len(whole)):
        check(whole[:place], place)
        check(flipped(whole, place), place)
