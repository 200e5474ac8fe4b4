"""Motion estimation in the original domain, at full or reduced size (encoder only).

Source: FastFlowNet (Kong et al. 2021) as AVS-EEM v9.2 uses it (Table V: 27.44 KMAC
per pixel, correlations and warps not counted); adaptive reduction: v8.1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.layers.blocks import SMALL_INIT
from jaxnvc.layers.convolution import conv, leaky
from jaxnvc.ops import frame
from jaxnvc.ops.spatial import ceil_to, mean_pool, repeat, resize_bilinear
from jaxnvc.ops.warp import warp_bilinear

FLOW_SCALE = 20.0
_MULTIPLE = 64
_FINEST, _COARSEST = 2, 6
_NUM_GROUPS = 3
# BT.709, full range: luma, blue and red difference to red, green, blue.
_TO_RGB = np.array(
    [[1, 1, 1], [0, -0.18732, 1.8556], [1.5748, -0.46812, 0]], np.float32
)


def all_displacements(radius: int) -> list[tuple[int, int]]:
    """Lists every (dy, dx) of a square."""
    side = range(-radius, radius + 1)
    return [(dy, dx) for dy in side for dx in side]


# 53 of 81: all near ones, every other one further out.
_SPARSE = tuple(
    (dy, dx)
    for dy, dx in all_displacements(4)
    if max(abs(dy), abs(dx)) <= 2 or (dy - dx) % 2 == 0
)


def correlation(ours: jax.Array, theirs: jax.Array, displacements=_SPARSE) -> jax.Array:
    """Correlates features with shifted features of the other frame.

    Args:
      ours: [B, h, w, C].
      theirs: [B, h, w, C], zero outside.
      displacements: D pairs (dy, dx).

    Returns:
      [B, h, w, D], means over channels of the products.
    """
    height, width = ours.shape[1:3]
    reach = max(max(map(abs, pair)) for pair in displacements)
    margin = (reach, reach)
    theirs = jnp.pad(theirs, ((0, 0), margin, margin, (0, 0)))
    shifted = (
        theirs[:, reach + dy :, reach + dx :][:, :height, :width]
        for dy, dx in displacements
    )
    return jnp.stack([(ours * other).mean(-1) for other in shifted], -1)


def standardised(ours: jax.Array, theirs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Removes the mean of two feature maps and scales them to unit variance.

    Source: UFlow (Jonschkowski et al. 2020), which finds this essential where motion
    is learned without labels.
    """
    both = jnp.stack([ours, theirs])
    axes = (0, 2, 3, 4)
    mean = both.mean(axes, keepdims=True)
    deviation = jnp.sqrt(((both - mean) ** 2).mean(axes, keepdims=True) + 1e-6)
    both = (both - mean) / deviation
    return both[0], both[1]


def to_rgb(x: jax.Array) -> jax.Array:
    """Maps packed frames [B, H/2, W/2, 6] to RGB [B, H, W, 3], chroma repeated."""
    chroma = repeat(x[..., 4:] - 0.5, 2)
    return jnp.concatenate([frame.luma(x), chroma], -1) @ jnp.asarray(_TO_RGB)


def _shuffled(x: jax.Array) -> jax.Array:
    """Interleaves the channels of the groups."""
    grouped = x.reshape(*x.shape[:-1], _NUM_GROUPS, -1)
    return jnp.swapaxes(grouped, -1, -2).reshape(x.shape)


class _Pyramid(nn.Module):
    """Features of one frame at 1/2 to 1/64; those from 1/16 on are averages."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        levels = []
        for width, depth in ((self.width, 2), (2 * self.width, 3), (4 * self.width, 3)):
            for i in range(depth):
                x = leaky(conv(width, stride=1 if i else 2)(x), 0.1)
            levels.append(x)
        for _ in range(_COARSEST - len(levels)):
            levels.append(mean_pool(levels[-1], 2))
        return levels


class _LevelDecoder(nn.Module):
    """Correlation, features and the raised vectors to new vectors."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        wide = 6 * self.width
        x = leaky(conv(wide)(x), 0.1)
        for _ in range(3):
            x = leaky(conv(wide, feature_group_count=_NUM_GROUPS)(x), 0.1)
            x = _shuffled(x)
        x = leaky(conv(4 * self.width)(x), 0.1)
        x = leaky(conv(2 * self.width)(x), 0.1)
        # Starts near standing still, level by level.
        return conv(2, init=SMALL_INIT)(x)


