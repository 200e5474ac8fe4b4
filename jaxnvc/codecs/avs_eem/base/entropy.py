"""Entropy models of the motion and residual latents.

Source: AVS-EEM v9.2, motion entropy model (v0.1 to v4.1; Table V: 12.93 and 11.02
KMAC per pixel) and the checkerboard model of the residual in four segments (v7.1;
4.52 and 2.69). The 3x3 inside the segment networks is ours: 1x1 alone never sees a
neighbouring cell.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnvc.codecs.avs_eem.base.config import EemBaseConfig
from jaxnvc.entropy.cond import Cond
from jaxnvc.entropy.integer import magnitude_code
from jaxnvc.layers.blocks import Depthwise
from jaxnvc.layers.convolution import ResidualBlock, SubPixel, conv, leaky
from jaxnvc.layers.integer_index import IntegerIndex, StaticPrior, float_index
from jaxnvc.layers.latent import whole_hyper
from jaxnvc.ops.rounding import clip_ste, round_ste
from jaxnvc.ops.spatial import repeat

NUM_SEGMENTS = 4
HYPER_RATIO = 4
# (row, column) of the segments in their 2x2 cells: a checkerboard's one colour
# first, then the other.
_PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
_LEAST_STEP, _MOST_STEP = 0.5, 8.0
_FRACTION = 64.0


def segment(x: jax.Array, i: int) -> jax.Array:
    """Takes segment i of [B, h, w, C], h and w even: [B, h/2, w/2, C]."""
    row, column = _PHASES[i]
    return x[:, row::2, column::2]


def joined(segments: tuple[jax.Array, ...]) -> jax.Array:
    """Inverts `segment`, from all four."""
    batch, height, width, channels = segments[0].shape
    by_place = dict(zip(_PHASES, segments, strict=True))
    cells = jnp.stack([by_place[place] for place in sorted(by_place)], 3)
    cells = cells.reshape(batch, height, width, 2, 2, channels)
    cells = jnp.moveaxis(cells, 3, 2)
    return cells.reshape(batch, 2 * height, 2 * width, channels)


def _snapped(x: jax.Array) -> jax.Array:
    """Rounds to multiples of 1/64, so that tiny differences of floats vanish."""
    return round_ste(x * _FRACTION) / _FRACTION


class HyperEncoder(nn.Module):
    """A latent and its priors to a hyper latent at a quarter of the grid (encoder).

    Attributes:
      channels: of all latents.
    """

    channels: int

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        """Maps arrays [B, h16, w16, L] to z [B, h64, w64, L]."""
        x = leaky(conv(self.channels)(jnp.concatenate(inputs, -1)))
        x = leaky(conv(self.channels, stride=2)(x))
        return conv(self.channels, stride=2)(x)


class HyperDecoder(nn.Module):
    """A hyper latent to features on the latent's grid.

    Attributes:
      channels: of all latents.
    """

    channels: int

    @nn.compact
    def __call__(self, z_hat: jax.Array) -> jax.Array:
        """Maps z [B, h64, w64, L] to [B, h16, w16, L]."""
        x = leaky(SubPixel(self.channels)(z_hat))
        x = leaky(SubPixel(self.channels)(x))
        return conv(self.channels)(x)


class MotionParameters(NamedTuple):
    """Of the motion latent, each [B, h16, w16, L].

    Attributes:
      step: quantiser step in [0.5, 8].
      mu: mean in steps.
      index: scale indices, whole.
    """

    step: jax.Array
    mu: jax.Array
    index: jax.Array


class MotionEntropy(nn.Module):
    """Step, mean and scale of the motion latent, from hyper and temporal priors.

    Attributes:
      config: sizes.
      levels: quality levels.
    """

    config: EemBaseConfig
    levels: int

    def setup(self):
        c = self.config
        channels = c.latent_channels
        self.hyper_encoder = HyperEncoder(channels)
        self.hyper_prior = StaticPrior(channels, self.levels)
        self.hyper_decoder = HyperDecoder(channels)
        self.gather = conv(3 * channels, name="gather")
        self.refine = ResidualBlock()
        if c.portable:
            self.index = IntegerIndex(channels, c.scale_width, self.levels)

    def encode_hyper(self, motion, motion_prior, residual_prior) -> jax.Array:
        """Returns the hyper latent z [B, h64, w64, L] (encoder)."""
        return self.hyper_encoder(motion, motion_prior, residual_prior)

    def parameters(
        self, z_hat, motion_prior, residual_prior, history, cond: Cond
    ) -> MotionParameters:
        """Returns the latent's distribution.

        Args:
          z_hat: symbols of the hyper latent [B, h64, w64, L].
          motion_prior: last motion latent, scaled [B, h16, w16, L].
          residual_prior: last residual latent, scaled [B, h16, w16, L].
          history: transmitted whole numbers of earlier units [B, h16, w16, K].
          cond: conditions.
        """
        hyper = self.hyper_decoder(z_hat)
        x = jnp.concatenate([hyper, motion_prior, residual_prior], -1)
        step, mu, raw = jnp.split(self.refine(self.gather(x)), 3, -1)
        if self.config.portable:
            z_known = whole_hyper(repeat(z_hat, HYPER_RATIO))
            index = self.index(jnp.concatenate([z_known, history], -1), cond)
        else:
            index = float_index(raw)
        return MotionParameters(
            step=_snapped(clip_ste(1 + step, _LEAST_STEP, _MOST_STEP)),
            mu=_snapped(mu),
            index=index,
        )


class SpatialPrior(nn.Module):
    """The coarse context brought to the latent's grid.

    Attributes:
      config: sizes.
    """

    config: EemBaseConfig

    @nn.compact
    def __call__(self, context_coarse: jax.Array) -> jax.Array:
        """Maps [B, h4, w4, width] to [B, h16, w16, L]."""
        x = leaky(conv(self.config.width, stride=2)(context_coarse))
        return conv(self.config.latent_channels, stride=2)(x)


class SegmentNet(nn.Module):
    """Mean and scale of a segment from its priors and the segments before it.

    Attributes:
      width: hidden channels.
      channels: of the latent.
    """

    width: int
    channels: int

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Maps arrays [B, h32, w32, ..] to mean and raw scale [B, h32, w32, L]."""
        x = leaky(conv(self.width, 1)(jnp.concatenate(inputs, -1)))
        x = Depthwise()(x)
        x = leaky(conv(self.width, 1)(x))
        mu, raw = jnp.split(conv(2 * self.channels, 1)(x), 2, -1)
        return mu, raw


