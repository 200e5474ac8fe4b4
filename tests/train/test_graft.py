"""A run starts from another model as far as the two fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.codecs import registry
from jaxnvc.errors import UsageError
from train.config import Stage, TrainConfig
from train.loop import graft
from train.optim import schedule
from train.state import initial_params


def test_a_deeper_model_takes_what_it_shares_and_keeps_the_rest():
    small = initial_params(registry.build("intra/tiny"), seed=1)
    deep = initial_params(registry.build("intra/tiny", decoder_depth=2), seed=2)
    grafted = graft({"intra": deep}, {"intra": small})["intra"]
    assert jax.tree.structure(grafted) == jax.tree.structure(deep)
    for name, block in grafted["decoder"].items():
        source = deep if name == "block1" else small
        for found, expected in zip(
            jax.tree.leaves(block),
            jax.tree.leaves(source["decoder"][name]),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)


def test_what_is_named_fresh_keeps_its_first_values():
    known = {"latent": {"scale": jnp.ones(2), "mean": jnp.ones(2)}}
    first = jax.tree.map(jnp.zeros_like, known)
    grafted = graft({"inter": first}, {"inter": known}, fresh=("latent/scale",))
    assert not grafted["inter"]["latent"]["scale"].any()
    assert grafted["inter"]["latent"]["mean"].all()


def test_a_model_that_shares_nothing_is_refused():
    with pytest.raises(UsageError, match="shares no parameter"):
        graft({"a": jnp.zeros(2)}, {"a": jnp.zeros(3), "b": jnp.zeros(2)})


def test_the_learning_rate_rises_then_falls_stage_by_stage():
    def stage(first, last):
        return Stage(
            name="s",
            steps=10,
            frames=2,
            batch=1,
            crop=32,
            learning_rate=first,
            final_learning_rate=last,
        )

    stages = (stage(4e-4, 2e-4), stage(1e-4, 1e-5))
    config = TrainConfig(
        name="c", intra="", inter="", clips="", stages=stages, warmup_steps=4
    )
    rate = schedule(config)
    found = [float(rate(step)) for step in range(20)]
    assert found[:3] == sorted(found[:3])
    assert found[0] == pytest.approx(1e-4)
    assert found[4:] == sorted(found[4:], reverse=True)
    assert found[10] == pytest.approx(1e-4)
