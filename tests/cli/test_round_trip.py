"""What goes through encode and decode comes out, whole or in part."""

import csv
import hashlib
import json
from fractions import Fraction

import pytest

from jaxnvc.bitstream import describe
from jaxnvc.video import VideoInfo, open_video
from tests.cli.conftest import (
    HEIGHT,
    NUM_FRAMES,
    WIDTH,
    leftovers,
    moving,
    read_video,
    write_video,
)


def same(frames, pictures):
    return len(frames) == len(pictures) and all(
        frame.planes.same_pixels(picture)
        for frame, picture in zip(frames, pictures, strict=True)
    )


def test_decoding_shows_the_reconstruction_of_the_encoder(
    cli, stream, recon, model, tmp_path
):
    result = cli("decode", stream, tmp_path / "out.y4m", "--quiet", *model)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert same(read_video(tmp_path / "out.y4m"), recon)
    assert leftovers(tmp_path) == []


def test_framemd5_holds_the_md5_of_each_decoded_frame(
    cli, stream, recon, model, tmp_path
):
    sums = tmp_path / "out.md5"
    args = ["decode", stream, tmp_path / "out.yuv", "--framemd5", sums, *model]
    assert cli(*args).code == 0
    lines = [line for line in sums.read_text().splitlines() if line[0] != "#"]
    assert [line.split(",")[-1].strip() for line in lines] == [
        hashlib.md5(picture.tobytes()).hexdigest() for picture in recon
    ]
    assert (tmp_path / "out.yuv").read_bytes() == b"".join(
        picture.tobytes() for picture in recon
    )


@pytest.mark.parametrize(("start", "count"), [(0, 3), (5, 4), (11, 1), (9, 99)])
def test_start_and_frames_cut_a_slice_of_the_whole(
    cli, stream, recon, model, tmp_path, start, count
):
    window = ["--start", start, "--frames", count]
    assert cli("decode", stream, tmp_path / "o.mkv", *window, *model).code == 0
    assert same(read_video(tmp_path / "o.mkv"), recon[start : start + count])


def test_a_start_beyond_the_end_is_a_usage_error(cli, stream, model, tmp_path):
    result = cli("decode", stream, tmp_path / "o.y4m", "--start", "12", *model)
    assert result.code == 2
    assert "12 frames" in result.err
    assert list(tmp_path.iterdir()) == []


def test_encode_takes_a_slice_of_the_input(cli, clip, model, tmp_path):
    out = tmp_path / "o.nvc"
    window = ["--start", "8", "--frames", "3"]
    assert cli("encode", clip, out, *window, "--recon", tmp_path / "r.y4m", *model)
    assert describe(out)["frames"] == 3
    ok = cli("verify", out, "--source", clip, "--source-start", "8", *model)
    assert ok.code == 0
    shifted = cli("verify", out, "--source", clip, *model)
    assert ok.out.startswith("ok: 3 frames")
    assert ok.out != shifted.out


def test_stats_account_for_every_byte_and_frame(encoded, cli, clip, model, tmp_path):
    stats = json.loads((encoded / "stats.json").read_text())
    rows = stats["per_frame"]
    found = describe(encoded / "clip.nvc")
    assert stats["bytes"] == found["bytes"] == (encoded / "clip.nvc").stat().st_size
    coded = sum(found["packets"][kind]["bytes"] for kind in ("intra", "inter"))
    assert sum(row["bytes"] for row in rows) == coded
    assert [row["kind"] for row in rows] == (["intra"] + ["inter"] * 3) * 3
    table = tmp_path / "s.csv"
    args = ["encode", clip, tmp_path / "o.nvc", "--frames", "2", "--stats", table]
    assert cli(*args, *model).code == 0
    with table.open() as file:
        assert [int(row["frame"]) for row in csv.DictReader(file)] == [0, 1]


