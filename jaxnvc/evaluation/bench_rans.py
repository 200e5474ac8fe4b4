"""Speed and size of the rANS coder beside constriction's, in one run, alternating.

Two synthetic latents, of a 416x240 and a 1920x1080 frame: 128 channels at 1/16
resolution, log-normal scales per channel and place, 0.1 bit per symbol on average,
symbols of the smallest scales skipped. Both coders get the same active symbols, as
ready arrays; `whole` adds what a codec needs around them: gathering the active
symbols and their scales before, putting symbols back in place after.

Ratios between coders are the result; times depend on the machine and its load.
"""

import functools
import importlib
import importlib.metadata
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxnvc.entropy import rans, tables

LATENTS = {"416x240": (15, 26, 128), "1920x1080": (68, 120, 128)}
BITS_PER_SYMBOL = 0.1
# The skip threshold of DCVC's practical mode.
SKIP_SIGMA = 0.15
_PEER_BOUND = 64


class Latent(NamedTuple):
    """A latent in natural order.

    Attributes:
      symbols: int32 [n], 0 where skipped.
      index: int32 [n], scale indices.
      active: bool [n].
      ideal_bits: code length of the active symbols by the table.
    """

    symbols: np.ndarray
    index: np.ndarray
    active: np.ndarray
    ideal_bits: float


class Contender(NamedTuple):
    """A coder bound to one latent.

    Attributes:
      name: shown in the table.
      encode: codes the active symbols; its result goes to `decode`.
      decode: restores the active symbols, int32 [active].
      encode_whole: codes from the whole latent.
      decode_whole: restores the whole latent, int32 [n].
      num_bytes: size of what `encode` returned.
    """

    name: str
    encode: Callable
    decode: Callable
    encode_whole: Callable
    decode_whole: Callable
    num_bytes: Callable


def _expected_bits() -> np.ndarray:
    """Returns the mean code length of each scale, skipped ones 0: float64 [64]."""
    table, bits = tables.gaussian_table(), tables.ideal_bits_table().astype(float)
    share = (table.packed & 0xFFFF) / (1 << tables.PROBABILITY_BITS)
    slot = np.arange(tables.NUM_SLOTS)
    share = np.where((slot > 0) & (slot < table.escape[:, None]), 2 * share, share)
    return np.sum(share * bits, axis=1) * (tables.scale_values() >= SKIP_SIGMA)


def make_latent(height: int, width: int, channels: int, seed: int = 0) -> Latent:
    """Draws a latent of BITS_PER_SYMBOL with log-normal scales."""
    rng = np.random.default_rng(seed)
    octaves = rng.normal(0, 1.5, (1, 1, channels))
    octaves = (octaves + rng.normal(0, 0.9, (height, width, 1))).reshape(-1)
    expected = _expected_bits()

    def indices(shift):
        # Eight octaves over the 63 steps from one scale to the next.
        return np.clip(np.rint((octaves + shift) * 63 / 8), 0, 63).astype(np.int32)

    low, high = -10.0, 10.0
    for _ in range(40):
        shift = (low + high) / 2
        above = expected[indices(shift)].mean() > BITS_PER_SYMBOL
        low, high = (low, shift) if above else (shift, high)
    index = indices(low)
    sigma = tables.scale_values()[index]
    active = sigma >= SKIP_SIGMA
    symbols = np.where(active, np.rint(rng.normal(0, sigma)), 0).astype(np.int32)
    magnitude = np.minimum(np.abs(symbols), tables.NUM_SLOTS - 1)
    ideal = tables.ideal_bits_table()[index, magnitude][active].sum(dtype=np.float64)
    return Latent(symbols, index, active, float(ideal))


def _jax_contender(latent: Latent, lanes: int) -> Contender:
    @jax.jit
    def encode(symbols, index, active):
        packet = rans.encode([(symbols, index, active)], (lanes,))
        return packet.words, packet.num_words

    @jax.jit
    def decode(coded, index, active):
        decoder, symbols = rans.pop(rans.start(*coded, lanes), index, active)
        return symbols, rans.finish(decoder)

    def checked(coded, index, active):
        symbols, ok = jax.block_until_ready(decode(coded, index, active))
        if not ok:
            raise AssertionError(
                "the payload was not read exactly: the coder is broken"
            )
        return symbols

    whole = jax.device_put(latent[:3])
    chosen = latent.symbols[latent.active], latent.index[latent.active]
    packed = jax.device_put((*chosen, np.ones(len(chosen[0]), bool)))
    return Contender(
        name=f"jaxnvc N={lanes}",
        encode=lambda: jax.block_until_ready(encode(*packed)),
        decode=lambda coded: checked(coded, *packed[1:]),
        encode_whole=lambda: jax.block_until_ready(encode(*whole)),
        decode_whole=lambda coded: checked(coded, *whole[1:]),
        num_bytes=lambda coded: 2 * int(coded[1]),
    )


def _constriction_contender(latent: Latent) -> Contender:
    import constriction

    model = constriction.stream.model.QuantizedGaussian(-_PEER_BOUND, _PEER_BOUND)
    sigma = tables.scale_values().astype(np.float64)

    def gather():
        scales = sigma[latent.index[latent.active]]
        return np.zeros(len(scales)), scales

    def code(symbols, means, scales):
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(symbols, model, means, scales)
        return coder.get_compressed()

    def restore(words, means, scales):
        return constriction.stream.stack.AnsCoder(words).decode(model, means, scales)

    def restore_whole(words):
        symbols = np.zeros(len(latent.symbols), np.int32)
        symbols[latent.active] = restore(words, *gather())
        return symbols

    symbols, parameters = latent.symbols[latent.active], gather()
    return Contender(
        name="constriction ANS",
        encode=lambda: code(symbols, *parameters),
        decode=lambda words: restore(words, *parameters),
        encode_whole=lambda: code(latent.symbols[latent.active], *gather()),
        decode_whole=restore_whole,
        num_bytes=lambda words: 4 * len(words),
    )


