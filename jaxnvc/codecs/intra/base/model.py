"""The full intra codec: residual analysis and synthesis with a hyperprior.

    x -> stem, 3 x (stride 2 + block), conv/2 -> y == (z, y) ==> y_hat
                                                                   |
                  x_hat <- head, 3 x (sub-pixel + block), block <--'

Source: AVS-EEM v9.2 section II (YUV 4:2:0, "the architecture of TCM"): the intra
network of DCVC-TCM without autoregression, its stem and head in native 4:2:0.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxnvc.codecs.intra.base.config import IntraBaseConfig
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.layers.blocks import QpCurve
from jaxnvc.layers.convolution import ResidualBlock, Stem, SubPixel, conv, leaky
from jaxnvc.layers.integer_index import IntegerIndex, StaticPrior, float_index
from jaxnvc.layers.latent import whole_hyper
from jaxnvc.layers.transform import log_fineness
from jaxnvc.ops.frame import PACKED_CHANNELS
from jaxnvc.ops.spatial import repeat

_HYPER, _LATENT = range(2)
_HYPER_RATIO = 4
_MID_GREY = 0.5


class IntraBaseState(struct.PyTreeNode):
    """The reference picture after an intra unit, [B, H/2, W/2, 6] in [0, 1]."""

    x_hat: jax.Array


class IntraBaseWork(struct.PyTreeNode):
    """What is known of the frame so far.

    Attributes:
      blank: zeros [B, H/16, W/16, width], for its shape.
      mu: mean of y, None until z is known.
      index: scale indices of y.
      y_hat: decoded latent.
    """

    blank: jax.Array
    mu: jax.Array | None = None
    index: jax.Array | None = None
    y_hat: jax.Array | None = None


class IntraBaseSource(struct.PyTreeNode):
    """The encoder's view of the frame: its latent y [B, H/16, W/16, width]."""

    y: jax.Array


class Down(nn.Module):
    """Halves the grid: a strided and a plain convolution beside a strided 1x1."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inner = conv(self.width)(leaky(conv(self.width, stride=2)(x)))
        x = inner + conv(self.width, 1, stride=2)(x)
        return ResidualBlock(bottleneck=False)(x)


class Up(nn.Module):
    """Doubles the grid: a sub-pixel and a plain convolution beside a sub-pixel one."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        inner = conv(self.width)(leaky(SubPixel(self.width, 3)(x)))
        x = inner + SubPixel(self.width, 3)(x)
        return ResidualBlock(bottleneck=False)(x)


