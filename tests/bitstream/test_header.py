import contextlib
import time
import tracemalloc
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnvc.bitstream import (
    ArithmeticProfile,
    Limits,
    StreamHeader,
    StreamReader,
    crc32c,
    pack_sample_aspect,
    pack_skip_schedule,
    unpack_header,
)
from jaxnvc.bitstream.fields import pack_varint
from jaxnvc.errors import BitstreamError, UsageError

counts = st.integers(1, 2**32 - 1)
free_tags = st.integers(1, 127)
sides = st.integers(1, 8192)
printable = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
texts = st.text(printable, max_size=16)
profiles = st.builds(
    ArithmeticProfile, device_kind=texts, dtype=texts, jax_version=texts
)


@st.composite
def headers(draw) -> StreamHeader:
    width, height = draw(sides), draw(sides)
    rate = draw(st.one_of(st.just((0, 0)), st.tuples(counts, counts)))
    code = st.integers(0, 255)
    return StreamHeader(
        family=draw(st.text("abcxyz-0189", min_size=1, max_size=32)),
        model_id=draw(st.binary(min_size=16, max_size=16)),
        model_name=draw(texts),
        display_width=width,
        display_height=height,
        coded_width=width + draw(st.integers(0, 64)),
        coded_height=height + draw(st.integers(0, 64)),
        chroma_format=draw(st.integers(0, 3)),
        bit_depth=draw(st.integers(8, 16)),
        primaries=draw(code),
        transfer=draw(code),
        matrix=draw(code),
        full_range=draw(st.sampled_from([None, False, True])),
        time_base_num=draw(counts),
        time_base_den=draw(counts),
        frame_rate_num=rate[0],
        frame_rate_den=rate[1],
        frame_count=draw(st.integers(0, 2**32 - 1)),
        gop=draw(st.one_of(st.just(-1), counts)),
        frames_per_unit=draw(st.integers(1, 1024)),
        skip_thresholds=tuple(draw(st.lists(code, max_size=16))),
        refresh_period=draw(st.integers(0, 2**32 - 1)),
        profile=draw(st.one_of(st.none(), profiles)),
        minor=draw(code),
        extensions=tuple(
            draw(st.lists(st.tuples(free_tags, st.binary(max_size=20)), max_size=3))
        ),
    )


def with_crc(body: bytes) -> bytes:
    """Returns `body` with its length field and CRC made right."""
    body = body[:6] + (len(body) + 4).to_bytes(2, "little") + body[8:]
    return body + crc32c(body).to_bytes(4, "little")


@given(headers(), st.binary(max_size=10))
@settings(max_examples=100, deadline=None)
def test_headers_round_trip_whatever_follows(header, rest):
    assert unpack_header(header.pack() + rest) == header


def test_a_portable_header_is_small(make):
    header = make.header(model_name="a-model-name-of-24-bytes")
    assert header.portable
    assert len(header.pack()) < 110


def test_every_single_bit_flip_is_detected(make):
    packed = make.header().pack()
    for bit in range(8 * len(packed)):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BitstreamError):
            unpack_header(bytes(flipped))


def test_every_cut_is_detected(make):
    packed = make.header().pack()
    for size in range(len(packed)):
        with pytest.raises(BitstreamError):
            unpack_header(packed[:size])


def test_an_unknown_major_version_says_so(make):
    body = bytearray(make.header().pack()[:-4])
    body[4] = 9
    with pytest.raises(BitstreamError, match=r"version 9\.0.*knows 1\.x"):
        unpack_header(with_crc(bytes(body)))


def test_an_old_reader_skips_unknown_extensions_of_a_later_minor(make):
    header = make.header()
    body = bytearray(header.pack()[:-4])
    body[5] = 7
    extension = pack_varint(100) + pack_varint(5) + b"later"
    read = unpack_header(with_crc(bytes(body) + extension))
    assert read == make.header(minor=7, extensions=((100, b"later"),))


