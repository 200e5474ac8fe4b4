"""Sequences cut into units of several frames."""

import pytest

from jaxnvc.codecs import registry
from jaxnvc.coding.encoder import EncodeSettings
from jaxnvc.coding.gop import in_units


@pytest.mark.parametrize(
    ("gop", "count", "expected"),
    [
        (-1, 1, [(0, 0, 1), *((n, n, 1) for n in range(1, 9))]),
        (-1, 4, [(0, 0, 1), (1, 1, 4), (5, 2, 4)]),
        (-1, 3, [(0, 0, 1), (1, 1, 3), (4, 2, 3), (7, 3, 2)]),
        (6, 4, [(0, 0, 1), (1, 1, 4), (5, 2, 1), (6, 0, 1), (7, 1, 2)]),
        (1, 4, [(n, 0, 1) for n in range(9)]),
    ],
)
def test_units_end_where_they_are_full_or_an_intra_frame_follows(gop, count, expected):
    units = list(in_units(range(9), gop, count))
    assert [(u.first, u.position, len(u.frames)) for u in units] == expected
    assert [frame for unit in units for frame in unit.frames] == list(range(9))


def test_a_unit_comes_out_before_the_next_frame_is_asked_for():
    asked = []

    def frames():
        for number in range(9):
            asked.append(number)
            yield number

    for unit in in_units(frames(), -1, 4):
        assert asked[-1] == unit.frames[-1]


def test_intra_and_golden_units_are_coded_finer_up_to_the_last_level():
    model = registry.build("avs_eem/tiny")

    def qps(**settings):
        settings = EncodeSettings(gop=7, intra_boost=10, **settings)
        units = in_units(range(9), 7, 1)
        return [int(settings.cond(unit, model).qp[0]) for unit in units]

    plain = [30, 20, 20, 20, 20, 20, 20, 30, 20]
    assert qps(qp=20) == plain
    golden = {"golden_period": 3, "golden_boost": 5}
    assert qps(qp=20, **golden) == [30, 20, 20, 25, 20, 20, 25, 30, 20]
    assert qps(qp=60, **golden) == [63, 60, 60, 63, 60, 60, 63, 63, 60]
