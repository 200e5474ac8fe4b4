"""Progressive training: motion first, then the rest, then all of it."""

import functools

import chex
import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from jaxnvc.codecs import registry
from jaxnvc.codecs.avs_eem.base.state import BaseSource
from jaxnvc.codecs.protocol import Cond, first_params
from jaxnvc.coding.unit import estimate_motion
from jaxnvc.errors import UsageError
from jaxnvc.ops.frame import pack
from tests.toy import Toy
from train.config import Objective
from train.losses import distortion, lam_table
from train.state import Models, initial_params
from train.window import Window, window_grads

QP = 40
_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


class InTwo(Toy):
    """Codes what it can at first, calls that motion, and then what is left."""

    num_stages = 2
    num_motion_stages = 1

    def residual(self, work, source, cond, stage: int):
        residual, source = super().residual(work, source, cond, stage)
        coarse = residual.value * (0.5 if stage == 0 else 1.0)
        return type(residual)(coarse), source

    def prediction(self, work, cond):
        return jnp.clip(work.y_hat, 0.0, 1.0)


@pytest.fixture(scope="module")
def clip() -> jax.Array:
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.uniform(0.2, 0.8, (1, 2, 16, 16, 6)), jnp.float32)


@pytest.fixture(scope="module")
def params() -> dict:
    return dict.fromkeys(("intra", "inter"), initial_params(Toy(), 1))


@pytest.fixture(scope="module")
def metrics_of(clip, params):
    """Returns the metrics of a window by an objective."""
    models = Models(Toy(), InTwo())

    @functools.partial(_jit, static_argnums=0)
    def program(objective):
        window = Window.of(clip, QP)
        return window_grads(models, params, window, 1.8, objective=objective)[1]

    return lambda objective: jax.tree.map(float, program(objective))


def _expected(metrics, stages) -> float:
    weighted = Toy().frame_weights[0] * 10 ** (-metrics["psnr_inter"] / 10)
    rate = sum(metrics[f"bpp_stage_{stage}"] for stage in stages)
    return rate + lam_table()[QP] * weighted


def test_motion_alone_pays_its_bits_and_what_it_predicts(metrics_of):
    joint, motion = metrics_of(Objective.JOINT), metrics_of(Objective.MOTION)
    assert motion["bpp_stage_0"] == pytest.approx(joint["bpp_stage_0"], rel=1e-4)
    assert motion["bpp_stage_1"] == 0
    assert motion["psnr_inter"] < joint["psnr_inter"] - 3
    cost = np.exp(motion["log_j_inter"])
    np.testing.assert_allclose(cost, _expected(motion, [0]), rtol=1e-3)


def test_the_residual_alone_pays_no_bits_of_motion(metrics_of):
    residual = metrics_of(Objective.RESIDUAL)
    cost = np.exp(residual["log_j_inter"])
    np.testing.assert_allclose(cost, _expected(residual, [1]), rtol=1e-3)
    assert residual["bpp_stage_0"] > 0.1 * residual["bpp_stage_1"]


def test_a_codec_without_motion_is_trained_all_at_once(clip, params):
    program = functools.partial(
        window_grads, Models(Toy(), Toy()), objective=Objective.MOTION
    )
    with pytest.raises(UsageError, match="motion of its own"):
        jax.eval_shape(program, params, Window.of(clip, QP), 1.8)


@pytest.mark.parametrize("frames", [1, 2])
def test_a_teacher_beside_the_codec_stands_still_where_video_is_coded(
    clip, params, frames
):
    taught = params | {"teacher": {"kernel": jnp.ones((3, 2))}}
    window = Window.of(clip[:, :frames], QP)
    program = functools.partial(
        _jit(window_grads, static_argnums=0), Models(Toy(), Toy())
    )
    grads, _ = program(taught, window, 1.8)
    chex.assert_trees_all_equal_shapes_and_dtypes(grads, taught)
    assert not grads["teacher"]["kernel"].any()
    assert any(grad.any() for grad in jax.tree.leaves(grads["intra"]))


def _motion_unit(model, params, x, before):
    """Estimates the motion of a frame, found by search or given."""
    codec, cond = model.bind({"params": params}), Cond.of(np.array([QP]))
    if hasattr(codec, "current_features"):  # Its flow network is not the matter.
        current = codec.current_features(codec.adaptor_x(x - 0.5))
        source = BaseSource(current=current, flow=jnp.ones((*x.shape[:3], 2)))
    else:
        source = codec.analyse(x, before, cond)
    return estimate_motion(model, params, codec.reset(before, cond), source, cond)


@pytest.mark.parametrize(
    ("preset", "needed", "idle"),
    [
        (
            "avs_eem/tiny",
            ("motion_encoder", "motion_latent", "context", "mean"),
            ("encoder", "decoder", "hyper", "latent", "remember"),
        ),
        (
            "avs_eem/base-tiny",
            ("motion_encoder", "motion_decoder", "context_mining", "frame_generator"),
            ("residual_encoder", "residual_decoder"),
        ),
    ],
)
def test_motion_alone_is_a_matter_of_motion_and_not_of_the_residual(
    preset, needed, idle
):
    model = registry.build(preset)
    params = jax.eval_shape(functools.partial(first_params, model), jax.random.key(0))
    frame = jnp.zeros((1, 32, 32, 6))

    def without(*names):
        return {name: params[name] for name in params if name not in names}

    def unit(params):
        return jax.eval_shape(
            functools.partial(_motion_unit, model), params, frame, frame
        )

    found = unit(without(*idle))
    assert found.x_hat.shape == frame.shape
    assert found.bits.shape == (1, model.num_stages)
    for name in needed:
        with pytest.raises(flax.errors.FlaxError):
            unit(without(name))


def test_the_lite_codec_predicts_a_moved_picture_from_motion_alone(tiny):
    model = tiny.bundle.inter
    noise = np.random.default_rng(0).normal(size=(72, 72))
    image = scipy.ndimage.gaussian_filter(noise, 3)
    image = np.clip(0.5 + 0.15 * image / image.std(), 0, 1)
    grey = np.full((32, 32), 0.5)
    before, x = (
        pack(jnp.asarray(image[at : at + 64, at : at + 64]), grey, grey)[None]
        for at in (4, 7)
    )
    before, x = (frame.astype(jnp.float32) for frame in (before, x))
    unit = _jit(_motion_unit, static_argnums=0)(model, tiny.params["inter"], x, before)
    assert distortion(unit.x_hat, x) < 0.2 * distortion(before, x)
    assert 0 < unit.bits.sum() == unit.bits[:, : model.num_motion_stages].sum()
