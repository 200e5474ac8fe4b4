"""The training loop: batches in, checkpoints and metrics out."""

import contextlib
import functools
import signal
import sys
import threading
import time

import jax
import jax.numpy as jnp
from etils import epath

from jaxnvc.errors import UsageError
from train import checkpoint, mesh
from train.config import Stage, TrainConfig
from train.data.batches import Windows, prefetched
from train.log import Log
from train.optim import is_named
from train.state import TrainState, fitted, initial_state
from train.step import draw, train_step
from train.throughput import Program, compiled
from train.validate import Validation
from train.window import Window


def graft(params: dict, init: dict, fresh: tuple[str, ...] = ()) -> dict:
    """Replaces parameters by those of the same name and shape in another model.

    Where the model has grown, the new parts keep their first values; they are made
    such that a new block is nearly the identity.

    Args:
      params: {"intra", "inter"} as they start.
      init: those of the other model.
      fresh: regular expressions of the parameters that keep their first values.

    Raises:
      UsageError: nothing fits.
    """
    known = dict(jax.tree_util.tree_leaves_with_path(init))

    def chosen(path, value):
        other = None if is_named(path, fresh) else known.get(path)
        return value if other is None or other.shape != value.shape else other

    grafted = jax.tree_util.tree_map_with_path(chosen, params)
    pairs = zip(jax.tree.leaves(grafted), jax.tree.leaves(params), strict=True)
    fitting = sum(new is not old for new, old in pairs)
    if not fitting:
        raise UsageError(
            "the bundle to start from shares no parameter with the configured model; "
            "give one of the same family."
        )
    print(f"start: {fitting} of {len(jax.tree.leaves(params))} arrays", file=sys.stderr)
    return grafted


def run(
    config: TrainConfig,
    folder: str,
    *,
    init=None,
    until_s: float | None = None,
    devices=None,
    tensorboard: bool = False,
) -> TrainState:
    """Trains until the curriculum ends, resuming from the folder's checkpoint.

    The same function serves one core and many processes of many devices, which share
    each batch out. SIGTERM saves a checkpoint and returns.

    Args:
      config: the run.
      folder: where checkpoints and `metrics.jsonl` go.
      init: parameters {"intra", "inter"} to start from when there is no checkpoint,
        as far as they fit.
      until_s: stops, with a checkpoint, after this many seconds.
      devices: those to use; None stands for all of all processes.
      tensorboard: writes the metrics as TensorBoard events too.

    Returns:
      The last `TrainState`.

    Raises:
      UsageError: the devices cannot share a batch, or a checkpoint fits no model.
      InputError: the data are missing or too small.
    """
    devices = mesh.data_mesh(devices)
    models, config = fitted(config)
    manager = checkpoint.manager(folder, config.save_every)
    state = checkpoint.restore(manager, _first_state(config, models, init, devices))
    windows = Windows(config)
    validation = Validation(config, models, folder) if config.validation else None
    log = Log(config, _metrics_file(folder), devices.size, tensorboard)
    take_step = _Steps(config, models, log)

    def rows_of(step: int):
        stage, _ = config.stage_at(step)
        return windows.rows(step, stage, mesh.local_rows(devices, stage.batch))

    asked = time.monotonic()
    with Termination(until_s) as end, _precision(config), contextlib.closing(log):
        for step, rows in prefetched(rows_of, int(state.step), config.total_steps):
            waited = time.monotonic() - asked
            stage, _ = config.stage_at(step)
            window = _window(config, stage, step, rows, devices)
            state, metrics = take_step(stage, state, window)
            log.add(step, metrics, waited)
            checkpoint.save(manager, state)
            if validation and (step + 1) % config.validate_every == 0:
                log.write(validation(state))
            if end.due(manager, step):
                break
            asked = time.monotonic()
    checkpoint.save(manager, state, force=True)
    manager.wait_until_finished()
    return state


class _Steps:
    """The program of each stage, compiled when it is first needed."""

    def __init__(self, config: TrainConfig, models, log: Log):
        self._config, self._models, self._log = config, models, log
        self._programs: dict[Stage, Program] = {}

    def __call__(self, stage: Stage, state: TrainState, window: Window):
        if stage not in self._programs:
            step = functools.partial(train_step, self._models, self._config, stage)
            program = compiled(step, state, window, donate_argnums=0)
            self._programs[stage] = program
            self._log.stage(stage, program)
        return self._programs[stage].run(state, window)


def _precision(config: TrainConfig):
    """Returns the context in which products have the configured precision."""
    return jax.default_matmul_precision(config.precision)


def _metrics_file(folder: str) -> epath.Path:
    """Returns this process's metrics file; those of others are numbered."""
    index = jax.process_index()
    name = "metrics.jsonl" if index == 0 else f"metrics.{index}.jsonl"
    return epath.Path(folder) / name


def _first_state(config: TrainConfig, models, init, devices) -> TrainState:
    state = initial_state(models, config)
    if init is not None:
        params = graft(state.params, init, config.fresh)
        averaged = jax.tree.map(jnp.copy, params)
        state = state.replace(params=params, averaged=averaged)
    return mesh.replicate(devices, state)


def _window(config: TrainConfig, stage: Stage, step: int, rows, devices) -> Window:
    """Joins this process's rows of a batch with how they are coded."""
    drawn = draw(config, stage, step)
    mine = mesh.local_rows(devices, stage.batch)
    local = {"clip": rows, **{k: drawn.pop(k)[mine] for k in ("qp", "boost")}}
    return Window(**mesh.shard(devices, local), **mesh.replicate(devices, drawn))


class Termination:
    """Stops after the step in progress: at SIGTERM for all processes, or in time.

    Attributes:
      until_s: seconds from the beginning; None for no end.
    """

    def __init__(self, until_s: float | None = None):
        self._until_s = until_s

    def __enter__(self) -> "Termination":
        self._began = time.monotonic()
        self._asked = False
        # Several processes stop at the same step: JAX's own service agrees on it.
        self._alone = jax.process_count() == 1
        self._handles = self._alone and _in_main_thread()
        if self._handles:
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_) -> None:
        if self._handles:
            signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_) -> None:
        self._asked = True

    def due(self, manager, step: int) -> bool:
        """Tells whether to stop after a step."""
        if self._until_s is not None and time.monotonic() - self._began > self._until_s:
            return True
        return self._asked if self._alone else manager.reached_preemption(step)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
