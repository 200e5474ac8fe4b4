"""Checkpoints survive what happens to disks."""

import errno

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.errors import UsageError
from train import checkpoint
from train.state import TrainState


def _state(step: int, size: int = 3) -> TrainState:
    values = {"inter": {"kernel": jnp.full(size, float(step))}}
    return TrainState(
        step=jnp.int32(step), params=values, averaged=values, opt_state=()
    )


def _saved(folder, steps):
    manager = checkpoint.manager(str(folder), save_every=1)
    for step in steps:
        checkpoint.save(manager, _state(step))
    manager.wait_until_finished()
    return manager


def test_the_newest_checkpoint_is_restored(tmp_path):
    restored = checkpoint.restore(_saved(tmp_path, [1, 2]), _state(0))
    assert int(restored.step) == 2
    np.testing.assert_array_equal(restored.params["inter"]["kernel"], 2.0)


def test_without_checkpoints_the_first_state_stands(tmp_path):
    like = _state(0)
    assert checkpoint.restore(_saved(tmp_path, []), like) is like


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, capsys):
    manager = _saved(tmp_path, [1, 2])
    manager.close()
    for path in (tmp_path / "checkpoints" / "2").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    manager = checkpoint.manager(str(tmp_path), save_every=1)
    restored = checkpoint.restore(manager, _state(0))
    assert int(restored.step) == 1
    assert "checkpoint 2 cannot be read" in capsys.readouterr().err
    # The step can be reached and saved again.
    checkpoint.save(manager, _state(2))
    manager.wait_until_finished()
    assert int(checkpoint.restore(manager, _state(0)).step) == 2


def test_a_checkpoint_of_another_model_is_refused_and_kept(tmp_path):
    manager = _saved(tmp_path, [1])
    with pytest.raises(UsageError, match="no checkpoint in .* can be read"):
        checkpoint.restore(manager, _state(0, size=5))
    assert manager.all_steps() == [1]


def test_a_full_disk_is_reported_and_training_goes_on(tmp_path, capsys, monkeypatch):
    manager = _saved(tmp_path, [1])

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(manager, "save", full)
    checkpoint.save(manager, _state(2))
    assert "No space left on device" in capsys.readouterr().err
    assert int(checkpoint.restore(manager, _state(0)).step) == 1
