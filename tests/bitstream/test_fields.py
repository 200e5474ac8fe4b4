import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnvc.bitstream.fields import FieldReader, pack_varint, unzigzag, zigzag
from jaxnvc.errors import BitstreamError


@given(st.integers(0, 2**64 - 1))
@settings(deadline=None)
def test_varints_round_trip_in_the_fewest_bytes(value):
    encoded = pack_varint(value)
    assert FieldReader(encoded).varint() == value
    assert len(encoded) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")],
)
def test_varints_are_leb128(value, encoded):
    assert pack_varint(value) == encoded


@pytest.mark.parametrize(
    "encoded", [b"", b"\x80", b"\x80\x00", b"\xff" * 9 + b"\x02", b"\x80" * 11]
)
def test_cut_overlong_and_oversized_varints_are_refused(encoded):
    with pytest.raises(BitstreamError):
        FieldReader(encoded).varint()


@pytest.mark.parametrize("value", [-1, 2**64])
def test_unrepresentable_values_are_refused(value):
    with pytest.raises(ValueError, match="varint"):
        pack_varint(value)


@given(st.integers(-(2**63), 2**63 - 1))
@settings(deadline=None)
def test_zigzag_round_trips(value):
    assert 0 <= zigzag(value) < 2**64
    assert unzigzag(zigzag(value)) == value


def test_zigzag_keeps_small_values_small():
    assert [zigzag(value) for value in (0, -1, 1, -2, 2)] == [0, 1, 2, 3, 4]


def test_errors_give_the_offset_in_the_stream():
    with pytest.raises(BitstreamError) as caught:
        FieldReader(b"abc", 1, base=100).take(3)
    assert caught.value.offset == 101
