"""The intra codec: one frame, a learned transform around the DCT.

      x --> DCT --(+)--> y ---- quantise ---> y_hat --(+)--> inverse DCT --> x_hat
             |     ^     |         ^            |      ^
             '-> encoder |      mu, index       '-> decoder
                         '-> z -----'

Every branch starts at zero, so that the untrained codec is the plain transform
codec. Stages: z, then the four quarters of y.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxnvc.codecs.intra.config import IntraConfig
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.integer import Arithmetic
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.layers.blocks import BlockStack, QpCurve, gated, zero_dense
from jaxnvc.layers.latent import Coded, HyperPrior, LatentCoder, whole_hyper
from jaxnvc.layers.transform import (
    CellTransform,
    frequency_radius,
    initial_index,
    initial_log_step,
    input_gain,
    is_chroma,
)
from jaxnvc.ops.dct import CELL_CHANNELS
from jaxnvc.ops.spatial import repeat

_HYPER_RATIO = 4


class IntraWork(struct.PyTreeNode):
    """What is known of the frame so far.

    Attributes:
      step: quantiser steps [B, 1, 1, 96].
      coded: the latent so far.
      features: float features of z [B, h, w, width].
      trunk: whole-number features of z [B, h, w, scale_width].
    """

    step: jax.Array
    coded: Coded
    features: jax.Array
    trunk: jax.Array


class IntraSource(struct.PyTreeNode):
    """The encoder's view of the frame: its latent y [B, h, w, 96]."""

    y: jax.Array


class IntraState(struct.PyTreeNode):
    """The reference picture after an intra unit, [B, H/2, W/2, 6] in [0, 1]."""

    x_hat: jax.Array


class Intra(nn.Module):
    """An intra codec for YUV 4:2:0.

    Attributes:
      config: sizes.
      arithmetic: route of the integer networks.
    """

    config: IntraConfig
    arithmetic: Arithmetic = Arithmetic.FLOAT32

    stage_names = ("hyper", *(f"latent {quarter}" for quarter in range(4)))
    num_stages = len(stage_names)
    num_levels = 1
    frame_weights = (1.0,)
    size_multiple = 32
    frames_per_unit = 1

    @property
    def portable(self) -> bool:
        """Whether scale indices depend on transmitted integers alone."""
        return self.config.portable

    @property
    def plane_weights(self) -> tuple[float, float, float]:
        """Weights of the errors of Y, U and V in training."""
        return (6.0, self.config.chroma_weight, self.config.chroma_weight)

    def setup(self):
        c = self.config
        self.transform = CellTransform()
        self.step = QpCurve(CELL_CHANNELS, initial=initial_log_step(c.chroma_weight))
        self.encoder = BlockStack(c.width, c.encoder_depth)
        self.encoder_out = zero_dense(CELL_CHANNELS, None)
        self.hyper = HyperPrior(c.hyper_channels, c.mean_width, 1, tailed=c.tailed)
        self.hyper_features = nn.Dense(c.width)
        self.latent = LatentCoder(
            CELL_CHANNELS,
            c.mean_width,
            c.scale_width,
            1,
            initial_index(_natural_deviation(), c.chroma_weight),
            self.arithmetic,
            c.mean_depth,
            c.portable,
            c.tailed,
        )
        self.decoder = BlockStack(c.width, c.decoder_depth)
        self.decoder_gain = QpCurve(c.width)
        self.decoder_out = zero_dense(CELL_CHANNELS, None)

    def reset(self, x_hat: jax.Array, cond: Cond) -> IntraState:
        """Returns the reference picture."""
        return IntraState(x_hat=x_hat)

    def begin(self, state: IntraState, cond: Cond) -> IntraWork:
        """Starts a frame; only the size of `state.x_hat` matters."""
        batch, rows, columns, _ = state.x_hat.shape
        shape = (batch, rows // 4, columns // 4)
        step = self.step(cond.qp, cond.level)
        return IntraWork(
            step=step,
            coded=self.latent.open(jnp.zeros((*shape, CELL_CHANNELS))),
            features=jnp.zeros((*shape, self.config.width)),
            trunk=jnp.zeros((*shape, self.config.scale_width)),
        )

    def analyse(self, x: jax.Array, x_previous: jax.Array, cond: Cond) -> IntraSource:
        """Transforms the frame; its predecessor is not used."""
        y = self.transform.forward(x)
        branch = self.encoder_out(self.encoder(y * input_gain()))
        return IntraSource(y=y + branch * self.step(cond.qp, cond.level))

    def prior(self, work: IntraWork, cond: Cond, stage: int) -> tuple[Prior, IntraWork]:
        """Returns the distribution of z (stage 0) or a quarter of y."""
        if stage == 0:
            batch, rows, columns, _ = work.features.shape
            ratio = _HYPER_RATIO
            shape = (batch, rows // ratio, columns // ratio, self.config.hyper_channels)
            return self.hyper.prior(shape, cond), work
        mu = jnp.zeros_like(work.coded.y_hat)
        coded = self.latent.predict(work.coded, mu, work.step, work.features, stage - 1)
        prior = self.latent.prior(coded, work.trunk, cond, stage - 1)
        return prior, work.replace(coded=coded)

    def residual(
        self, work: IntraWork, source: IntraSource, cond: Cond, stage: int
    ) -> tuple[Residual, IntraSource]:
        """Returns z or the stage's (y - mu) / step."""
        if stage == 0:
            return Residual(self.hyper.analyse(source.y / work.step)), source
        initial = self.step.initial_factor(cond.qp, cond.level)
        weight = self.config.rdo_weight * (work.step / initial) ** 2
        residual = self.latent.residual(
            work.coded, source.y, work.step, weight, stage - 1
        )
        return residual, source

    def absorb(self, work: IntraWork, prior: Prior, symbols, cond: Cond, stage: int):
        """Adds a stage's symbols."""
        if stage == 0:
            z_hat = repeat(symbols, _HYPER_RATIO)
            features = gated(self.hyper_features(z_hat))
            trunk = self.latent.trunk(whole_hyper(z_hat), features, cond)
            return work.replace(features=features, trunk=trunk)
        coded = self.latent.absorb(
            work.coded, symbols, prior.index, work.step, stage - 1
        )
        return work.replace(coded=coded)

    def finish(self, work: IntraWork, cond: Cond) -> tuple[IntraState, jax.Array]:
        """Synthesises the picture."""
        y_hat = work.coded.y_hat
        inputs = (y_hat * input_gain(), work.coded.symbols, work.features)
        x = self.decoder(*inputs) * self.decoder_gain(cond.qp, cond.level)
        y_hat = y_hat + self.decoder_out(x) * work.step
        x_hat = jnp.clip(self.transform.inverse(y_hat), 0.0, 1.0)
        return IntraState(x_hat=x_hat), x_hat


def _natural_deviation() -> np.ndarray:
    """Returns typical coefficient deviations [96] in 8-bit units.

    A fall of 12 dB per octave from the lowest frequency, chroma a quarter of
    luma; DC as left over by prediction from neighbours. Only a starting point.
    """
    radius = frequency_radius()
    deviation = np.where(radius == 0, 120.0, 60.0 / np.maximum(radius, 1) ** 1.3)
    return deviation * np.where(is_chroma(), 0.25, 1.0)