def _doubling(key, shape, dtype=jnp.float32):
    """Starts a 4x4 transposed convolution as bilinear enlargement."""
    del key
    taps = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
    plane = jnp.asarray(np.outer(taps, taps), dtype)
    identity = jnp.eye(shape[2], shape[3], dtype=dtype)
    return jnp.einsum("ij,kl->ijkl", plane, identity)


class FastFlowNet(nn.Module):
    """Estimates motion from coarse to fine by correlation.

    Attributes:
      width: channels of the finest features; all other widths are multiples of it.
    """

    width: int = 16

    @nn.compact
    def __call__(self, x: jax.Array, reference: jax.Array) -> jax.Array:
        """Estimates.

        Args:
          x: RGB [B, H, W, 3], H and W multiples of 64.
          reference: the frame it is predicted from, same shape.

        Returns:
          [B, H/4, W/4, 2]: x at p comes from the reference at p + 20 times this, in
          samples of the full size.
        """
        mean = 0.5 * (x + reference).mean((1, 2), keepdims=True)
        pyramid = _Pyramid(self.width, name="pyramid")
        ours, theirs = pyramid(x - mean), pyramid(reference - mean)
        flow = jnp.zeros((*ours[-1].shape[:3], 2))
        for level in range(_COARSEST, _FINEST - 1, -1):
            a, b = ours[level - 1], theirs[level - 1]
            if level < _COARSEST:
                raised = nn.ConvTranspose(
                    2, (4, 4), strides=(2, 2), padding="SAME", kernel_init=_doubling
                )
                flow = raised(flow)
                b = warp_bilinear(b, flow * (FLOW_SCALE / 2**level))
            matched = leaky(correlation(*standardised(a, b)), 0.1)
            reduced = leaky(conv(2 * self.width, name=f"reduce{level}")(a), 0.1)
            inputs = jnp.concatenate([matched, reduced, flow], -1)
            flow = flow + _LevelDecoder(self.width, name=f"decode{level}")(inputs)
        return flow


class MotionEstimation(nn.Module):
    """Runs the flow network on frames, or on reduced ones where that is better.

    Large motion is out of the network's reach at full size. Reduced frames that
    differ much less than the frames do are a sign of it, or of noise, which
    reduction removes.

    Attributes:
      downsample: factor of the reduction, 2 or 4.
      gain_db: PSNR that reduction must bring.
    """

    downsample: int
    gain_db: float

    def setup(self):
        self.network = FastFlowNet()

    def __call__(self, x: jax.Array, reference: jax.Array) -> jax.Array:
        """Estimates motion between source frames.

        Args:
          x: packed frames [B, H/2, W/2, 6].
          reference: their source predecessors.

        Returns:
          Vectors [B, H/2, W/2, 2] in samples of this grid. One decision holds for
          the whole batch, which in coding is one frame.
        """
        if self.is_initializing():
            return self._estimate(x, reference, 1)
        return nn.cond(
            self._reduction_pays(x, reference),
            lambda mdl, a, b: mdl._estimate(a, b, mdl.downsample),
            lambda mdl, a, b: mdl._estimate(a, b, 1),
            self,
            x,
            reference,
        )

    def _reduction_pays(self, x: jax.Array, reference: jax.Array) -> jax.Array:
        """Returns whether the PSNR between the frames rises enough, bool []."""
        difference = frame.luma(x) - frame.luma(reference)
        reduced = _reduce(difference, self.downsample)
        blurred = resize_bilinear(reduced, self.downsample)
        before = jnp.mean(difference**2)
        after = jnp.mean(blurred[:, : x.shape[1] * 2, : x.shape[2] * 2] ** 2)
        return before > after * 10 ** (self.gain_db / 10)

    def _estimate(self, x, reference, factor: int) -> jax.Array:
        rows, columns = x.shape[1:3]
        images = (_reduce(to_rgb(image), factor) for image in (x, reference))
        flow = self.network(*(_padded(image) for image in images))
        flow = resize_bilinear(flow, 2 * factor)[:, :rows, :columns]
        # In full-size samples it is 20 * factor * flow; this grid has half of them.
        return flow * (0.5 * FLOW_SCALE * factor)


def _reduce(image: jax.Array, factor: int) -> jax.Array:
    """Averages cells; an edge that is not a multiple is repeated first."""
    rows, columns = (-size % factor for size in image.shape[1:3])
    image = jnp.pad(image, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge")
    return mean_pool(image, factor)


def _padded(image: jax.Array) -> jax.Array:
    rows, columns = (ceil_to(n, _MULTIPLE) - n for n in image.shape[1:3])
    return jnp.pad(image, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge")
