"""Exact integer networks: the same whole numbers on every device.

Activations are integers in [0, 127], weights integers in [-127, 127] and sums
stay below 2**24, so float32 holds every partial sum exactly and the order of
summation, fused multiply-adds and the convolution library cannot matter. The
same integers come from int8 operands with int32 sums (`Arithmetic.INT8`).

Parameters are float32 master weights in units of 1/64; the forward pass rounds
them, in training (straight-through) as in coding, so there is no export step
that could change a result. Nothing here divides, exponentiates or averages.
"""

import enum
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnvc.errors import ModelError
from jaxnvc.ops.depthwise import depthwise_exact, depthwise_shifted
from jaxnvc.ops.rounding import clip_ste, round_ste
from jaxnvc.ops.spatial import per_channel

FRACTION_BITS = 6
WEIGHT_LIMIT = 127
ACTIVATION_LIMIT = 127
EXACT_LIMIT = 2**24
QP_ANCHORS = 9
QP_SPACING_BITS = 3


class Arithmetic(enum.Enum):
    """How whole numbers are multiplied and summed; the results are equal."""

    FLOAT32 = "float32"
    INT8 = "int8"


def whole_weights(kernel: jax.Array) -> jax.Array:
    """Rounds master weights to whole numbers in [-127, 127] (float32)."""
    limit = float(WEIGHT_LIMIT)
    return round_ste(clip_ste(kernel * 2.0**FRACTION_BITS, -limit, limit))


def whole_bias(bias: jax.Array) -> jax.Array:
    """Rounds a master bias to whole numbers (float32)."""
    return round_ste(bias * 2.0**FRACTION_BITS)


def requantise(sums: jax.Array, shift: int = FRACTION_BITS) -> jax.Array:
    """Returns clip(floor(sums / 2**shift + 1/2), 0, 127): scale, round, rectify."""
    scaled = round_ste(sums * 2.0**-shift)
    return clip_ste(scaled, 0.0, float(ACTIVATION_LIMIT))


def magnitude_code(symbols: jax.Array) -> jax.Array:
    """Maps |symbol| to 0..127, roughly 32*log2(1 + |symbol|), by comparisons.

    Args:
      symbols: whole numbers, any shape, any numeric dtype.

    Returns:
      float32 whole numbers in [0, 127], same shape, without gradient.
    """
    magnitude = jnp.abs(lax.stop_gradient(symbols))
    code = jnp.zeros(symbols.shape, jnp.float32)
    previous = 0
    for level in (1, 2, 3, 4, 5, 7, 9, 12, 15):
        value = min(ACTIVATION_LIMIT, round(32 * math.log2(1 + level)))
        code = code + jnp.where(magnitude >= level, float(value - previous), 0.0)
        previous = value
    return code


def _fan_in_normal(key, shape, dtype=jnp.float32):
    fan_in = math.prod(shape[:-1])
    return jax.random.normal(key, shape, dtype) * math.sqrt(2 / fan_in)


class IntegerDense(nn.Module):
    """A 1x1 convolution over whole numbers; returns unscaled sums.

    Attributes:
      features: output channels.
      arithmetic: route of the products and sums.
      zero: starts at zero instead of random weights.
    """

    features: int
    arithmetic: Arithmetic = Arithmetic.FLOAT32
    zero: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = nn.initializers.zeros if self.zero else _fan_in_normal
        kernel = self.param("integer_kernel", init, (x.shape[-1], self.features))
        bias = self.param("integer_bias", nn.initializers.zeros, (self.features,))
        weights = whole_weights(kernel)
        if self.arithmetic is Arithmetic.INT8:
            sums = lax.dot_general(
                x.astype(jnp.int8),
                weights.astype(jnp.int8),
                (((x.ndim - 1,), (0,)), ((), ())),
                preferred_element_type=jnp.int32,
            ).astype(jnp.float32)
        else:
            sums = jnp.matmul(x, weights, precision=lax.Precision.HIGHEST)
        return sums + per_channel(whole_bias(bias), sums.ndim)


