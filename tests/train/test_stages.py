"""A stage moves what it names, and refuses what cannot be."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.errors import UsageError
from train.config import Objective, Stage, TrainConfig
from train.optim import only_trainable
from train.step import draw

TREE = {
    "inter": {"motion_encoder": {"out": {"kernel": jnp.ones(3)}}, "step": jnp.ones(2)},
    "intra": {"step": jnp.ones(2)},
}


def make_stage(**changes) -> Stage:
    settings = {
        "name": "s",
        "steps": 1000,
        "frames": 5,
        "batch": 2,
        "crop": 64,
        "learning_rate": 1e-3,
        "final_learning_rate": 1e-4,
    }
    return Stage(**settings | changes)


def test_only_what_the_patterns_name_moves():
    moved = only_trainable(TREE, ("inter/motion", "^intra/"))
    assert moved["inter"]["motion_encoder"]["out"]["kernel"].all()
    assert moved["intra"]["step"].all()
    assert not moved["inter"]["step"].any()


def test_without_patterns_everything_moves():
    assert only_trainable(TREE, ()) is TREE


def test_patterns_that_match_nothing_are_refused():
    with pytest.raises(UsageError, match="matches no parameter"):
        only_trainable(TREE, ("inter/motoin",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": (2, 3)}, "sum to frames - 1 = 4"),
        ({"groups": (4, 0)}, "groups of 1 or more"),
        ({"crop": 48}, "multiples of 32"),
        ({"frames": 0}, "1 or more"),
        ({"frames": 1, "most_repeats": 4, "repeat_share": 0.5}, "intra codec alone"),
        ({"most_repeats": 4}, "both or neither"),
        ({"objective": Objective.MOTION}, "motion alone"),
        ({"objective": Objective.TEACHER, "crop": 96}, "multiples of 64"),
    ],
)
def test_impossible_stages_are_refused_when_made(changes, message):
    with pytest.raises(UsageError, match=message):
        make_stage(**changes)


def test_flow_is_not_trained_without_a_teacher():
    stage = make_stage(objective=Objective.STUDENT)
    with pytest.raises(UsageError, match="teacher is None"):
        TrainConfig(name="c", intra="", inter="", clips="", stages=(stage,))


def test_still_passes_are_drawn_as_often_and_as_long_as_asked():
    stage = make_stage(most_repeats=40, repeat_share=0.5)
    config = TrainConfig(
        name="c", intra="intra/tiny", inter="avs_eem/tiny", stages=(stage,), clips=""
    )
    drawn = [draw(config, stage, step) for step in range(400)]
    repeats = np.array([d["repeats"] for d in drawn])
    assert 0.4 < (repeats > 0).mean() < 0.6
    assert repeats.max() <= 40
    assert 17 < repeats[repeats > 0].mean() < 24
    refreshed = np.array([d["refresh"] for d in drawn])
    assert not refreshed[repeats == 0].any()
    assert 0.3 < refreshed[repeats > 0].mean() < 0.7
