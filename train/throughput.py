"""What a step asks of the devices, and the share of their speed that it gets."""

import dataclasses
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnvc.evaluation.complexity import count_macs

_SIDE, _TRIES = 1024, 5


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled step.

    Attributes:
      run: the program.
      flops: floating point operations of its products on all devices, two for a
        multiply-accumulate: forward, backward and what is computed again for it.
      memory_mib: what it needs for a while besides its arguments, on one device; None
        where the backend does not tell.
      compile_s: seconds of tracing and compilation.
    """

    run: Callable
    flops: float
    memory_mib: int | None
    compile_s: float

    def __str__(self) -> str:
        memory = "" if self.memory_mib is None else f", {self.memory_mib} MiB"
        return (
            f"{self.flops / 1e9:.1f} GFLOP{memory}, compiled in {self.compile_s:.0f} s"
        )


def compiled(step: Callable, *args, donate_argnums=()) -> Program:
    """Compiles a step for arguments like the given ones."""
    began = time.monotonic()
    traced = jax.jit(step, donate_argnums=donate_argnums).trace(*args)
    flops = 2.0 * count_macs(traced.jaxpr)
    run = traced.lower().compile()
    memory = run.memory_analysis()
    mib = None if memory is None else round(memory.temp_size_in_bytes / 2**20)
    return Program(run, flops, mib, time.monotonic() - began)


def peak_flops() -> float:
    """Measures what a large matrix product reaches on one device, in FLOP/s.

    A figure of this machine in this hour, in the precision in force; no data sheet.
    """
    x = jnp.ones((_SIDE, _SIDE))
    product = jax.jit(jnp.matmul)
    product(x, x).block_until_ready()
    seconds = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        product(x, x).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2.0 * _SIDE**3 / min(seconds)
