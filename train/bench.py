"""Speed and memory of a configuration's training steps, compile time apart.

    jaxnvc bench train --config configs/avs_eem/lite.py [--compile-only] [--json]

Windows are noise: no step's cost depends on what it is shown, and the still passes
before a window are left out.
"""

import functools
import time

import jax
import numpy as np

from train import mesh
from train.config import Stage, TrainConfig
from train.state import Models, abstract_state, fitted, initial_state
from train.step import train_step
from train.throughput import compiled, peak_flops
from train.window import Window


def bench_config(config: TrainConfig, *, steps: int = 4, run: bool = True) -> dict:
    """Measures every stage of a configuration on all devices.

    Args:
      config: the run; nothing of its data is read.
      steps: timed after one that is not.
      run: false compiles only, and leaves speeds out.

    Returns:
      `model`, `device`, `devices`, `jax`, `peak_gflops` (measured) and `stages`: of
      each its name, shape, `gflop_per_step`, `memory_mib`, `compile_s` and, if run,
      `steps_per_s`, `frames_per_s` and `flop_utilisation`.
    """
    devices = mesh.data_mesh()
    models, config = fitted(config)
    with jax.default_matmul_precision(config.precision):
        peak = devices.size * peak_flops()
        stages = [
            _bench_stage(models, config, stage, devices, steps, run)
            for stage in config.stages
        ]
    for row in stages:
        if "steps_per_s" in row:
            flops = row["gflop_per_step"] * 1e9 * row["steps_per_s"]
            row["flop_utilisation"] = round(flops / peak, 4)
    return {
        "model": config.inter,
        "device": jax.devices()[0].device_kind,
        "devices": devices.size,
        "jax": jax.__version__,
        "precision": config.precision,
        "peak_gflops": round(peak / 1e9, 1),
        "stages": stages,
    }


def _bench_stage(
    models: Models, config: TrainConfig, stage: Stage, devices, steps: int, run: bool
) -> dict:
    step = functools.partial(train_step, models, config, stage)
    window = _noise(stage, devices)
    if run:
        state = mesh.replicate(devices, initial_state(models, config))
    else:
        state = abstract_state(models, config)
    program = compiled(step, state, window, donate_argnums=0)
    row = {
        "stage": stage.name,
        "frames": stage.frames,
        "groups": list(stage.groups) or [stage.frames - 1],
        "batch": stage.batch,
        "crop": stage.crop,
        "gflop_per_step": round(program.flops / 1e9, 3),
        "memory_mib": program.memory_mib,
        "compile_s": round(program.compile_s, 1),
    }
    if run:
        state, _ = program.run(state, window)
        jax.block_until_ready(state)
        began = time.perf_counter()
        for _ in range(steps):
            state, _ = program.run(state, window)
        jax.block_until_ready(state)
        rate = steps / (time.perf_counter() - began)
        row["steps_per_s"] = round(rate, 4)
        row["frames_per_s"] = round(rate * stage.batch * stage.frames, 2)
    return row


def _noise(stage: Stage, devices) -> Window:
    rows = mesh.local_rows(devices, stage.batch)
    half = stage.crop // 2
    rng = np.random.default_rng(0)
    shape = (len(rows), stage.frames, half, half, 6)
    window = Window.of(rng.integers(0, 255, shape, np.uint8), 32)
    batched = {name: np.asarray(getattr(window, name)) for name in ("qp", "boost")}
    local = {"clip": window.clip, **batched}
    same = {name: getattr(window, name) for name in ("phase", "repeats", "refresh")}
    return Window(**mesh.shard(devices, local), **mesh.replicate(devices, same))


def format_bench(result: dict) -> str:
    """Returns a table for a person to read."""
    lines = [
        f"{result['model']} on {result['devices']} x {result['device']}, JAX "
        f"{result['jax']}, {result['precision']}; a large product reaches "
        f"{result['peak_gflops']} GFLOP/s",
        f"{'stage':<16}{'frames':>7}{'batch':>6}{'crop':>6}{'GFLOP':>9}{'MiB':>7}"
        f"{'compile':>9}{'frames/s':>10}{'of peak':>9}  groups",
    ]
    for row in result["stages"]:
        speed = f"{'':>19}"
        if "frames_per_s" in row:
            share = f"{100 * row['flop_utilisation']:.0f} %"
            speed = f"{row['frames_per_s']:>10.1f}{share:>9}"
        memory = "" if row["memory_mib"] is None else row["memory_mib"]
        lines.append(
            f"{row['stage']:<16}{row['frames']:>7}{row['batch']:>6}{row['crop']:>6}"
            f"{row['gflop_per_step']:>9.1f}{memory:>7}{row['compile_s']:>7.0f} s"
            f"{speed}  {'+'.join(map(str, row['groups']))}"
        )
    return "\n".join(lines)