@pytest.mark.parametrize("aspect", [None, Fraction(1), Fraction(128, 117)])
def test_a_sample_aspect_ratio_survives(make, aspect):
    header = make.header(minor=1, extensions=pack_sample_aspect(aspect))
    assert unpack_header(header.pack()).sample_aspect == aspect


@pytest.mark.parametrize("value", [b"", b"\x04", b"\x04\x00", b"\x00\x03"])
def test_an_impossible_sample_aspect_ratio_reads_as_unspecified(make, value):
    header = make.header(minor=1, extensions=((1, value),))
    assert unpack_header(header.pack()).sample_aspect is None


def test_an_unknown_field_that_must_be_understood_is_refused(make):
    header = make.header(extensions=((129, b""),))
    with pytest.raises(BitstreamError, match="129.*must be understood"):
        unpack_header(header.pack())


def test_skip_thresholds_change_at_their_frames(make):
    schedule = ((5, (2, 3)), (9, (3, 4)))
    extensions = pack_skip_schedule(schedule)
    header = make.header(skip_thresholds=(1, 2), extensions=extensions)
    read = unpack_header(header.pack())
    found = [read.skip_threshold(frame, 1) for frame in (0, 4, 5, 8, 9, 99)]
    assert found == [2, 2, 3, 3, 4, 4]
    assert read.skip_threshold(7, 0) == 2


@pytest.mark.parametrize("value", [b"\x05\x02", b"\x05\x02\x03\x05\x02\x03"])
def test_a_skip_schedule_that_is_cut_or_falls_back_is_refused(make, value):
    header = make.header(skip_thresholds=(1, 2), extensions=((128, value),))
    with pytest.raises(BitstreamError):
        unpack_header(header.pack())


def test_absurd_sizes_fail_fast_and_without_allocation(make):
    side = 2**29
    absurd = make.header(
        **{"display_width": side, "display_height": side},
        **{"coded_width": side, "coded_height": side},
    ).pack()
    seconds = []
    tracemalloc.start()
    try:
        for _ in range(5):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            start = time.perf_counter()
            with pytest.raises(BitstreamError, match="536870912x536870912"):
                unpack_header(absurd)
            seconds.append(time.perf_counter() - start)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < 100_000
    finally:
        tracemalloc.stop()
    # Measured with tracing on, which alone makes it several times slower.
    assert min(seconds) < 0.005


def test_absurd_sizes_fail_within_a_millisecond(make):
    absurd = make.header(coded_width=2**29, coded_height=2**29).pack()
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        try:
            StreamReader(absurd)
        except BitstreamError:
            seconds.append(time.perf_counter() - start)
    assert len(seconds) == 10
    assert min(seconds) < 0.001


def test_the_pixel_limit_is_inclusive(make):
    size = {"display_width": 64, "display_height": 64}
    header = make.header(**size, coded_width=64, coded_height=64)
    assert unpack_header(header.pack(), Limits(max_pixels=4096)) == header
    with pytest.raises(BitstreamError, match="more than the 4095"):
        unpack_header(header.pack(), Limits(max_pixels=4095))


@pytest.mark.parametrize(
    "changes",
    [
        {"gop": 0},
        {"gop": -2},
        {"display_width": 0},
        {"coded_width": 1919},
        {"bit_depth": 7},
        {"chroma_format": 4},
        {"frame_rate_den": 0},
        {"time_base_num": 0},
        {"frames_per_unit": 1025},
        {"model_id": b"short"},
        {"family": ""},
        {"family": "mot\u00e9"},
        {"model_name": "x" * 65},
        {"model_name": "bell\a"},
        {"skip_thresholds": (256,)},
    ],
)
def test_impossible_headers_are_refused_when_made(make, changes):
    with pytest.raises(UsageError):
        make.header(**changes)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_garbage_with_a_valid_frame_raises_only_bitstream_errors(body):
    start = b"\x89NVC\x01\x00\x00\x00" + body.ljust(26, b"\x01")
    with contextlib.suppress(BitstreamError):
        unpack_header(with_crc(start))
