"""The bound counts what is computed, and the committed table is of the full models."""

import json
import pathlib

import pytest

from jaxnvc.codecs import registry
from jaxnvc.evaluation import roofline
from jaxnvc.evaluation.complexity import Product, count

PRESET, SIZE = "dcvc_uf/ld-tiny", (64, 64)


def test_bounds_follow_the_counted_work():
    rows = {(r["program"], r["dtype"]): r for r in roofline.estimate(PRESET, SIZE)}
    counted = count(registry.build(PRESET), SIZE)
    for way in ("encode", "decode"):
        exact, half = (rows[way, dtype] for dtype in ("float32", "bfloat16"))
        gmac = counted[f"{way}r_kmac"] * 64 * 64 / 1e6
        assert exact["gmac_per_frame"] == pytest.approx(gmac, abs=0.005)
        assert half["gmac_per_frame"] == exact["gmac_per_frame"]
        for device in roofline.DEVICES:
            assert exact["fps"][device]["fused"] < half["fps"][device]["fused"]
            assert half["fps"][device]["apart"] < half["fps"][device]["fused"]
    shown = rows["encode and reconstruct", "float32"]["fps"]["H100"]["fused"]
    assert shown < rows["encode", "float32"]["fps"]["H100"]["fused"]


def test_a_product_takes_the_longer_of_its_work_and_its_bytes():
    peaks = {"bfloat16": 1000.0, "bandwidth": 10.0}
    busy, starved = Product("a", 5000, 40, 20), Product("b", 500, 40, 20)
    assert roofline.seconds_of([busy, starved], peaks, "bfloat16", 1) == 10 + 6
    assert roofline.seconds_of([busy, starved], peaks, "bfloat16", 2) == 10 + 10


@pytest.mark.parametrize(
    ("preset", "encode", "decode"),
    # G per frame as the sheet counts them, section 3.3.
    [
        ("dcvc_uf/ld", 155.8, 150.5),
        ("dcvc_uf/hts", 142.3, 194.7),
        ("dcvc_uf/htl", 282.1, 304.5),
    ],
)
def test_the_committed_table_has_the_published_work(preset, encode, decode):
    root = pathlib.Path(__file__).parents[2]
    report = json.loads((root / "docs" / "bench" / "roofline.json").read_text())
    rows = report["models"][preset]["programs"]
    found = {row["program"]: row["gmac_per_frame"] for row in rows}
    assert found["encode"] == pytest.approx(encode, abs=0.06)
    assert found["decode"] == pytest.approx(decode, abs=0.06)
    assert report["kind"].startswith("estimate")
