"""Orbax checkpoints of a training run."""

import sys

import jax
import orbax.checkpoint as ocp
from etils import epath

from jaxnvc.errors import UsageError
from train.state import TrainState


def manager(folder: str, save_every: int) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run folder (a local or a bucket path)."""
    options = ocp.CheckpointManagerOptions(
        save_interval_steps=save_every, max_to_keep=2, create=True
    )
    path = (epath.Path(folder) / "checkpoints").absolute()
    return ocp.CheckpointManager(path, options=options)


def save(manager: ocp.CheckpointManager, state: TrainState, *, force: bool = False):
    """Saves in the background if the step is due, or at once if forced.

    A checkpoint that cannot be written is reported, and training goes on: the one
    before it is still there.
    """
    step = int(state.step)
    if force and manager.latest_step() == step:
        return
    try:
        manager.save(step, args=ocp.args.StandardSave(state), force=force)
        if force:
            manager.wait_until_finished()
    except OSError as error:
        _warn(f"checkpoint {step} was not written ({error}); training goes on")


def restore(manager: ocp.CheckpointManager, like: TrainState) -> TrainState:
    """Restores the newest readable checkpoint, or returns `like` if there is none.

    An unreadable one is reported and removed, so that its step can be saved again.

    Args:
      manager: the run's checkpoints.
      like: state of the same shapes; its shardings are taken over.

    Raises:
      UsageError: there are checkpoints, but none fits the configuration.
    """
    steps = sorted(manager.all_steps(), reverse=True)
    target = jax.tree.map(_abstract, like)
    for step in steps:
        try:
            return manager.restore(step, args=ocp.args.StandardRestore(target))
        except Exception as error:  # Orbax raises many kinds for damaged files
            reason = str(error).strip().split("\n")[0][:200]
            _warn(f"checkpoint {step} cannot be read ({reason}); trying the one before")
            if step != steps[-1]:
                manager.delete(step)
    if steps:
        raise UsageError(
            f"no checkpoint in {manager.directory} can be read into the configured "
            "model; use the configuration it was made with, or another folder."
        )
    return like


def _abstract(value) -> jax.ShapeDtypeStruct:
    sharding = getattr(value, "sharding", None)
    return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=sharding)


def _warn(sentence: str) -> None:
    print(f"train: {sentence}", file=sys.stderr, flush=True)
