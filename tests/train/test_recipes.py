"""The published training tables load, say what the sheet says, and run when small."""

import dataclasses
import functools
import pathlib

import jax
import numpy as np
import pytest

from jaxnvc.codecs import registry
from tests.toy import Toy
from train.config import TrainConfig, load_config, whole_units
from train.data.clips import Clip
from train.data.transforms import cut
from train.state import Models, abstract_state, build_models, initial_state
from train.step import train_step
from train.window import Window

FOLDER = pathlib.Path(__file__).parents[2] / "configs" / "dcvc_uf"
VIDEO = [f"{m}_{part}" for m in ("ld", "hts", "htl") for part in ("short", "long")]
RUNS = ["intra", *VIDEO]
SIDE = 32


def load(name: str) -> TrainConfig:
    return load_config(str(FOLDER / f"{name}.py"))


def at_toy_size(config: TrainConfig, unit: int) -> TrainConfig:
    """Shrinks the models, and windows to an eighth of their units; one step each."""

    def small(stage):
        units = -(-(stage.frames - 1) // registry.build(config.inter).frames_per_unit)
        kept = max(units // 8, min(units, 2)) * unit
        groups = (unit,) * (kept // unit) if stage.groups else ()
        sizes = {"frames": 1 + kept, "groups": groups, "crop": SIDE, "batch": 2}
        return dataclasses.replace(stage, steps=1, **sizes)

    return dataclasses.replace(
        config,
        intra="dcvc_uf/intra-tiny",
        inter=config.inter.removesuffix("-tiny") + "-tiny",
        stages=tuple(map(small, config.stages)),
    )


def window(stage) -> Window:
    rng = np.random.default_rng(0)
    shape = (stage.batch, stage.frames, SIDE // 2, SIDE // 2, 6)
    return Window.of(rng.random(shape, np.float32), 32)


@pytest.mark.parametrize(
    ("name", "epochs", "longest"),
    [
        ("intra", 105, 2),
        ("ld_short", 55, 6),
        ("ld_long", 81, 129),
        ("hts_short", 45, 33),
        ("hts_long", 54, 129),
        ("htl_short", 45, 33),
        ("htl_long", 54, 129),
    ],
)
def test_a_recipe_is_as_long_as_published(name, epochs, longest):
    config = load(name)
    windows = 326_820 if name == "intra" else 64_612
    passes = [stage.steps // (windows // stage.batch) for stage in config.stages]
    assert sum(passes) == epochs
    assert config.stages[-1].frames == max(s.frames for s in config.stages) == longest
    unit = registry.build(config.inter).frames_per_unit
    # Windows are whole units as they stand.
    assert whole_units(config, unit).stages == config.stages
    alone = [unit] if name.endswith("short") else []
    assert sorted({g for s in config.stages for g in s.groups}) == alone


def test_a_recipe_trains_its_codec_at_toy_size():
    """Traced, not run: tests/train/test_chunks.py runs steps on chunks."""
    config = at_toy_size(load("hts_short"), 2)
    models, stage = build_models(config), config.stages[-1]
    state = abstract_state(models, config)
    step = functools.partial(train_step, models, config, stage)
    after, metrics = jax.eval_shape(step, state, window(stage))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert metrics["psnr_inter"].shape == ()


def test_every_stage_of_a_recipe_runs_and_moves_only_its_codec():
    """On the smallest family there is, which is not one of chunks."""
    models = Models(Toy(), Toy())
    config = at_toy_size(load("hts_long"), 1)
    first = state = initial_state(models, config)
    programs = {}
    for stage in config.stages:
        step = functools.partial(train_step, models, config, stage)
        shape = (stage.frames, stage.groups)
        # Stages of one shape differ in their place in the schedule alone.
        programs.setdefault(shape, jax.jit(step))
        state, metrics = programs[shape](state, window(stage))
        assert np.isfinite(metrics["log_j_inter"])
    assert int(state.step) == len(config.stages)

    def moved(unit):
        pairs = zip(
            jax.tree.leaves(first.params[unit]),
            jax.tree.leaves(state.params[unit]),
            strict=True,
        )
        return any(np.any(a != b) for a, b in pairs)

    assert moved("inter")
    assert not moved("intra")


def test_short_clips_run_back_and_forth():
    stage = dataclasses.replace(load("hts_short").stages[0], crop=SIDE, groups=())
    pictures = np.arange(7, dtype=np.uint8)[:, None, None]
    y = np.broadcast_to(pictures, (7, SIDE, SIDE))
    uv = np.broadcast_to(pictures[..., None], (7, SIDE // 2, SIDE // 2, 2))
    clip = Clip("c", y, uv)
    assert clip.holds(stage)
    assert not clip.holds(dataclasses.replace(stage, back_and_forth=False))
    found, _ = cut(clip, stage, np.random.default_rng(0))
    assert found[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 4]
