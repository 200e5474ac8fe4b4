"""BD-rates and tables of results."""

import statistics

import pytest

from jaxnvc.errors import UsageError
from jaxnvc.evaluation.stored_anchors import columns_of, published_tables
from jaxnvc.evaluation.tables import compare, comparisons, markdown

# Of the sequences of AVS-EEM; their means stand beside the sequences.
CLASSES = ("4K", "1080p", "720p")
RUN = {
    "command": "jaxnvc eval",
    "environment": dict.fromkeys(
        ("jaxnvc", "commit", "jax", "av", "device", "processor", "cpus"), "x"
    ),
    "left_out": {"vvenc-ld-faster": "it is absent"},
    "missing": ["gone.yuv"],
    "failures": [],
}


def curve(clip="a", codec="one", factor=1.0, group="A", count=6, **fields):
    return [
        {
            "clip": clip,
            "class": group,
            "codec": codec,
            "setting": f"qp={i}",
            "source": f"{clip}.y4m",
            "frames": 8,
            "bpp": factor * 0.02 * 1.7**i,
            "psnr_y": 30 + 2.0 * i,
            "psnr_u": 34 + 2.0 * i,
            "psnr_v": 35 + 2.0 * i,
            "psnr_yuv": 31 + 2.0 * i,
            "ms_ssim": 1 - 0.1 / 1.5**i,
            "encode_fps": 5.0,
            "decode_fps": 9.0,
            **fields,
        }
        for i in range(count)
    ]


def test_a_codec_against_itself_is_zero_and_against_half_its_rate_minus_fifty():
    assert compare(curve(), curve()).percent == pytest.approx(0, abs=1e-9)
    assert compare(curve(), curve(factor=0.5)).percent == pytest.approx(-50)


def test_points_that_the_tested_codec_is_far_from_bend_nothing():
    long = curve(count=12)
    bent = [*long[:10], *({**p, "bpp": p["bpp"] * 3} for p in long[10:])]
    assert compare(bent, curve(factor=0.5)).percent == pytest.approx(-50)


def test_too_few_points_and_missing_measures_are_refused():
    with pytest.raises(UsageError, match="at least 4"):
        compare(curve(count=3), curve(count=3))
    with pytest.raises(UsageError, match="vmaf was not measured"):
        compare(curve(), curve(vmaf=3.0), "vmaf")


def test_tables_show_clips_classes_and_the_mean_of_both():
    lines = curve("a", "model") + curve("a", "enc")
    lines += curve("b", "model", 2.0, group="B") + curve("b", "enc", group="B")
    text = markdown(lines, ["model"], RUN)
    assert "| a | -0.0 % (100%) |" in text.replace("+0.0", "-0.0")
    assert "| b | +100.0 % (100%) |" in text
    assert "| **B** | +100.0 % (1 of 1) |" in text
    assert "| **mean** | +50.0 % (2 of 2) |" in text
    assert "Left out: vvenc-ld-faster: it is absent." in text
    assert "Missing: gone.yuv" in text


def test_a_refused_comparison_says_why_and_is_no_zero():
    lines = curve("a", "model") + curve("a", "enc", psnr_yuv=33.0)
    found = [c for c in comparisons(lines, ["model"]) if c.quality == "psnr_yuv"]
    assert isinstance(found[0].result, str)
    text = markdown(lines, ["model"], RUN)
    assert "| a | none [1] |" in text
    assert "| **mean** | none of 1 clips |" in text


def test_papers_are_shown_for_the_classes_they_measured():
    lines = curve("Beauty", "model", group="UVG") + curve("Beauty", "enc", group="UVG")
    text = markdown(lines, ["model"], RUN)
    assert "DCVC-UF HT-L | -39.60" in text
    assert "against VTM-23.4-LDB" in text
    other = markdown(curve(codec="model") + curve(), ["model"], RUN)
    assert "Published" not in other


PUBLISHED = published_tables({"UVG", "HEVC B", "A2"}, {"Tango2"})


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table["source"][:20])
def test_published_rows_are_whole_and_their_averages_right(table):
    columns = columns_of(table)
    named = [i for i, name in enumerate(columns) if name not in CLASSES]
    for name, values in table["rows"].items():
        assert len(values) == len(columns), name
        if columns[-1] == "average" and name != "DCVC-TCM, all frames":
            mean = statistics.fmean(values[i] for i in named[:-1])
            assert values[-1] == pytest.approx(mean, abs=0.06), name


def test_papers_stand_beside_results_of_their_classes_and_sequences():
    text = markdown(curve(group="UVG"), ["one"], RUN)
    assert "## Published: DCVC-UF" in text
    assert "| DHVC 2.0 | -37.55 |" in text
    assert "AVS-EEM" not in text
    text = markdown(curve(clip="Tango2"), ["one"], RUN)
    assert "| AVS-EEM v9.1 | -1.23 | -8.68 | -23.19 |" in text
    assert "DCVC-UF" not in text
