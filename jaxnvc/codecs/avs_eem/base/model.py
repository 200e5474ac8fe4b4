"""AVS-EEM v9.2 in full: feature-domain conditional coding with confidences.

    x_t, x_{t-1} -> flow -> motion encoder --> m ==(z_m, m)==> m_hat
                                                                 |
    F_{t-1} -> adaptor -> features f0, f1                motion decoder
                             |                     flows, confidences, F^v_t
                             '-----> align, mine <---------------'
                                          |
                                       C0, C1 --------------.------------.
                                          |                 |            |
    x_t -> features --> residual encoder (+) --> y ==(z_y, 4 segments)==> y_hat
                                                                         |
         x_hat_t <- head <- F_t <- frame generator <- residual, beta <- decoder

Seven feature-scaling sites of the paper and two more (passed-on feature, bottleneck
of the generator) carry the quality: a smooth curve over qp times a factor per level.

Source: AVS-EEM v9.2 sections II to IV; variable rate is the paper's future work.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs.avs_eem.base import entropy
from jaxnvc.codecs.avs_eem.base.config import EemBaseConfig
from jaxnvc.codecs.avs_eem.base.context import ContextMining
from jaxnvc.codecs.avs_eem.base.features import (
    CurrentFeatures,
    FeatureAdaptorP,
    ReferenceFeatures,
)
from jaxnvc.codecs.avs_eem.base.flow import MotionEstimation
from jaxnvc.codecs.avs_eem.base.generator import FrameGenerator
from jaxnvc.codecs.avs_eem.base.motion import MotionDecoder, MotionEncoder
from jaxnvc.codecs.avs_eem.base.residual import ResidualDecoder, ResidualEncoder
from jaxnvc.codecs.avs_eem.base.state import BaseSource, BaseState, BaseWork
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.integer import magnitude_code
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.layers.blocks import QpCurve
from jaxnvc.layers.convolution import Stem
from jaxnvc.layers.latent import History, whole_hyper
from jaxnvc.layers.transform import log_fineness
from jaxnvc.ops.spatial import repeat

_MOTION_HYPER, _MOTION, _HYPER, _FIRST_SEGMENT = range(4)
_MID_GREY = 0.5


class AvsEemBase(nn.Module):
    """The full inter codec.

    Attributes:
      config: sizes and tools.
    """

    config: EemBaseConfig

    stage_names = (
        "motion hyper",
        "motion",
        "hyper",
        *(f"residual {segment}" for segment in range(entropy.NUM_SEGMENTS)),
    )
    num_stages = len(stage_names)
    num_motion_stages = _HYPER
    num_levels = 3
    # The paper's {2.0, 0.2, 0.4, 0.2} over a group of four, the key frame last here.
    frame_weights = (0.2, 0.4, 0.2, 2.0)
    plane_weights = (6.0, 1.0, 1.0)
    size_multiple = 64
    frames_per_unit = 1

    @property
    def portable(self) -> bool:
        """Whether scale indices depend on transmitted integers alone."""
        return self.config.portable

    def setup(self):
        c, levels = self.config, self.num_levels
        latent = c.latent_channels

        def scale(channels, start=None):
            return QpCurve(channels, levels, start)

        self.motion_estimation = MotionEstimation(c.downsample, c.downsample_gain_db)
        self.adaptor_i = Stem(c.width)
        self.adaptor_p = FeatureAdaptorP(c.width)
        self.adaptor_x = Stem(c.width)
        self.reference_features = ReferenceFeatures(c.width)
        self.current_features = CurrentFeatures(c.width)
        self.motion_encoder = MotionEncoder(c)
        self.motion_decoder = MotionDecoder(c)
        self.motion_entropy = entropy.MotionEntropy(c, levels)
        self.context_mining = ContextMining(c)
        self.residual_encoder = ResidualEncoder(c)
        self.residual_decoder = ResidualDecoder(c)
        self.residual_entropy = entropy.ResidualEntropy(c, levels)
        self.frame_generator = FrameGenerator(c)
        self.scale_motion_encoder = scale(c.inner_width)
        self.scale_motion_decoder = scale(c.width)
        self.scale_motion_prior = scale(latent)
        self.scale_residual_prior = scale(latent)
        self.scale_spatial_prior = scale(latent)
        fineness = log_fineness()
        self.scale_residual_encoder = scale(
            c.inner_width, np.repeat(fineness, c.inner_width, 1)
        )
        self.scale_residual_decoder = scale(c.width, np.repeat(-fineness, c.width, 1))
        self.scale_feature = scale(c.width)
        self.scale_middle = scale(c.bottleneck_channels)

    def reset(self, x_hat: jax.Array, cond: Cond) -> BaseState:
        """Returns the buffer after an intra unit: the picture, no features."""
        c = self.config
        batch, rows, columns, _ = x_hat.shape
        latent = (batch, rows // 8, columns // 8, c.latent_channels)
        return BaseState(
            fresh=jnp.ones(batch, bool),
            x_hat=x_hat,
            feature=jnp.zeros((batch, rows, columns, c.width)),
            motion_feature=jnp.zeros((batch, rows // 2, columns // 2, c.width)),
            motion=jnp.zeros(latent),
            y_hat=jnp.zeros(latent),
            motion_history=History.empty(latent),
            history=History.empty(latent),
        )

    def begin(self, state: BaseState, cond: Cond) -> BaseWork:
        """Extracts reference features and scales the temporal priors."""
        fresh = self.reset(state.x_hat, cond)
        state = jax.tree.map(
            lambda new, old: jnp.where(cond.refresh, new, old), fresh, state
        )
        feature = jnp.where(
            state.fresh[:, None, None, None],
            self.adaptor_i(state.x_hat - _MID_GREY),
            self.adaptor_p(state.feature),
        )
        fine, coarse = self.reference_features(feature)
        qp, level = cond.qp, cond.level
        return BaseWork(
            state=state,
            fine=fine,
            coarse=coarse,
            motion_prior=state.motion * self.scale_motion_prior(qp, level),
            residual_prior=state.y_hat * self.scale_residual_prior(qp, level),
        )

    def analyse(self, x: jax.Array, x_previous: jax.Array, cond: Cond) -> BaseSource:
        """Extracts features of the source frame and estimates its motion."""
        return BaseSource(
            current=self.current_features(self.adaptor_x(x - _MID_GREY)),
            flow=self.motion_estimation(x, x_previous),
        )

    def prior(self, work: BaseWork, cond: Cond, stage: int) -> tuple[Prior, BaseWork]:
        """Returns the distribution of z_m, m, z_y or a segment of y."""
        if stage in (_MOTION_HYPER, _HYPER):
            model = self.motion_entropy if stage == _MOTION_HYPER else None
            model = model or self.residual_entropy
            batch, rows, columns, channels = work.motion_prior.shape
            ratio = entropy.HYPER_RATIO
            shape = (batch, rows // ratio, columns // ratio, channels)
            return model.hyper_prior(shape, cond), work
        if stage == _MOTION:
            return _prior(work.motion_index, cond), work
        mu, index = self.residual_entropy.parameters(
            (work.hyper, work.residual_prior, work.spatial_prior),
            work.segments,
            work.known,
            work.symbols,
            cond,
        )
        return _prior(index, cond), work.replace(mu=mu)

    def residual(
        self, work: BaseWork, source: BaseSource, cond: Cond, stage: int
    ) -> tuple[Residual, BaseSource]:
        """Returns z_m, m / step - mu, z_y or a segment's y - mu."""
        if stage == _MOTION_HYPER:
            motion = self.motion_encoder(
                source.flow,
                source.current,
                work.fine,
                work.state.motion_feature,
                self.scale_motion_encoder(cond.qp, cond.level),
            )
            priors = (work.motion_prior, work.residual_prior)
            z = self.motion_entropy.encode_hyper(motion, *priors)
            return Residual(z), source.replace(motion=motion)
        if stage == _MOTION:
            value = source.motion / work.motion_step - work.motion_mu
            return Residual(value), source
        if stage == _HYPER:
            y = self.residual_encoder(
                source.current,
                work.context,
                work.context_coarse,
                self.scale_residual_encoder(cond.qp, cond.level),
            )
            priors = (work.residual_prior, work.spatial_prior)
            z = self.residual_entropy.encode_hyper(y, *priors)
            return Residual(z), source.replace(y=y)
        y = entropy.segment(source.y, stage - _FIRST_SEGMENT)
        return Residual(y - work.mu), source

    def absorb(
        self, work: BaseWork, prior: Prior, symbols: jax.Array, cond: Cond, stage: int
    ) -> BaseWork:
        """Adds a stage's symbols; those of m open the contexts."""
        if stage == _MOTION_HYPER:
            return self._open_motion(work, symbols, cond)
        if stage == _MOTION:
            return self._mine_context(work, symbols, cond)
        if stage == _HYPER:
            hyper = self.residual_entropy.decode_hyper(symbols)
            return work.replace(hyper=hyper, known=self._known(work, symbols))
        return work.replace(
            segments=(*work.segments, symbols + work.mu),
            symbols=(*work.symbols, symbols),
            index=(*work.index, jax.lax.stop_gradient(prior.index)),
        )

    def finish(self, work: BaseWork, cond: Cond) -> tuple[BaseState, jax.Array]:
        """Generates the frame and what the next one may use."""
        qp, level = cond.qp, cond.level
        y_hat = entropy.joined(work.segments)
        residual, confidence = self.residual_decoder(
            y_hat, work.context_coarse, self.scale_residual_decoder(qp, level)
        )
        feature, x_hat = self._generate(work, residual, confidence, cond)
        symbols = entropy.joined(work.symbols)
        state = BaseState(
            fresh=jnp.zeros_like(work.state.fresh),
            x_hat=x_hat,
            feature=feature,
            motion_feature=work.motion.feature,
            motion=work.motion_latent,
            y_hat=y_hat,
            motion_history=_history(work.motion_symbols, work.motion_index),
            history=_history(symbols, entropy.joined(work.index)),
        )
        return state, x_hat

    def prediction(self, work: BaseWork, cond: Cond) -> jax.Array:
        """Returns what the generator makes of the context alone, wholly trusted.

        The paper has a generator for this that serves nothing else.
        """
        context = work.context
        trusted = jnp.zeros_like(context), jnp.ones_like(context)
        return self._generate(work, *trusted, cond)[1]

    def _generate(self, work: BaseWork, residual, confidence, cond: Cond):
        """Returns the feature for the next frame and the picture in [0, 1]."""
        feature, x_hat = self.frame_generator(
            residual,
            confidence,
            work.context,
            self.scale_middle(cond.qp, cond.level),
            self.scale_feature(cond.qp, cond.level),
        )
        return feature, jnp.clip(x_hat + _MID_GREY, 0.0, 1.0)

    def _open_motion(self, work: BaseWork, z_hat, cond: Cond) -> BaseWork:
        old, older = work.state.motion_history, work.state.history
        step, mu, index = self.motion_entropy.parameters(
            z_hat,
            work.motion_prior,
            work.residual_prior,
            jnp.concatenate([old.code, old.index, older.code, older.index], -1),
            cond,
        )
        return work.replace(motion_step=step, motion_mu=mu, motion_index=index)

    def _mine_context(self, work: BaseWork, symbols, cond: Cond) -> BaseWork:
        qp, level = cond.qp, cond.level
        latent = (symbols + work.motion_mu) * work.motion_step
        motion = self.motion_decoder(latent, self.scale_motion_decoder(qp, level))
        context, coarse = self.context_mining(work.fine, work.coarse, motion)
        spatial = self.residual_entropy.bring_context(coarse)
        return work.replace(
            motion_symbols=symbols,
            motion_latent=latent,
            motion=motion,
            context=context,
            context_coarse=coarse,
            spatial_prior=spatial * self.scale_spatial_prior(qp, level),
        )

    def _known(self, work: BaseWork, z_hat: jax.Array) -> jax.Array:
        """Gathers the whole numbers the residual's scales may use."""
        motion = _history(work.motion_symbols, work.motion_index)
        known = [
            whole_hyper(repeat(z_hat, entropy.HYPER_RATIO)),
            motion.code,
            motion.index,
            work.state.history.code,
            work.state.history.index,
        ]
        return jnp.concatenate(known, -1)


def _prior(index: jax.Array, cond: Cond) -> Prior:
    return Prior(index=index, skip=cond.skip, straight=True)


def _history(symbols: jax.Array, index: jax.Array) -> History:
    index = jax.lax.stop_gradient(index)
    return History(code=magnitude_code(symbols), index=index)
