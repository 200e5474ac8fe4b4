"""Orbax checkpoints of a training run."""

import jax
import orbax.checkpoint as ocp
from etils import epath

from train.step import TrainState


def manager(folder: str, save_every: int) -> ocp.CheckpointManager:
    """Opens the checkpoints of a run folder (a local or a bucket path)."""
    options = ocp.CheckpointManagerOptions(
        save_interval_steps=save_every, max_to_keep=2, create=True
    )
    path = (epath.Path(folder) / "checkpoints").absolute()
    return ocp.CheckpointManager(path, options=options)


def save(manager: ocp.CheckpointManager, state: TrainState, *, force: bool = False):
    """Saves in the background if the step is due, or at once if forced."""
    step = int(state.step)
    if force and manager.latest_step() == step:
        return
    manager.save(step, args=ocp.args.StandardSave(state), force=force)


def restore(manager: ocp.CheckpointManager, like: TrainState) -> TrainState:
    """Restores the newest checkpoint, or returns `like` if there is none."""
    step = manager.latest_step()
    if step is None:
        return like
    target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), like)
    return manager.restore(step, args=ocp.args.StandardRestore(target))
