"""What teacher and student descend.

    teacher: photometric loss of real pairs, both ways, where nothing is hidden
             + roughness + error on pairs made by known motion
    student: distance to the teacher on real pairs + error on known motion

Pairs made by known motion are the reference itself, moved along vectors drawn at
random, so their answer is exact; real pairs have what such vectors cannot, edges of
motion and what they hide.

Source: heavy-to-light motion estimation, AVS-EEM v8.1; its networks came with
published weights, so how they learn without labels is ours.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnvc.codecs.avs_eem.base.flow import FLOW_SCALE, FastFlowNet, to_rgb
from jaxnvc.errors import UsageError
from jaxnvc.ops.spatial import mean_pool, resize_bilinear
from jaxnvc.ops.warp import warp_bilinear
from train.config import Objective
from train.flow.losses import (
    end_point_error,
    inside,
    length,
    masked_mean,
    photometric,
    roughness,
    visible,
)
from train.state import Models

# A network: RGB [B, H, W, 3] and its reference to vectors [B, H/4, W/4, 2] in units
# of `FLOW_SCALE` samples of the full size.
Network = Callable[[jax.Array, jax.Array], jax.Array]

_STRIDE = 4
_SMOOTHNESS, _KNOWN = 0.05, 0.1
_CELL = 32


def flow_grads(
    models: Models, params: dict, clip: jax.Array, objective: Objective, key: jax.Array
):
    """Returns the gradient of a flow objective on neighbouring frames, and metrics.

    Args:
      models: the modules, with a teacher.
      params: {"intra", "inter", "teacher"}.
      clip: [B, T, H/2, W/2, 6] in [0, 1], H and W multiples of 64.
      objective: that of the teacher or of the student.
      key: PRNG key of the known motion.

    Raises:
      UsageError: the codec has no flow network.
    """

    def loss(p):
        teacher = functools.partial(models.teacher.apply, {"params": p["teacher"]})
        if objective is Objective.TEACHER:
            return teacher_loss(teacher, *frames_of(clip), key)
        student = functools.partial(FastFlowNet().apply, {"params": _student(p)})
        return student_loss(student, teacher, *frames_of(clip), key)

    return jax.grad(loss, has_aux=True)(params)


def _student(params: dict) -> dict:
    try:
        return params["inter"]["motion_estimation"]["network"]
    except KeyError as error:
        raise UsageError(
            "the inter codec has no flow network to teach; 'avs_eem/base' has."
        ) from error


def known_motion(key: jax.Array, batch: int, side: tuple[int, int]) -> jax.Array:
    """Draws smooth motion: pans near and far, zoom, shear and rotation, ripples.

    Args:
      key: PRNG key.
      batch: B.
      side: height and width H, W, multiples of 32.

    Returns:
      [B, H, W, 2] in samples.
    """
    keys = jax.random.split(key, 4)
    height, width = side
    # As many pans of a sample or two as of an eighth of the picture.
    farthest = jnp.log(min(side) / 8)
    reach = jnp.exp(jax.random.uniform(keys[0], (batch, 1, 1, 1), maxval=farthest))
    pan = reach * jax.random.normal(keys[1], (batch, 1, 1, 2))
    grid = jnp.meshgrid(jnp.arange(width) - width / 2, jnp.arange(height) - height / 2)
    matrix = 0.03 * jax.random.normal(keys[2], (batch, 2, 2))
    turned = jnp.einsum("hwc,bcd->bhwd", jnp.stack(grid, -1), matrix)
    cells = (batch, height // _CELL, width // _CELL, 2)
    ripples = resize_bilinear(jax.random.normal(keys[3], cells), _CELL)
    return pan + turned + ripples


def teacher_loss(teacher: Network, x: jax.Array, reference: jax.Array, key: jax.Array):
    """Returns what the teacher descends, and metrics.

    Args:
      teacher: the network with its parameters.
      x: RGB [B, H, W, 3] in [0, 1], H and W multiples of 64.
      reference: the frame before.
      key: PRNG key of the known motion.
    """
    moved, known, mask = _known_pair(key, reference)
    pairs = (x, reference), (reference, x), (moved, reference)
    flow, backward, found = _estimated(teacher, pairs)
    real = 0.5 * _mismatch(flow, backward, x, reference)
    real = real + 0.5 * _mismatch(backward, flow, reference, x)
    rough = roughness(flow, x) + roughness(backward, reference)
    error = end_point_error(found, known, mask)
    loss = real + _SMOOTHNESS * rough + _KNOWN * error
    still = end_point_error(jnp.zeros_like(known), known, mask)
    return loss, {"photometric": real, "epe": error, "epe_still": still}


def student_loss(
    student: Network, teacher: Network, x: jax.Array, reference: jax.Array, key
):
    """Returns what the student descends, and metrics; no gradient for the teacher.

    Args:
      student: the network that learns.
      teacher: the one it learns from.
      x: RGB [B, H, W, 3] in [0, 1], H and W multiples of 64.
      reference: the frame before.
      key: PRNG key of the known motion.
    """
    moved, known, mask = _known_pair(key, reference)
    (taught,) = _estimated(teacher, [(x, reference)])
    taught = jax.lax.stop_gradient(taught)
    flow, found = _estimated(student, [(x, reference), (moved, reference)])
    distance = length(flow - taught).mean()
    error = end_point_error(found, known, mask)
    metrics = {
        "to_teacher": distance,
        "teacher_length": length(taught).mean(),
        "epe": error,
        "epe_still": end_point_error(jnp.zeros_like(known), known, mask),
        "photometric": _mismatch(flow, None, x, reference),
    }
    return distance + error, metrics


def frames_of(clip: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the frames after the first, and those before them, as RGB.

    Args:
      clip: packed [B, T, H/2, W/2, 6].

    Returns:
      Twice [B (T - 1), H, W, 3].
    """
    x, reference = (
        part.reshape(-1, *clip.shape[2:]) for part in (clip[:, 1:], clip[:, :-1])
    )
    return to_rgb(x), to_rgb(reference)


def _known_pair(key, reference: jax.Array):
    """Moves a reference; returns the result, the vectors at 1/4 and where they hold."""
    flow = known_motion(key, len(reference), reference.shape[1:3])
    moved = warp_bilinear(reference, flow)
    return moved, mean_pool(flow, _STRIDE), _quarter_mask(inside(flow))


def _quarter_mask(mask: jax.Array) -> jax.Array:
    whole = mean_pool(mask[..., None], _STRIDE)[..., 0]
    return (whole == 1).astype(mask.dtype)


def _estimated(network: Network, pairs) -> list[jax.Array]:
    """Runs a network on several pairs at once; vectors at 1/4 in full-size samples."""
    x, reference = (jnp.concatenate(frames) for frames in zip(*pairs, strict=True))
    return jnp.split(FLOW_SCALE * network(x, reference), len(pairs))


def _mismatch(flow, backward, x, reference) -> jax.Array:
    """Averages the photometric loss where the reference shows what x shows."""
    full = resize_bilinear(flow, _STRIDE)
    mask = inside(full)
    if backward is not None:
        mask = mask * visible(full, resize_bilinear(backward, _STRIDE))
    moved = warp_bilinear(reference, full)
    return masked_mean(photometric(x, moved), jax.lax.stop_gradient(mask))