class IntegerDepthwise(nn.Module):
    """A depthwise convolution over whole numbers; returns unscaled sums.

    Attributes:
      size: odd kernel side.
      arithmetic: route of the products and sums.
    """

    size: int = 3
    arithmetic: Arithmetic = Arithmetic.FLOAT32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        shape = (self.size, self.size, channels)
        kernel = self.param("integer_kernel", _centred, shape)
        bias = self.param("integer_bias", nn.initializers.zeros, (channels,))
        weights = whole_weights(kernel)
        if self.arithmetic is Arithmetic.INT8:
            sums = depthwise_shifted(x.astype(jnp.int32), weights.astype(jnp.int32))
            sums = sums.astype(jnp.float32)
        else:
            sums = depthwise_exact(x, weights)
        return sums + per_channel(whole_bias(bias), sums.ndim)


def _centred(key, shape, dtype=jnp.float32):
    """Starts a depthwise kernel as identity plus a little of the neighbours."""
    size = shape[0]
    kernel = 0.15 * jax.random.normal(key, shape, dtype)
    return kernel.at[size // 2, size // 2].add(0.75)


class IntegerTable(nn.Module):
    """A whole number per qp, level and channel, interpolated between 9 anchors.

    Anchors stand at qp 0, 8, .. 64; the weights are eighths, so interpolation is
    exact. The unit is 1/64, as of the sums it is added to.

    Attributes:
      features: channels.
      levels: quality levels.
      initial: None for zero, else master values [9, features].
    """

    features: int
    levels: int = 1
    initial: np.ndarray | None = None

    @nn.compact
    def __call__(self, qp: jax.Array, level: jax.Array) -> jax.Array:
        """Looks the table up.

        Args:
          qp: int32 [B], 0..63.
          level: int32 [], 0..levels-1.

        Returns:
          float32 whole numbers [B, 1, 1, features] in units of 1/512.
        """

        def start(_, shape):
            return (
                jnp.zeros(shape) if self.initial is None else jnp.asarray(self.initial)
            )

        anchors = self.param("integer_bias", start, (QP_ANCHORS, self.features))
        offset = self.param(
            "integer_level_bias", nn.initializers.zeros, (self.levels, self.features)
        )
        table = whole_bias(anchors)
        low = qp >> QP_SPACING_BITS
        weight = (qp - (low << QP_SPACING_BITS)).astype(jnp.float32)[:, None]
        spacing = 2.0**QP_SPACING_BITS
        rows = table[low] * (spacing - weight) + table[low + 1] * weight
        rows = rows + whole_bias(offset)[level][None] * spacing
        return rows[:, None, None, :]


def certify(params) -> dict[str, int]:
    """Bounds every sum of the integer layers from the weights alone.

    Args:
      params: a parameter tree; layers are found by the name `integer_kernel`.

    Returns:
      Largest |bias| + 127 * sum|weight| over output channels, per layer path.

    Raises:
      ModelError: a bound reaches 2**24, past which float32 sums are not exact.
    """
    bounds = {}
    flat = jax.tree_util.tree_flatten_with_path(params)[0]
    named = {jax.tree_util.keystr(p, simple=True, separator="/"): v for p, v in flat}
    for path, kernel in named.items():
        if not path.endswith("integer_kernel"):
            continue
        weights = np.abs(np.asarray(whole_weights(jnp.asarray(kernel))))
        bias = named[path.replace("integer_kernel", "integer_bias")]
        bias = np.abs(np.asarray(whole_bias(jnp.asarray(bias))))
        axes = tuple(range(weights.ndim - 1))
        bound = int((bias + ACTIVATION_LIMIT * weights.sum(axes)).max())
        if bound >= EXACT_LIMIT:
            raise ModelError(
                f"integer layer {path} can reach {bound}, but sums stay exact only "
                f"below {EXACT_LIMIT}; train it with smaller weights."
            )
        bounds[path] = bound
    return bounds
