"""Sequences cut into units of several frames."""

import pytest

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
