import json
import subprocess
import sys

import pytest

from jaxnvc.bitstream import ArithmeticProfile, describe, format_info
from jaxnvc.errors import BitstreamError, InputError


@pytest.fixture
def path(tmp_path, three_gops):
    path = tmp_path / "clip.nvc"
    path.write_bytes(three_gops.data)
    return path


def test_the_description_counts_everything(path, three_gops):
    info = describe(path)
    assert info["bytes"] == len(three_gops.data)
    assert info["frames"] == info["header"]["frame_count"] == 15
    assert info["packets"]["intra"]["count"] == 3
    assert info["packets"]["inter"]["frames"] == 12
    in_packets = sum(count["bytes"] for count in info["packets"].values())
    assert in_packets == three_gops.end - three_gops.header_bytes
    assert info["duration_s"] == pytest.approx(15 * 1001 / 30000)
    assert info["bitrate_bps"] == pytest.approx(8 * info["bytes"] / info["duration_s"])
    assert info["bits_per_pixel"] == 8 * info["bytes"] / (1920 * 1080 * 15)
    assert info["qp"] == {"min": 20, "max": 22, "mean": 21.0}
    assert (info["complete"], info["has_index"], info["damages"]) == (True, True, [])
    assert json.loads(json.dumps(info)) == info


def test_the_text_names_what_matters(path):
    text = format_info(describe(path))
    for part in ("1920x1080", "4:2:0", "base-2026", "portable", "qp 20 to 22"):
        assert part in text
    assert text.splitlines()[-1].endswith("complete, with index")


def test_damage_is_listed_not_raised(path, three_gops):
    path.write_bytes(three_gops.data[: three_gops.starts[4] + 16])
    info = describe(path)
    assert info["frames"] == 6
    assert [d["offset"] for d in info["damages"]] == [three_gops.starts[4]]
    assert info["damages"][0]["resumed_frame"] == 15
    text = format_info(info)
    assert "DAMAGED in 1 place" in text
    assert "6 frames of 15" in text


def test_a_profile_is_shown(make):
    profile = ArithmeticProfile(
        device_kind="TPU v4", dtype="bfloat16", jax_version="0.6.2"
    )
    info = describe(make.stream(make.packets(1, 1), profile=profile))
    assert "TPU v4, bfloat16, JAX 0.6.2" in format_info(info)


def test_variable_times_give_the_duration(make):
    data = make.stream(
        make.packets(1, 1, timed=True),
        **{"time_base_num": 1, "time_base_den": 1000},
        **{"frame_rate_num": 0, "frame_rate_den": 0},
    )
    info = describe(data)
    assert info["variable_times"]
    # Times -50, -9 and 32: two steps of 41 ticks, and as long again for the last frame.
    assert info["duration_s"] == pytest.approx(0.123)
    assert "variable" in format_info(info)


def test_an_empty_stream_has_no_rates(make):
    info = describe(make.stream([]))
    assert info["bits_per_pixel"] is None
    assert "no frames" in format_info(info)


def test_missing_files_and_foreign_files_say_so(tmp_path):
    with pytest.raises(InputError, match="cannot open"):
        describe(tmp_path / "missing.nvc")
    other = tmp_path / "other.nvc"
    other.write_bytes(b"RIFF....AVI ")
    with pytest.raises(BitstreamError, match="right file"):
        describe(other)


def test_describing_a_file_does_not_import_jax(path):
    code = (
        "import sys; from jaxnvc.bitstream import describe, format_info;"
        f"format_info(describe({str(path)!r})); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