def _seconds(call: Callable) -> tuple[float, object]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def _measure(contenders: list[Contender], latent: Latent, rounds: int) -> list[dict]:
    """Times the contenders in turn; the first round checks and compiles."""
    chosen = latent.symbols[latent.active]
    rows, times = [], [{} for _ in contenders]
    for contender in contenders:
        begin = time.perf_counter()
        coded, coded_whole = contender.encode(), contender.encode_whole()
        np.testing.assert_array_equal(contender.decode(coded), chosen)
        restored = contender.decode_whole(coded_whole)
        np.testing.assert_array_equal(restored, latent.symbols)
        size = contender.num_bytes(coded)
        row = {"coder": contender.name, "bytes": size}
        row["overhead"] = 8 * size / latent.ideal_bits - 1
        row["first_call_s"] = time.perf_counter() - begin
        rows.append(row)
    for _ in range(rounds):
        for contender, taken in zip(contenders, times, strict=True):
            for suffix in ("", "_whole"):
                encode = getattr(contender, "encode" + suffix)
                decode = getattr(contender, "decode" + suffix)
                spent, coded = _seconds(encode)
                taken.setdefault("encode" + suffix, []).append(spent)
                spent, _ = _seconds(functools.partial(decode, coded))
                taken.setdefault("decode" + suffix, []).append(spent)
    for row, taken in zip(rows, times, strict=True):
        for key, values in taken.items():
            median = float(np.median(values))
            row[f"{key}_ms"] = 1e3 * median
            row[f"{key}_msym_s"] = len(chosen) / median / 1e6
    return rows


def _add_ratios(rows: list[dict]) -> None:
    """Adds to each row how many times as fast as constriction, the last row, it is."""
    peer = rows[-1]
    for row in rows[:-1]:
        for key in ("encode", "decode", "encode_whole", "decode_whole"):
            row[f"{key}_ratio"] = peer[f"{key}_ms"] / row[f"{key}_ms"]


def bench_rans(quick: bool = False) -> dict:
    """Measures the coder at every lane choice and constriction's, if installed.

    Args:
      quick: only the small latent, and fewer rounds.

    Returns:
      JSON-ready: `jax`, `device`, `rounds`, `peer` (constriction's version, or why it
      is absent) and per latent `symbols`, `active`, `ideal_bits` and `rows`, one per
      coder: bytes, overhead over the ideal (ratio - 1), first_call_s (compilation
      and checks), and for encode, decode, encode_whole, decode_whole the median in
      ms, million active symbols per second and, as `_ratio`, speed over the peer's.
    """
    rounds = 5 if quick else 15
    try:
        importlib.import_module("constriction")
        version = importlib.metadata.version("constriction")
        peer = {"name": "constriction", "version": version}
    except ImportError as error:
        peer = {"name": "constriction", "absent": str(error)}
    result = {
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "rounds": rounds,
        "peer": peer,
        "latents": {},
    }
    for name in list(LATENTS)[: 1 if quick else None]:
        latent = make_latent(*LATENTS[name])
        contenders = [_jax_contender(latent, lanes) for lanes in rans.LANE_CHOICES]
        if "absent" not in peer:
            contenders.append(_constriction_contender(latent))
        rows = _measure(contenders, latent, rounds)
        if "absent" not in peer:
            _add_ratios(rows)
        result["latents"][name] = {
            "symbols": len(latent.symbols),
            "active": int(latent.active.sum()),
            "ideal_bits": latent.ideal_bits,
            "rows": rows,
        }
    return result


def format_table(result: dict) -> str:
    """Lays a result of `bench_rans` out for people."""
    peer = result["peer"]
    state = peer.get("version") or f"absent ({peer['absent']})"
    lines = [
        f"jax {result['jax']} on {result['device']}, constriction {state}, medians of "
        f"{result['rounds']} alternating rounds; (x) = speed over constriction"
    ]
    for name, latent in result["latents"].items():
        lines += [
            "",
            f"{name}: {latent['symbols']} symbols, {latent['active']} active, ideal "
            f"{latent['ideal_bits'] / 8:.0f} bytes",
            f"{'coder':17}{'bytes':>7}{'over':>8}{'enc Msym/s':>16}{'dec Msym/s':>16}"
            f"{'whole enc ms':>17}{'whole dec ms':>17}",
        ]
        for row in latent["rows"]:
            cells = [
                _cell(row, "encode", "msym_s", 16),
                _cell(row, "decode", "msym_s", 16),
                _cell(row, "encode_whole", "ms", 17),
                _cell(row, "decode_whole", "ms", 17),
            ]
            size = f"{row['coder']:17}{row['bytes']:7}{row['overhead']:8.2%}"
            lines.append(size + "".join(cells))
    return "\n".join(lines)


def _cell(row: dict, key: str, unit: str, width: int) -> str:
    ratio = row.get(f"{key}_ratio")
    text = f"{row[f'{key}_{unit}']:.1f}"
    return f"{text if ratio is None else f'{text} ({ratio:.1f}x)':>{width}}"


if __name__ == "__main__":
    print(format_table(bench_rans()))