def test_uneven_frame_times_survive(cli, model, tmp_path):
    info = VideoInfo(
        width=WIDTH, height=HEIGHT, time_base=Fraction(1, 1000), frame_rate=Fraction(25)
    )
    times = [0, 40, 100, 115, 160]
    source = write_video(tmp_path / "vfr.mkv", moving(5), info, times)
    out, back = tmp_path / "o.nvc", tmp_path / "back.mkv"
    assert cli("encode", source, out, "--gop", "4", *model).code == 0
    assert describe(out)["variable_times"]
    assert cli("decode", out, back, *model).code == 0
    assert [frame.pts for frame in read_video(back)] == times


def test_the_sample_aspect_ratio_survives(cli, model, tmp_path):
    aspect = Fraction(12, 11)
    info = VideoInfo(width=WIDTH, height=HEIGHT, sample_aspect=aspect)
    source = write_video(tmp_path / "pal.y4m", moving(1), info)
    out, back = tmp_path / "o.nvc", tmp_path / "back.y4m"
    assert cli("encode", source, out, *model).code == 0
    assert describe(out)["header"]["sample_aspect"] == "12/11"
    assert cli("decode", out, back, *model).code == 0
    with open_video(str(back)) as reader:
        assert reader.info.sample_aspect == aspect


def test_a_bfloat16_encode_decodes_to_its_own_symbols(
    cli, clip, chunked_bundle_path, tmp_path
):
    out, model = tmp_path / "o.nvc", ("--model", chunked_bundle_path)
    arguments = ("--frames", "2", "--precision", "bfloat16", *model)
    assert cli("encode", clip, out, *arguments).code == 0
    # In float32, as always; verify fails where a symbol differs.
    assert cli("verify", out, *model).code == 0


def test_rounded_times_of_a_constant_rate_cost_nothing(cli, model, tmp_path):
    rate = Fraction(30000, 1001)
    info = VideoInfo(width=WIDTH, height=HEIGHT, time_base=1 / rate, frame_rate=rate)
    source = write_video(tmp_path / "ntsc.mkv", moving(6), info)
    out, back = tmp_path / "o.nvc", tmp_path / "back.mkv"
    assert cli("encode", source, out, "--gop", "4", *model).code == 0
    assert not describe(out)["variable_times"]
    assert cli("decode", out, back, *model).code == 0
    expected = [frame.pts for frame in read_video(source)]
    assert [frame.pts for frame in read_video(back)] == expected


def test_raw_video_needs_a_size_and_then_encodes(cli, recon, model, tmp_path):
    source = tmp_path / "clip.yuv"
    source.write_bytes(b"".join(picture.tobytes() for picture in moving(2)))
    out = tmp_path / "o.nvc"
    unknown = cli("encode", source, out, *model)
    assert unknown.code == 2
    assert "--raw-size" in unknown.err
    raw = ["--raw-size", f"{WIDTH}x{HEIGHT}", "--raw-rate", "25"]
    assert cli("encode", source, out, *raw, *model).code == 0
    assert describe(out)["frames"] == 2


def test_verify_agrees_with_the_statistics(cli, encoded, stream, clip, model):
    result = cli("verify", stream, "--source", clip, *model)
    stats = json.loads((encoded / "stats.json").read_text())
    assert result.code == 0
    assert result.out.startswith(f"ok: {NUM_FRAMES} frames")
    assert f"Y {stats['psnr_y']:.3f} dB" in result.out
    assert f"YUV {stats['psnr_yuv']:.3f} dB" in result.out


def test_verify_refuses_a_source_of_another_length_or_size(
    cli, stream, model, tmp_path
):
    short = write_video(tmp_path / "short.y4m", moving(3))
    assert cli("verify", stream, "--source", short, *model).code == 7
    info = VideoInfo(width=32, height=24, frame_rate=Fraction(25))
    small = [p for p in moving(1)][0]
    picture = type(small)(small.y[:24, :32], small.u[:12, :16], small.v[:12, :16])
    other = write_video(tmp_path / "other.y4m", [picture], info)
    assert cli("verify", stream, "--source", other, *model).code == 7
