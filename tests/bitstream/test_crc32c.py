import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnvc.bitstream import crc32c


def bitwise_crc32c(data: bytes, value: int = 0) -> int:
    """The definition: one bit after another."""
    register = value ^ 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # The catalogue's check value.
        (bytes(32), 0x8A9136AA),  # These three: RFC 3720, appendix B.4.
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_published_values(data, expected):
    assert crc32c(data) == expected


@pytest.mark.parametrize(
    "size", [2047, 2048, 2049, 2111, 2112, 2113, 4096, 6400, 12345]
)
def test_block_path_agrees_with_the_bitwise_oracle(size):
    rng = np.random.default_rng(size)
    data = rng.integers(0, 256, size, np.uint8).tobytes()
    assert crc32c(data) == bitwise_crc32c(data)
    assert crc32c(memoryview(data), 0x12345678) == bitwise_crc32c(data, 0x12345678)


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_short_path_agrees_with_the_bitwise_oracle(data, value):
    assert crc32c(data, value) == bitwise_crc32c(data, value)


@pytest.mark.parametrize("cut", [0, 1, 1000, 3000, 9999, 10000])
def test_crc_continues_over_a_cut(cut):
    data = np.random.default_rng(1).integers(0, 256, 10000, np.uint8).tobytes()
    assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)


def test_a_megabyte_takes_well_under_a_tenth_of_a_second():
    data = np.random.default_rng(2).integers(0, 256, 2**20, np.uint8).tobytes()
    crc32c(data)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        crc32c(data)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1