class Analysis(nn.Module):
    """Packed frames to the latent."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, scale: jax.Array) -> jax.Array:
        """Maps [B, H/2, W/2, 6] to [B, H/16, W/16, width]."""
        inner = conv(self.width)(leaky(Stem(self.width, name="stem")(x)))
        x = inner + Stem(self.width, 1, name="stem_skip")(x)
        x = ResidualBlock(bottleneck=False)(x)
        for _ in range(2):
            x = Down(self.width)(x)
        return conv(self.width, stride=2, name="to_latent")(x * scale)


class HyperAnalysis(nn.Module):
    """The latent to the hyper latent at a quarter of its grid."""

    width: int

    @nn.compact
    def __call__(self, y: jax.Array) -> jax.Array:
        x = leaky(conv(self.width)(y))
        x = leaky(conv(self.width)(x))
        x = leaky(conv(self.width, stride=2)(x))
        x = leaky(conv(self.width)(x))
        return conv(self.width, stride=2)(x)


class HyperSynthesis(nn.Module):
    """The hyper latent to mean and raw scale of the latent."""

    width: int

    @nn.compact
    def __call__(self, z_hat: jax.Array) -> tuple[jax.Array, jax.Array]:
        wide = self.width * 3 // 2
        x = leaky(conv(self.width)(z_hat))
        x = leaky(SubPixel(self.width, 3)(x))
        x = leaky(conv(wide)(x))
        x = leaky(SubPixel(wide, 3)(x))
        mu, raw = jnp.split(conv(2 * self.width)(x), 2, -1)
        return mu, raw


class Synthesis(nn.Module):
    """The latent to packed frames."""

    width: int

    @nn.compact
    def __call__(self, y_hat: jax.Array, scale: jax.Array) -> jax.Array:
        """Maps [B, H/16, W/16, width] to [B, H/2, W/2, 6], not clipped."""
        x = ResidualBlock(bottleneck=False)(y_hat)
        for i in range(3):
            x = Up(self.width)(x)
            x = x * scale if i == 0 else x
        return conv(PACKED_CHANNELS, name="head")(x)


class IntraBase(nn.Module):
    """The full intra codec.

    Attributes:
      config: sizes.
    """

    config: IntraBaseConfig

    stage_names = ("hyper", "latent")
    num_stages = len(stage_names)
    num_levels = 1
    frame_weights = (1.0,)
    plane_weights = (6.0, 1.0, 1.0)
    size_multiple = 64
    frames_per_unit = 1

    @property
    def portable(self) -> bool:
        """Whether scale indices depend on transmitted integers alone."""
        return self.config.portable

    def setup(self):
        c = self.config
        self.analysis = Analysis(c.width)
        self.synthesis = Synthesis(c.width)
        self.hyper_analysis = HyperAnalysis(c.width)
        self.hyper_synthesis = HyperSynthesis(c.width)
        self.hyper_prior = StaticPrior(c.width, 1)
        if c.portable:
            self.index = IntegerIndex(c.width, c.scale_width, 1)
        fineness = np.repeat(log_fineness(), c.width, 1)
        self.scale_analysis = QpCurve(c.width, 1, fineness)
        self.scale_synthesis = QpCurve(c.width, 1, -fineness)

    def reset(self, x_hat: jax.Array, cond: Cond) -> IntraBaseState:
        """Returns the reference picture."""
        return IntraBaseState(x_hat=x_hat)

    def begin(self, state: IntraBaseState, cond: Cond) -> IntraBaseWork:
        """Starts a frame; only the size of `state.x_hat` matters."""
        batch, rows, columns, _ = state.x_hat.shape
        shape = (batch, rows // 8, columns // 8, self.config.width)
        return IntraBaseWork(blank=jnp.zeros(shape))

    def analyse(self, x: jax.Array, x_previous, cond: Cond) -> IntraBaseSource:
        """Transforms the frame; its predecessor is not used."""
        scale = self.scale_analysis(cond.qp, cond.level)
        return IntraBaseSource(y=self.analysis(x - _MID_GREY, scale))

    def prior(
        self, work: IntraBaseWork, cond: Cond, stage: int
    ) -> tuple[Prior, IntraBaseWork]:
        """Returns the distribution of z or y."""
        if stage == _LATENT:
            return Prior(index=work.index, skip=cond.skip, straight=True), work
        batch, rows, columns, channels = work.blank.shape
        shape = (batch, rows // _HYPER_RATIO, columns // _HYPER_RATIO, channels)
        return self.hyper_prior(shape, cond), work

    def residual(
        self, work: IntraBaseWork, source: IntraBaseSource, cond: Cond, stage: int
    ) -> tuple[Residual, IntraBaseSource]:
        """Returns z or y - mu."""
        if stage == _HYPER:
            return Residual(self.hyper_analysis(source.y)), source
        return Residual(source.y - work.mu), source

    def absorb(self, work, prior: Prior, symbols, cond: Cond, stage: int):
        """Adds a stage's symbols."""
        if stage == _LATENT:
            return work.replace(y_hat=symbols + work.mu)
        mu, raw = self.hyper_synthesis(symbols)
        if self.config.portable:
            known = whole_hyper(repeat(symbols, _HYPER_RATIO))
            return work.replace(mu=mu, index=self.index(known, cond))
        return work.replace(mu=mu, index=float_index(raw))

    def finish(
        self, work: IntraBaseWork, cond: Cond
    ) -> tuple[IntraBaseState, jax.Array]:
        """Synthesises the picture."""
        scale = self.scale_synthesis(cond.qp, cond.level)
        x_hat = self.synthesis(work.y_hat, scale) + _MID_GREY
        x_hat = jnp.clip(x_hat, 0.0, 1.0)
        return IntraBaseState(x_hat=x_hat), x_hat
