"""BD-rate: how much more a codec spends than another at the same quality.

Logarithmic rate over quality is interpolated by piecewise cubics, PCHIP or Akima, and
the difference averaged over the qualities both curves reach. NumPy alone.

Source: Bjontegaard, VCEG-M33, 2001, with the interpolation of Fritsch and Butland,
"A method for constructing local monotone piecewise cubic interpolants", 1984, instead
of one cubic polynomial, as in JCTVC practice; Akima, "A new method of interpolation and
smooth curve fitting based on local procedures", 1970, as the AOM conditions have it.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxnvc.errors import UsageError

MIN_POINTS = 4
MIN_OVERLAP = 0.75


@dataclasses.dataclass(frozen=True)
class BdRate:
    """A BD-rate and what it stands on; prints itself with both.

    Attributes:
      percent: rate of the test over the anchor's, less 100 %; negative is better.
      overlap: share of the smaller quality range that both curves reach, 0.75..1.
      low: the least quality compared, in the unit given (usually dB).
      high: the greatest quality compared.
    """

    percent: float
    overlap: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"{self.percent:+.2f} % (from {self.low:.2f} to {self.high:.2f}, "
            f"overlap {self.overlap:.0%})"
        )


@dataclasses.dataclass(frozen=True)
class Overlap:
    """The qualities two curves share.

    Attributes:
      low: the least.
      high: the greatest.
      share: (high - low) over the smaller of the two ranges, 0..1.
    """

    low: float
    high: float
    share: float


def quality_overlap(
    anchor_quality: Sequence[float], test_quality: Sequence[float]
) -> Overlap:
    """Finds the qualities two curves share.

    Args:
      anchor_quality: at least two different numbers, in any order.
      test_quality: the same.

    Raises:
      UsageError: they share less than MIN_OVERLAP of the smaller range.
    """
    ranges = [(min(q), max(q)) for q in (anchor_quality, test_quality)]
    (low_a, high_a), (low_b, high_b) = ranges
    low, high = max(low_a, low_b), min(high_a, high_b)
    smaller = min(high_a - low_a, high_b - low_b)
    share = max(0.0, high - low) / smaller if smaller > 0 else 0.0
    if share < MIN_OVERLAP:
        raise UsageError(
            f"the curves share {share:.0%} of the smaller quality range (anchor "
            f"{low_a:.2f} to {high_a:.2f}, test {low_b:.2f} to {high_b:.2f}), but "
            f"BD-rate needs {MIN_OVERLAP:.0%}: measure settings of more like quality"
        )
    return Overlap(low, high, share)


def bd_rate(
    anchor_rate: Sequence[float],
    anchor_quality: Sequence[float],
    test_rate: Sequence[float],
    test_quality: Sequence[float],
    *,
    method: str = "pchip",
) -> BdRate:
    """Average rate difference of a test codec to an anchor at equal quality.

    Args:
      anchor_rate: at least 4 rates above 0, of any unit, in any order.
      anchor_quality: a quality for each, say PSNR in dB; more rate, more quality.
      test_rate: as `anchor_rate`, in the same unit; the number may differ.
      test_quality: as `anchor_quality`.
      method: "pchip", which keeps curves monotone, or "akima".

    Returns:
      The BD-rate with its overlap; -50 % means half the rate at the same quality.

    Raises:
      UsageError: an unknown method, too few points, a value that is no number, a
        curve that is not strictly monotone, or curves that share too little; says
        which.
    """
    if method not in _SLOPES:
        raise UsageError(f"{method} is no interpolation: use pchip or akima")
    slopes = _SLOPES[method]
    anchor = _curve("anchor", anchor_rate, anchor_quality)
    test = _curve("test", test_rate, test_quality)
    shared = quality_overlap(anchor[0], test[0])
    low, high = shared.low, shared.high
    ends = low, high, slopes
    difference = _integral(*test, *ends) - _integral(*anchor, *ends)
    percent = 100 * float(np.expm1(difference / (high - low)))
    return BdRate(percent, shared.share, low, high)


def _curve(name: str, rate, quality) -> tuple[np.ndarray, np.ndarray]:
    """Checks a curve; gives quality and natural logarithm of rate, ascending."""
    rate, quality = (np.asarray(v, np.float64) for v in (rate, quality))
    if rate.ndim != 1 or rate.shape != quality.shape or rate.size < MIN_POINTS:
        raise UsageError(
            f"the {name} curve has rates of shape {rate.shape} and qualities of shape "
            f"{quality.shape}: give at least {MIN_POINTS} points, one quality per rate"
        )
    if not (np.isfinite(rate).all() and np.isfinite(quality).all() and rate.min() > 0):
        raise UsageError(
            f"the {name} curve has rates {rate.tolist()} and qualities "
            f"{quality.tolist()}: all must be finite and rates above 0"
        )
    order = np.argsort(rate, kind="stable")
    rate, quality = rate[order], quality[order]
    bad = np.flatnonzero((np.diff(rate) <= 0) | (np.diff(quality) <= 0))
    if bad.size:
        i = bad[0]
        raise UsageError(
            f"the {name} curve is not monotone: rate goes from {rate[i]:g} to "
            f"{rate[i + 1]:g} but quality from {quality[i]:g} to {quality[i + 1]:g}; "
            "measure settings further apart"
        )
    return quality, np.log(rate)


def _pchip_slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slopes of PCHIP at the points of a strictly increasing curve."""
    step = np.diff(x)
    secant = np.diff(y) / step
    left = 2 * step[1:] + step[:-1]
    right = step[1:] + 2 * step[:-1]
    inner = (left + right) / (left / secant[:-1] + right / secant[1:])
    first = _end_slope(step[0], step[1], secant[0], secant[1])
    last = _end_slope(step[-1], step[-2], secant[-1], secant[-2])
    return np.concatenate([[first], inner, [last]])