class ResidualEntropy(nn.Module):
    """Means and scales of the residual latent, segment by segment.

    Attributes:
      config: sizes.
      levels: quality levels.
    """

    config: EemBaseConfig
    levels: int

    def setup(self):
        c = self.config
        channels = c.latent_channels
        self.hyper_encoder = HyperEncoder(channels)
        self.hyper_prior = StaticPrior(channels, self.levels)
        self.hyper_decoder = HyperDecoder(channels)
        self.spatial_prior = SpatialPrior(c)
        self.segments = [
            SegmentNet(c.entropy_width, channels) for _ in range(NUM_SEGMENTS)
        ]
        if c.portable:
            self.index = [
                IntegerIndex(channels, c.scale_width, self.levels)
                for _ in range(NUM_SEGMENTS)
            ]

    def encode_hyper(self, y, residual_prior, spatial_prior) -> jax.Array:
        """Returns the hyper latent z [B, h64, w64, L] (encoder)."""
        return self.hyper_encoder(y, residual_prior, spatial_prior)

    def decode_hyper(self, z_hat: jax.Array) -> jax.Array:
        """Maps symbols of z to features [B, h16, w16, L]."""
        return self.hyper_decoder(z_hat)

    def bring_context(self, context_coarse: jax.Array) -> jax.Array:
        """Maps the coarse context to the spatial prior [B, h16, w16, L]."""
        return self.spatial_prior(context_coarse)

    def parameters(
        self, priors, decoded, known, symbols, cond: Cond
    ) -> tuple[jax.Array, jax.Array]:
        """Returns mean and scale index of the next segment, [B, h32, w32, L] each.

        Args:
          priors: hyper, temporal and spatial prior, each [B, h16, w16, L].
          decoded: the segments so far.
          known: whole numbers [B, h16, w16, K] (portable models).
          symbols: the symbols of the segments so far (portable models).
          cond: conditions.
        """
        i = len(decoded)
        mu, raw = self.segments[i](*(segment(p, i) for p in priors), *decoded)
        if not self.config.portable:
            return _snapped(mu), float_index(raw)
        codes = [magnitude_code(s) for s in symbols]
        whole = jnp.concatenate([segment(known, i), *codes], -1)
        return _snapped(mu), self.index[i](whole, cond)
