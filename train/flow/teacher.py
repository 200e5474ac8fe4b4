"""The teacher of motion estimation: a PWC-Net, which no codec ships.

    x, reference -> pyramids -> for each level, coarse to fine:
      warp the reference's features by the raised vectors -> correlate -> decode
    finest level -> dilated context network -> vectors at 1/4

Source: PWC-Net (Sun et al. 2018). Vectors are refined level by level instead of
found anew, and features are standardised before they are correlated, as motion
without labels needs (UFlow, Jonschkowski et al. 2020).
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.codecs.avs_eem.base.flow import (
    FLOW_SCALE,
    all_displacements,
    correlation,
    standardised,
)
from jaxnvc.errors import UsageError
from jaxnvc.layers.convolution import conv, leaky
from jaxnvc.ops.spatial import resize_bilinear
from jaxnvc.ops.warp import warp_bilinear

_FINEST = 2
_SLOPE = 0.1
# Starts near standing still, level by level: a hundredth of the unit is 0.2 samples.
_STILL = nn.initializers.variance_scaling(1e-4, "fan_in", "normal")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Sizes; the defaults are PWC-Net's.

    Attributes:
      pyramid: channels of the features at 1/2, 1/4 and so on.
      radius: farthest displacement correlated at each level, in its samples.
      decoder: channels that each convolution of a level adds to what it is given.
      context: channels and dilation of the convolutions that refine the finest level.
    """

    pyramid: tuple[int, ...] = (16, 32, 64, 96, 128, 196)
    radius: int = 4
    decoder: tuple[int, ...] = (128, 128, 96, 64, 32)
    context: tuple[tuple[int, int], ...] = (
        (128, 1),
        (128, 2),
        (128, 4),
        (96, 8),
        (64, 16),
        (32, 1),
    )

    def __post_init__(self):
        if len(self.pyramid) < _FINEST:
            raise UsageError(
                f"TeacherConfig.pyramid is {self.pyramid}, but vectors are found at "
                "1/4 of the size; give at least 2 widths."
            )


TEACHERS = {
    "pwc": TeacherConfig(),
    "pwc-tiny": TeacherConfig(
        pyramid=(8, 16, 16), radius=2, decoder=(16, 16), context=((16, 1),)
    ),
}


def build_teacher(name: str) -> "Teacher":
    """Builds the teacher of a name in `TEACHERS`.

    Raises:
      UsageError: there is none of this name.
    """
    if name not in TEACHERS:
        raise UsageError(
            f"teacher {name!r} is not known; choose one of {', '.join(TEACHERS)}."
        )
    return Teacher(TEACHERS[name])


def first_teacher_params(teacher: "Teacher", key: jax.Array) -> dict:
    """Returns the parameters that a teacher starts from; traceable."""
    side = 2 ** len(teacher.config.pyramid)
    x = jnp.zeros((1, side, side, 3))
    return teacher.init(key, x, x)["params"]


class _Pyramid(nn.Module):
    """Features of one frame, each level half the size of the one before."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        levels = []
        for width in self.widths:
            for stride in (2, 1, 1):
                x = leaky(conv(width, stride=stride)(x), _SLOPE)
            levels.append(x)
        return levels


class _Decoder(nn.Module):
    """Densely connected convolutions: each one's output joins what it was given."""

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.widths:
            x = jnp.concatenate([leaky(conv(width)(x), _SLOPE), x], -1)
        return x


class _Context(nn.Module):
    """Dilated convolutions that see far around each vector, to a correction."""

    layers: tuple[tuple[int, int], ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width, dilation in self.layers:
            layer = nn.Conv(
                width,
                (3, 3),
                kernel_dilation=dilation,
                padding=dilation,
                kernel_init=nn.initializers.he_normal(),
            )
            x = leaky(layer(x), _SLOPE)
        return conv(2, init=_STILL, name="out")(x)


class Teacher(nn.Module):
    """Estimates motion from coarse to fine by correlation, with many channels.

    Attributes:
      config: sizes.
    """

    config: TeacherConfig

    @nn.compact
    def __call__(self, x: jax.Array, reference: jax.Array) -> jax.Array:
        """Estimates.

        Args:
          x: RGB [B, H, W, 3], H and W multiples of 2 to the number of levels.
          reference: the frame it is predicted from, same shape.

        Returns:
          [B, H/4, W/4, 2]: x at p comes from the reference at p + 20 times this, in
          samples of the full size.
        """
        c = self.config
        mean = 0.5 * (x + reference).mean((1, 2), keepdims=True)
        pyramid = _Pyramid(c.pyramid, name="pyramid")
        ours, theirs = pyramid(x - mean), pyramid(reference - mean)
        flow = jnp.zeros((*ours[-1].shape[:3], 2))
        known, features = [], None
        for level in range(len(c.pyramid), _FINEST - 1, -1):
            a, b = ours[level - 1], theirs[level - 1]
            if level < len(c.pyramid):
                raised = conv(2, name=f"raise{level}")(features)
                raised, flow = (resize_bilinear(v, 2) for v in (raised, flow))
                known = [a, raised, flow]
                b = warp_bilinear(b, flow * (FLOW_SCALE / 2**level))
            matched = correlation(*standardised(a, b), all_displacements(c.radius))
            inputs = jnp.concatenate([leaky(matched, _SLOPE), *known], -1)
            features = _Decoder(c.decoder, name=f"decode{level}")(inputs)
            flow = flow + conv(2, init=_STILL, name=f"flow{level}")(features)
        return flow + _Context(c.context, name="context")(features)