def _end_slope(step: float, next_step: float, secant: float, next_secant: float):
    """The three-point estimate at an end, limited so that the curve stays monotone."""
    slope = (2 * step + next_step) * secant - step * next_secant
    return np.clip(slope / (step + next_step), 0.0, 3 * secant)


def _akima_slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slopes of Akima's interpolant: secants weighed by how little the others turn."""
    m = np.diff(y) / np.diff(x)
    before = [3 * m[0] - 2 * m[1], 2 * m[0] - m[1]]
    after = [2 * m[-1] - m[-2], 3 * m[-1] - 2 * m[-2]]
    m = np.concatenate([before, m, after])
    turn = np.abs(np.diff(m))
    left, right = turn[2:], turn[:-2]
    total = left + right
    # Where nothing turns on either side, the mean of the two secants.
    flat = total <= 1e-9 * total.max()
    weighed = (left * m[1:-2] + right * m[2:-1]) / np.where(flat, 1.0, total)
    return np.where(flat, (m[1:-2] + m[2:-1]) / 2, weighed)


_SLOPES = {"pchip": _pchip_slopes, "akima": _akima_slopes}


def _integral(x: np.ndarray, y: np.ndarray, low: float, high: float, slopes) -> float:
    """Integrates the interpolant through (x, y) from `low` to `high`, exactly."""
    step, slope = np.diff(x), slopes(x, y)

    def until(end: float) -> float:
        t = np.clip((end - x[:-1]) / step, 0.0, 1.0)
        rise = t**3 - t**4 / 2
        values = y[:-1] * (t - rise) + y[1:] * rise
        bend_left = t**2 / 2 - 2 * t**3 / 3 + t**4 / 4
        bend_right = t**4 / 4 - t**3 / 3
        bends = slope[:-1] * bend_left + slope[1:] * bend_right
        return float(np.sum(step * values + step**2 * bends))

    return until(high) - until(low)
