"""Motion is learned without labels, by a teacher and then by its student."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.ndimage

from jaxnvc.codecs.avs_eem.base.flow import FLOW_SCALE, FastFlowNet
from jaxnvc.errors import UsageError
from jaxnvc.evaluation.complexity import count_macs
from jaxnvc.models.bundle import load_bundle
from jaxnvc.ops.spatial import resize_bilinear
from jaxnvc.ops.warp import warp_bilinear
from tests.coding.test_portability import roughen
from tests.toy import Toy
from train.config import Objective, Stage, TrainConfig
from train.export import export_params
from train.flow.losses import photometric, visible
from train.flow.objectives import flow_grads, student_loss, teacher_loss
from train.flow.teacher import build_teacher, first_teacher_params
from train.loop import graft
from train.state import Models, abstract_state, build_models
from train.step import train_step
from train.window import Window

REACH, BATCH = 8, 3
TEACHER_STEPS, STUDENT_STEPS = 70, 50
_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def _pairs(seed: int, side: int, count: int):
    """Makes textures and their shifted selves: x(p) = reference(p + vector).

    Returns:
      x and reference [count, BATCH, side, side, 3], vectors [count, BATCH, 1, 1, 2].
    """
    rng = np.random.default_rng(seed)
    wide, total = side + 2 * REACH, count * BATCH
    noise = rng.normal(size=(total, wide, wide, 3))
    image = scipy.ndimage.gaussian_filter(noise, (0, 2, 2, 0))
    image = np.clip(0.5 + 0.2 * image / image.std(), 0, 1)
    vectors = rng.integers(-REACH, REACH + 1, (total, 2))
    x = [
        one[REACH + dy : REACH + dy + side, REACH + dx : REACH + dx + side]
        for one, (dx, dy) in zip(image, vectors, strict=True)
    ]
    reference = image[:, REACH : REACH + side, REACH : REACH + side]
    arrays = np.stack(x), reference, vectors[:, None, None]
    return tuple(
        jnp.asarray(a.reshape(count, BATCH, *a.shape[1:]), jnp.float32) for a in arrays
    )


def _fit(loss, first, pairs, rate: float):
    """Descends a loss of (params, x, reference, key) by Adam, a step for each pair."""
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    @_jit
    def step(carry, inputs):
        params, state = carry
        gradient, metrics = jax.grad(loss, has_aux=True)(params, *inputs)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), metrics

    params = _jit(first)(jax.random.key(0))
    carry, metrics = (params, optimiser.init(params)), []
    keys = jax.random.split(jax.random.key(7), len(pairs[0]))
    for inputs in zip(*pairs[:2], keys, strict=True):
        carry, told = step(carry, inputs)
        metrics.append(told)
    stacked = jax.tree.map(lambda *values: np.array(values), *metrics)
    return carry[0], stacked


TEACHER = build_teacher("pwc-tiny")


def _judged(network, params, x, reference, vectors):
    """Judges vectors found, and none at all, away from the borders.

    Returns:
      Distance to the true vectors in samples and photometric loss, each [2].
    """
    found = FLOW_SCALE * network.apply({"params": params}, x, reference)
    told = []
    for flow in (found, jnp.zeros_like(found)):
        distance = jnp.linalg.norm(flow - vectors, axis=-1)[:, 3:-3, 3:-3].mean()
        moved = warp_bilinear(reference, resize_bilinear(flow, 4))
        told.append((distance, photometric(x, moved)[:, 12:-12, 12:-12].mean()))
    return tuple(map(jnp.stack, zip(*told, strict=True)))


@pytest.fixture(scope="module")
def taught():
    """A teacher's parameters after a short fit, and its metrics step by step."""

    def loss(params, x, reference, key):
        network = functools.partial(TEACHER.apply, {"params": params})
        return teacher_loss(network, x, reference, key)

    first = functools.partial(first_teacher_params, TEACHER)
    return _fit(loss, first, _pairs(0, 64, TEACHER_STEPS), 2e-3)


def test_a_teacher_finds_the_translation_of_pictures_it_has_not_seen(taught):
    unseen = (part[0] for part in _pairs(10_000, 64, 1))
    judge = _jit(functools.partial(_judged, TEACHER))
    distance, loss = judge(taught[0], *unseen)
    assert distance[0] < 0.5 * distance[1], distance
    assert loss[0] < 0.8 * loss[1], loss


