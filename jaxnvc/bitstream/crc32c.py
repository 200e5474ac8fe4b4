"""CRC-32C (Castagnoli), fast in NumPy because a CRC is linear over GF(2).

A plain table loop handles one byte after another and takes a fifth of a second for a
megabyte. Linearity lets all bytes be looked up at once instead: the remainder of a
block is the XOR of one table entry per byte, and the remainders of two neighbours
combine as `advance(left) ^ right`, where `advance` appends zero bytes and is itself a
table lookup. So a message is cut into blocks, all blocks are reduced side by side, and
the block remainders are folded in pairs.

Source: G. Castagnoli et al., 1993, for the polynomial; RFC 3720 appendix B.4 for the
bit order, the inversions and test vectors.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Bit-reversed 0x1EDC6F41: the low bit is shifted out first.
_ONES = 0xFFFFFFFF
_LOG2_BLOCK = 6
_BLOCK = 1 << _LOG2_BLOCK
# Below this length the plain loop wins over the fixed cost of some seventy NumPy calls.
_LOOP_BYTES = 2048


def crc32c(data, value: int = 0) -> int:
    """Returns the CRC-32C of `data`, or of all data so far if `value` is given.

    Args:
      data: bytes, bytearray or contiguous memoryview.
      value: CRC of what came before; `crc32c(b, crc32c(a)) == crc32c(a + b)`.

    Returns:
      The CRC, in [0, 2**32).
    """
    register = value ^ _ONES
    if len(data) < _LOOP_BYTES:
        table = _byte_list()
        for byte in bytes(data):
            register = (register >> 8) ^ table[(register ^ byte) & 0xFF]
        return register ^ _ONES
    return _remainder(data, register) ^ _ONES


def _remainder(data, register: int) -> int:
    """Returns the register after `data`, of at least 4 bytes, by blocks."""
    # Zero bytes in front change nothing once the register is moved into the data.
    padding = -len(data) % _BLOCK
    padded = np.zeros(padding + len(data), np.uint8)
    padded[padding:] = np.frombuffer(data, np.uint8)
    start = np.frombuffer(register.to_bytes(4, "little"), np.uint8)
    padded[padding : padding + 4] ^= start
    blocks = padded.reshape(-1, _BLOCK)
    remainders = np.zeros(len(blocks), np.uint32)
    for column, table in enumerate(_column_tables()):
        remainders ^= table[blocks[:, column]]
    log2_bytes = _LOG2_BLOCK
    while len(remainders) > 1:
        if len(remainders) % 2:
            remainders = np.concatenate([np.zeros(1, np.uint32), remainders])
        left = _advance(_zeros_tables(log2_bytes), remainders[0::2])
        remainders = left ^ remainders[1::2]
        log2_bytes += 1
    return int(remainders[0])


def _advance(tables: np.ndarray, registers: np.ndarray) -> np.ndarray:
    """Appends the zero bytes that `tables` [4, 256] stand for to registers [n]."""
    result = tables[0][registers & 0xFF]
    for byte in (1, 2, 3):
        result = result ^ tables[byte][(registers >> (8 * byte)) & 0xFF]
    return result


@functools.cache
def _byte_table() -> np.ndarray:
    """Returns the register after each single byte, uint32 [256]."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ (table & 1) * np.uint32(_POLYNOMIAL)
    return table


@functools.cache
def _byte_list() -> list[int]:
    """Returns `_byte_table` as Python integers, which a Python loop reads faster."""
    return _byte_table().tolist()


@functools.cache
def _column_tables() -> np.ndarray:
    """Returns what each byte adds to its block's remainder, uint32 [_BLOCK, 256]."""
    tables = np.empty((_BLOCK, 256), np.uint32)
    tables[-1] = _byte_table()
    for column in reversed(range(_BLOCK - 1)):
        tables[column] = _advance(_zeros_tables(0), tables[column + 1])
    return tables


@functools.cache
def _zeros_tables(log2_bytes: int) -> np.ndarray:
    """Returns the tables [4, 256] that append 2**log2_bytes zero bytes."""
    if log2_bytes == 0:
        byte_values = np.arange(256, dtype=np.uint32)
        registers = np.stack([byte_values << (8 * byte) for byte in range(4)])
        return (registers >> 8) ^ _byte_table()[registers & 0xFF]
    half = _zeros_tables(log2_bytes - 1)
    return np.stack([_advance(half, half[byte]) for byte in range(4)])
