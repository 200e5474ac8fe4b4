import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from jaxnvc.errors import UsageError
from jaxnvc.metrics import bd_rate

RATE = np.array([0.03, 0.07, 0.16, 0.40, 0.90])
QUALITY = np.array([30.1, 33.0, 35.2, 38.9, 41.0])


def random_curve(rng, count):
    """Strictly monotone, about 30 to 42 dB, steps of very different sizes."""
    quality = 30 + np.sort(rng.uniform(0.5, 11.5, count))
    quality[[0, -1]] = 30 + rng.uniform(0, 0.5), 42 - rng.uniform(0, 0.5)
    return np.exp(np.cumsum(rng.uniform(0.05, 1.5, count))), quality


@pytest.mark.parametrize("method", ["pchip", "akima"])
@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_bjontegaard_or_is_skipped_where_that_is_absent(seed, method):
    oracle = pytest.importorskip("bjontegaard")
    rng = np.random.default_rng(seed)
    curves = *random_curve(rng, 4 + seed % 5), *random_curve(rng, 4 + seed % 3)
    expected = oracle.bd_rate(*curves, method=method, require_matching_points=False)
    assert bd_rate(*curves, method=method).percent == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_the_integral_of_scipys_interpolant(seed):
    rng = np.random.default_rng(100 + seed)
    rate_a, quality_a = random_curve(rng, 6)
    rate_b, quality_b = random_curve(rng, 5)
    low, high = max(quality_a[0], quality_b[0]), min(quality_a[-1], quality_b[-1])
    a = PchipInterpolator(quality_a, np.log(rate_a)).integrate(low, high)
    b = PchipInterpolator(quality_b, np.log(rate_b)).integrate(low, high)
    expected = 100 * (np.exp((b - a) / (high - low)) - 1)
    measured = bd_rate(rate_a, quality_a, rate_b, quality_b)
    assert measured.percent == pytest.approx(expected, rel=1e-9)
    assert (measured.low, measured.high) == (low, high)


def test_a_straight_curve_is_interpolated_alike_by_both_methods():
    straight = np.exp(0.4 * QUALITY)
    for method in ("pchip", "akima"):
        result = bd_rate(straight, QUALITY, straight / 2, QUALITY, method=method)
        assert result.percent == pytest.approx(-50)
    with pytest.raises(UsageError, match="pchip or akima"):
        bd_rate(RATE, QUALITY, RATE, QUALITY, method="spline")


def test_a_curve_against_itself_is_zero():
    result = bd_rate(RATE, QUALITY, RATE, QUALITY)
    assert result.percent == 0
    assert result.overlap == 1
    assert (result.low, result.high) == (30.1, 41.0)


@pytest.mark.parametrize(("factor", "percent"), [(0.5, -50), (2, 100), (1.1, 10)])
def test_a_rate_scaled_by_a_factor_is_that_factor(factor, percent):
    result = bd_rate(RATE, QUALITY, factor * RATE, QUALITY)
    assert result.percent == pytest.approx(percent, abs=1e-9)


def test_the_order_of_points_and_the_unit_of_rate_do_not_matter():
    expected = bd_rate(RATE, QUALITY, RATE**1.1, QUALITY).percent
    order = [3, 0, 4, 1, 2]
    shuffled = bd_rate(1000 * RATE, QUALITY, 1000 * RATE[order] ** 1.1, QUALITY[order])
    assert shuffled.percent == pytest.approx(expected, rel=1e-9)


def test_exchanging_the_curves_inverts_the_ratio():
    forth = bd_rate(RATE, QUALITY, 1.3 * RATE, QUALITY + 0.4).percent / 100
    back = bd_rate(1.3 * RATE, QUALITY + 0.4, RATE, QUALITY).percent / 100
    assert (1 + forth) * (1 + back) == pytest.approx(1, abs=1e-12)


def test_it_prints_its_overlap():
    text = str(bd_rate(RATE, QUALITY, RATE / 2, QUALITY))
    assert text == "-50.00 % (from 30.10 to 41.00, overlap 100%)"


def test_overlap_is_a_share_of_the_smaller_range():
    quality = np.array([20.0, 30.0, 40.0, 50.0])
    inside = np.array([37.0, 40.0, 44.0, 53.0])
    assert bd_rate(RATE[:4], quality, RATE[:4], inside).overlap == 13 / 16


def test_curves_that_share_less_than_three_quarters_are_refused():
    with pytest.raises(UsageError, match="share 72% .*75%"):
        bd_rate(RATE, QUALITY, RATE, QUALITY + 3)
    with pytest.raises(UsageError, match="share 0%"):
        bd_rate(RATE, QUALITY, RATE, QUALITY + 30)


def test_fewer_than_four_points_or_unequal_counts_are_refused():
    with pytest.raises(UsageError, match="anchor curve .* at least 4"):
        bd_rate(RATE[:3], QUALITY[:3], RATE, QUALITY)
    with pytest.raises(UsageError, match="test curve .* one quality per rate"):
        bd_rate(RATE, QUALITY, RATE, QUALITY[:4])


def test_curves_that_are_not_strictly_monotone_are_refused():
    falling, level = QUALITY.copy(), QUALITY.copy()
    falling[2], level[2] = 32.0, level[1]
    with pytest.raises(UsageError, match=r"anchor .* 0.07 to 0.16 .* 33 to 32"):
        bd_rate(RATE, falling, RATE, QUALITY)
    with pytest.raises(UsageError, match="test curve is not monotone"):
        bd_rate(RATE, QUALITY, RATE, level)
    with pytest.raises(UsageError, match="test curve is not monotone"):
        bd_rate(RATE, QUALITY, RATE[[0, 0, 1, 2, 3]], QUALITY)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_rates_that_are_no_rates_are_refused(bad):
    rate = RATE.copy()
    rate[1] = bad
    with pytest.raises(UsageError, match="finite and rates above 0"):
        bd_rate(RATE, QUALITY, rate, QUALITY)


def test_qualities_that_are_no_numbers_are_refused():
    quality = QUALITY.copy()
    quality[1] = np.inf
    with pytest.raises(UsageError, match="finite"):
        bd_rate(RATE, quality, RATE, QUALITY)