def test_a_student_approaches_its_teacher(taught):
    student = FastFlowNet(width=4)
    teacher = functools.partial(TEACHER.apply, {"params": taught[0]})

    def loss(params, x, reference, key):
        network = functools.partial(student.apply, params)
        return student_loss(network, teacher, x, reference, key)

    # The same few pictures again and again, for the sake of time.
    pairs = [jnp.repeat(part, STUDENT_STEPS, axis=0) for part in _pairs(1, 64, 1)]
    first = functools.partial(student.init, x=pairs[0][0], reference=pairs[1][0])
    _, metrics = _fit(loss, first, pairs, 3e-3)
    distance = metrics["to_teacher"]
    assert distance[-5:].mean() < 0.7 * distance[:5].mean(), distance


def test_a_codec_without_a_flow_network_cannot_be_taught():
    clip, key = jnp.zeros((1, 2, 32, 32, 6)), jax.random.key(0)
    models = Models(Toy(), Toy(), TEACHER)
    with pytest.raises(UsageError, match="no flow network to teach"):
        flow_grads(models, {"inter": {}, "teacher": {}}, clip, Objective.STUDENT, key)


@pytest.fixture
def config() -> TrainConfig:
    """A run of one stage that teaches the smallest codec that can be taught."""
    stage = Stage(
        name="student",
        steps=10,
        frames=2,
        batch=2,
        crop=64,
        learning_rate=1e-4,
        final_learning_rate=1e-4,
        trainable=("^inter/motion_estimation/",),
        objective=Objective.STUDENT,
    )
    return TrainConfig(
        name="flow",
        intra="intra/tiny",
        inter="avs_eem/base-tiny",
        clips="",
        teacher="pwc-tiny",
        stages=(stage,),
    )


def test_a_stage_teaches_the_codecs_own_network_which_other_runs_start_from(
    config, tmp_path
):
    models, (stage,) = build_models(config), config.stages
    window = Window.of(np.zeros((2, 2, 32, 32, 6), np.uint8), 32)
    step = functools.partial(train_step, models, config, stage)
    state, metrics = jax.eval_shape(step, abstract_state(models, config), window)
    assert {"to_teacher", "epe", "grad_norm"} <= set(metrics)
    trained = roughen(jax.tree.map(lambda a: np.zeros(a.shape), state.params))
    assert "teacher" in trained
    export_params(config, trained, str(tmp_path / "flow.nvcm"))
    bundle = load_bundle(str(tmp_path / "flow.nvcm"))
    assert set(bundle.params) == {"intra", "inter"}
    fresh = {"inter": jax.tree.map(np.zeros_like, trained["inter"])}
    student = graft(fresh, bundle.params)["inter"]["motion_estimation"]
    chex.assert_trees_all_close(
        student, trained["inter"]["motion_estimation"], rtol=1e-3, atol=1e-4
    )


def test_the_teacher_is_the_published_size():
    teacher = build_teacher("pwc")
    x = jnp.zeros((1, 64, 64, 3))
    params = jax.eval_shape(
        functools.partial(first_teacher_params, teacher), jax.random.key(0)
    )
    traced = jax.make_jaxpr(teacher.apply)({"params": params}, x, x)
    # Three convolutions per level: 183.4 KMAC per pixel by the published table, which
    # raises vectors by transposed convolutions.
    assert count_macs(traced) / x[..., 0].size == pytest.approx(183.4e3, rel=0.01)


def test_only_what_is_found_again_on_the_way_back_is_visible():
    flow = jnp.zeros((1, 8, 8, 2)).at[..., 0].set(2.0)
    backward = -flow.at[:, :, 4:].set(0.0)
    found = np.asarray(_jit(visible)(flow, backward))[0]
    np.testing.assert_array_equal(found, np.tile(np.arange(8) < 2, (8, 1)))


def test_the_photometric_loss_sees_structure_through_a_change_of_light():
    x, reference, _ = (part[0] for part in _pairs(3, 64, 1))

    @_jit
    def compared(x, reference):
        brighter = photometric(x, 0.8 * x + 0.1).mean()
        return brighter, photometric(x, reference).mean()

    brighter, elsewhere = compared(x, reference)
    assert brighter < 0.6 * elsewhere
