"""Where the time of a unit goes: networks, rANS, transfers, each on its own.

Fused into one program, as they are when a stream is coded, they overlap: this tells
where the time goes, not how much there is.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnvc.codecs.protocol import Cond, State, still_unit
from jaxnvc.coding.codec import Codec
from jaxnvc.coding.encoder import unit_planes
from jaxnvc.coding.gop import in_units
from jaxnvc.coding.joint_programs import choose_programs
from jaxnvc.coding.programs import Pair, Size, packed
from jaxnvc.coding.unit import choose_symbols, encode_stages, rebuild
from jaxnvc.entropy import rans
from jaxnvc.ops.frame import from_planes, to_planes
from jaxnvc.video import VideoFrame, Yuv420

_ROUNDS = 10
_MOST_SECONDS = 20.0


class _Unit(NamedTuple):
    """An inter unit and what is known before it."""

    pair: Pair
    size: Size
    params: Any
    state: State
    x_previous: jax.Array
    planes: tuple[np.ndarray, ...]
    cond: Cond


def bench_breakdown(codec: Codec, frames: list[Yuv420], qp: int = 24) -> dict:
    """Measures the parts of an inter unit, the second of a sequence.

    Args:
      codec: the model.
      frames: at least 2; they run forth and back.
      qp: quality.

    Returns:
      For "encode" and "decode", by part, the milliseconds `p50` and `p95` of a unit:
      `to_device` (planes, or words), `networks` (with conversion from and to planes),
      `rans`, `to_host` (words, and planes). Ten rounds, fewer of what is slow.
    """
    unit = _opened(codec, frames, qp)
    coded, encode = _encode_parts(unit)
    return {"encode": encode, "decode": _decode_parts(unit, *coded)}


def _opened(codec: Codec, frames: list[Yuv420], qp: int) -> _Unit:
    """Returns the first inter unit of a sequence."""
    pair = Pair(codec.bundle.intra, codec.bundle.inter)
    count = pair.inter.frames_per_unit
    loop = frames + frames[-2:0:-1]
    pictures = [loop[i % len(loop)] for i in range(1 + count)]
    intra, inter = in_units(map(VideoFrame, pictures), -1, count)
    size = Size(frames[0].height, frames[0].width, frames[0].bit_depth)
    # Whether the settings skip or not decides how much there is to code.
    cond = codec.settings(qp=qp).cond(inter, pair.inter)
    first, planes = (
        unit_planes([[f.planes for f in u.frames]], u, pair.inter)
        for u in (intra, inter)
    )
    before = packed(pair, size, first)
    params = codec.params["inter"]
    state = pair.inter.apply({"params": params}, before, cond, method="reset")
    return _Unit(pair, size, params, state, before, planes, cond)


def _encode_parts(unit: _Unit):
    """Returns what the decoder needs (state, stages, packet), and the parts."""
    pair, size = unit.pair, unit.size

    @jax.jit
    def networks(params, state, x_previous, planes):
        x = packed(pair, size, planes)
        stages, state, x_hat = choose_symbols(
            pair.inter, params, state, x, x_previous, unit.cond
        )
        return stages, state, to_planes(x_hat, *size)

    programs = choose_programs(pair, size)
    portable = pair.intra.portable and pair.inter.portable
    most = None if portable else programs.capacities[-1]

    @jax.jit
    def code(stages):
        return encode_stages(stages, programs.lane_choices, most)

    planes, parts = jax.device_put(unit.planes), {}
    # The first unit after an intra frame is not like the others.
    _, state, _ = networks(unit.params, unit.state, unit.x_previous, planes)
    _, parts["to_device"] = _timed(jax.device_put, unit.planes)
    (stages, _, shown), parts["networks"] = _timed(
        networks, unit.params, state, unit.x_previous, planes
    )
    packet, parts["rans"] = _timed(code, stages)
    parts["to_host"] = _fetched((packet, shown))
    return (state, stages, packet), parts


def _decode_parts(unit: _Unit, state, stages, packet) -> dict:
    """Returns the parts of decoding."""
    pair, size = unit.pair, unit.size
    lanes = int(packet.lanes[0])
    room = choose_programs(pair, size).capacities
    words = np.zeros((1, next(c for c in room if packet.num_words[0] <= c)), np.uint16)
    known = np.asarray(packet.words)[:, : words.shape[1]]
    words[:, : known.shape[1]] = known
    tables = [stage[1:] for stage in stages]

    @jax.jit
    def read(words, num_words, tables):
        decoder = jax.vmap(lambda w, n: rans.start(w, n, lanes))(words, num_words)
        found = []
        for table in tables:
            decoder, symbols = lax.map(lambda a: rans.pop(*a), (decoder, *table))
            found.append(symbols)
        return found, jax.vmap(rans.finish)(decoder)

    @jax.jit
    def networks(params, state, symbols):
        state, x_hat = rebuild(
            pair.inter, params, state, lambda stage, *_: symbols[stage], unit.cond
        )
        return state, to_planes(x_hat, *size)

    parts = {}
    sent, parts["to_device"] = _timed(jax.device_put, words)
    (symbols, sound), parts["rans"] = _timed(read, sent, packet.num_words, tables)
    if not np.all(sound):
        raise AssertionError("the payload was not read exactly: the coder is broken")
    (_, shown), parts["networks"] = _timed(networks, unit.params, state, symbols)
    parts["to_host"] = _fetched(shown)
    return parts


def _timed(call: Callable, *args):
    """Calls until it is known how long it takes; returns the result and its times."""
    result, times = jax.block_until_ready(call(*args)), []
    while len(times) < _ROUNDS and sum(times) < _MOST_SECONDS:
        began = time.perf_counter()
        jax.block_until_ready(call(*args))
        times.append(time.perf_counter() - began)
    return result, _summary(times)


def _fetched(tree) -> dict[str, float]:
    """Times bringing arrays to the host, which an array does only once."""
    times = []
    for _ in range(_ROUNDS):
        fresh = jax.block_until_ready(jax.tree.map(jnp.copy, tree))
        began = time.perf_counter()
        jax.device_get(fresh)
        times.append(time.perf_counter() - began)
    return _summary(times)


def _summary(times: list[float]) -> dict[str, float]:
    p50, p95 = 1e3 * np.percentile(times, (50, 95))
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}


def bench_stages(codec: Codec, frames: list[Yuv420], qp: int = 24) -> dict[str, float]:
    """Measures the steps of the protocol, each as a program of its own.

    Steps of encoder and decoder alike: begin, priors, absorb, finish; the encoder's
    alone: analyse, residuals.

    Args:
      codec: a loaded model.
      frames: at least 2.
      qp: quality.

    Returns:
      Median milliseconds by step.
    """
    model, params = codec.bundle.inter, codec.params["inter"]
    x, x_previous = (
        from_planes(*picture.planes, multiple=model.size_multiple)[None]
        for picture in (frames[1], frames[0])
    )
    cond, steps = Cond.of(qp), {}

    def timed(name, function, *args):
        program = jax.jit(lambda p, *a: function(model.bind({"params": p}), *a))
        result, found = _timed(program, params, *args)
        steps[name] = found["p50"]
        return result

    state = timed("reset", lambda c, x: c.reset(x, cond), x_previous)
    x = still_unit(model, x)
    source = timed("analyse", lambda c, a, b: c.analyse(a, b, cond), x, x_previous)
    work = timed("begin", lambda c, s: c.begin(s, cond), state)
    for k in range(model.num_stages):
        prior, work = timed(f"prior {k}", lambda c, w, k=k: c.prior(w, cond, k), work)
        residual, source = timed(
            f"residual {k}",
            lambda c, w, s, k=k: c.residual(w, s, cond, k),
            work,
            source,
        )
        work = timed(
            f"absorb {k}",
            lambda c, w, p, r, k=k: c.absorb(w, p, p.quantise(r), cond, k),
            work,
            prior,
            residual,
        )
    timed("finish", lambda c, w: c.finish(w, cond), work)
    return steps
