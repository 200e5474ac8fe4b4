"""The published curricula name what is there."""

import pathlib
import re

import jax

from train.config import Objective, load_config
from train.state import abstract_state, build_models

CONFIGS = pathlib.Path(__file__).parents[2] / "configs" / "avs_eem"


def test_every_pattern_of_a_recipe_matches_a_parameter():
    base, flow = (load_config(str(CONFIGS / f"{name}.py")) for name in ("base", "flow"))
    # One is grafted into the other; the teacher is all that they do not share.
    assert (base.intra, base.inter) == (flow.intra, flow.inter)
    params = abstract_state(build_models(flow), flow).params
    paths = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    ]
    for stage in base.stages + flow.stages:
        for pattern in stage.trainable:
            assert any(re.search(pattern, path) for path in paths), (stage, pattern)


def test_the_base_recipe_is_the_papers():
    stages = load_config(str(CONFIGS / "base.py")).stages
    objectives = [stage.objective for stage in stages[:3]]
    assert objectives == [Objective.MOTION, Objective.RESIDUAL, Objective.JOINT]
    cascaded = [stage for stage in stages if stage.name.startswith("cascaded")]
    assert [stage.frames - 1 for stage in cascaded] == [6, 15, 20, 28, 28]
    assert cascaded[-1].groups == (16, 12)
    assert all(stage.most_repeats == 40 for stage in cascaded)
    scaling = [stage for stage in stages if stage.trainable == ("^inter/scale_",)]
    assert len(scaling) == 1
