"""AVS-EEM, lite preset: motion, temporal context, residual, frame.

    x_t, x_{t-1} -> search -> motion encoder --> m ==(stages 0-3)==> m_hat
                                                                      |
    x_hat_{t-1} ----------------------------- compensate <------------+
    memory_{t-1} -------------------------------- align <-------------'
                                 |                  |
                             DCT: prediction --> context --> mu
                                 |                  |         |
    x_t -> DCT -> encoder (+) -> y ==(stage 4: z, stages 5-8: quarters)==> y_hat
                                                    |                       |
                         memory_t <-- decoder <-----+-----------------------+
                                        |
                  x_hat_t <- DCT^-1 <- (+) y_hat

Every learned branch starts at zero around block motion compensation and the
DCT, so that the untrained codec already codes the motion-compensated residual.
Scale indices come from transmitted whole numbers alone: the model is portable. (Where
its configuration says otherwise, from the context too.)
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs.avs_eem import motion as mv
from jaxnvc.codecs.avs_eem.config import AvsEemConfig
from jaxnvc.codecs.avs_eem.state import EemSource, EemState, EemWork
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.integer import Arithmetic
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.layers.blocks import BlockStack, QpCurve, gated, zero_dense
from jaxnvc.layers.latent import History, HyperPrior, LatentCoder, whole_hyper
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

_HYPER_STAGE = 4
_HYPER_RATIO = 4
# Quality levels by position in the group of four: key, middle, odd frames.
_LEVEL_WEIGHTS = (1.6, 1.0, 0.7)


class AvsEem(nn.Module):
    """The inter codec.

    Attributes:
      config: sizes.
      arithmetic: route of the integer networks.
    """

    config: AvsEemConfig
    arithmetic: Arithmetic = Arithmetic.FLOAT32

    stage_names = (
        *(f"motion {quarter}" for quarter in range(_HYPER_STAGE)),
        "hyper",
        *(f"residual {quarter}" for quarter in range(4)),
    )
    num_stages = len(stage_names)
    num_motion_stages = _HYPER_STAGE
    num_levels = len(_LEVEL_WEIGHTS)
    frame_weights = tuple(_LEVEL_WEIGHTS[level] for level in (2, 1, 2, 0))
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
        levels = self.num_levels
        self.transform = CellTransform()
        self.motion_features = mv.MotionFeatures(c.motion_width)
        self.motion_encoder = mv.MotionEncoder(c.motion_width)
        self.motion_step = QpCurve(
            mv.MOTION_CHANNELS, levels, mv.initial_motion_log_step()
        )
        self.motion_mean = zero_dense(mv.MOTION_CHANNELS, None)
        self.motion_latent = LatentCoder(
            mv.MOTION_CHANNELS,
            c.motion_width,
            c.scale_width,
            levels,
            mv.initial_motion_index(),
            self.arithmetic,
            portable=c.portable,
            tailed=c.tailed,
        )
        self.context = BlockStack(c.width, c.context_depth)
        self.mean = zero_dense(CELL_CHANNELS, None)
        self.step = QpCurve(
            CELL_CHANNELS,
            levels,
            initial_log_step(c.chroma_weight),
            tuple(-0.5 * float(np.log(w)) for w in _LEVEL_WEIGHTS),
        )
        self.encoder = BlockStack(c.width, c.encoder_depth)
        self.encoder_out = zero_dense(CELL_CHANNELS, None)
        self.hyper = HyperPrior(
            c.hyper_channels, c.mean_width, levels, silent=True, tailed=c.tailed
        )
        self.hyper_features = nn.Dense(c.width)
        self.hyper_mean = zero_dense(CELL_CHANNELS, None)
        self.latent = LatentCoder(
            CELL_CHANNELS,
            c.mean_width,
            c.scale_width,
            levels,
            initial_index(_residual_deviation(), c.chroma_weight),
            self.arithmetic,
            portable=c.portable,
            tailed=c.tailed,
        )
        self.decoder = BlockStack(c.width, c.decoder_depth)
        self.decoder_gain = QpCurve(c.width, levels)
        self.decoder_out = zero_dense(CELL_CHANNELS, None)
        self.remember = nn.Dense(c.memory_channels)

    def reset(self, x_hat: jax.Array, cond: Cond) -> EemState:
        """Returns the buffer after an intra unit: the picture, no history."""
        batch, rows, columns, _ = x_hat.shape
        fine = (batch, rows // 4, columns // 4)
        coarse = (batch, rows // 8, columns // 8, mv.MOTION_CHANNELS)
        return EemState(
            x_hat=x_hat,
            memory=jnp.zeros((*fine, self.config.memory_channels)),
            motion=jnp.zeros(coarse),
            motion_history=History.empty(coarse),
            history=History.empty((*fine, CELL_CHANNELS)),
        )

    def begin(self, state: EemState, cond: Cond) -> EemWork:
        """Predicts the motion latent from the decoded buffer."""
        fresh = self.reset(state.x_hat, cond)
        state = jax.tree.map(
            lambda new, old: jnp.where(cond.refresh, new, old), fresh, state
        )
        step = self.motion_step(cond.qp, cond.level)
        features = self.motion_features(state.memory, state.motion)
        mu = 0.5 * state.motion + self.motion_mean(features) * step
        known = [state.motion_history.code, state.motion_history.index]
        trunk = self.motion_latent.trunk(jnp.concatenate(known, -1), features, cond)
        fine = state.memory.shape[:3]
        latent = jnp.zeros((*fine, CELL_CHANNELS))
        return EemWork(
            state=state,
            motion_step=step,
            motion_mu=mu,
            motion_features=features,
            motion_trunk=trunk,
            motion=self.motion_latent.open(mu),
            step=self.step(cond.qp, cond.level),
            prediction=latent,
            context=jnp.zeros((*fine, self.config.width)),
            mu=latent,
            trunk=jnp.zeros((*fine, self.config.scale_width)),
            coded=self.latent.open(latent),
        )

    def analyse(self, x: jax.Array, x_previous: jax.Array, cond: Cond) -> EemSource:
        """Transforms the source frame and searches its motion."""
        luma = mv.luma_8bit(x)
        flow = mv.estimate(luma, mv.luma_8bit(x_previous), cond)
        coefficients = self.transform.forward(x)
        return EemSource(
            x=coefficients,
            luma=luma,
            motion=mv.motion_latent(flow),
            texture=mv.texture(luma),
            y=jnp.zeros_like(coefficients),
        )

    def prior(self, work: EemWork, cond: Cond, stage: int) -> tuple[Prior, EemWork]:
        """Returns the distribution of a motion quarter, of z or of a quarter of y."""
        if stage < _HYPER_STAGE:
            coded = self.motion_latent.predict(
                work.motion,
                work.motion_mu,
                work.motion_step,
                work.motion_features,
                stage,
            )
            prior = self.motion_latent.prior(coded, work.motion_trunk, cond, stage)
            return prior, work.replace(motion=coded)
        if stage == _HYPER_STAGE:
            batch, rows, columns, _ = work.context.shape
            ratio = _HYPER_RATIO
            shape = (batch, rows // ratio, columns // ratio, self.config.hyper_channels)
            return self.hyper.prior(shape, cond), work
        quarter = stage - _HYPER_STAGE - 1
        coded = self.latent.predict(
            work.coded, work.mu, work.step, work.context, quarter
        )
        prior = self.latent.prior(coded, work.trunk, cond, quarter)
        return prior, work.replace(coded=coded)

    def residual(
        self, work: EemWork, source: EemSource, cond: Cond, stage: int
    ) -> tuple[Residual, EemSource]:
        """Returns (motion - mu) / step, z, or (y - mu) / step."""
        if stage < _HYPER_STAGE:
            if stage == 0:
                motion = self._encode_motion(work, source, cond)
                source = source.replace(motion=motion)
            weight = source.texture * (self._bits_per_error(cond) * work.motion_step**2)
            residual = self.motion_latent.residual(
                work.motion, source.motion, work.motion_step, weight, stage
            )
            return residual, source
        if stage == _HYPER_STAGE:
            source = source.replace(y=self._encode(work, source))
            z = self.hyper.analyse((source.y - work.mu) / work.step)
            return Residual(z), source
        quarter = stage - _HYPER_STAGE - 1
        initial = self.step.initial_factor(cond.qp, cond.level)
        weight = self.config.rdo_weight * (work.step / initial) ** 2
        residual = self.latent.residual(
            work.coded, source.y, work.step, weight, quarter
        )
        return residual, source

    def absorb(
        self, work: EemWork, prior: Prior, symbols: jax.Array, cond: Cond, stage: int
    ) -> EemWork:
        """Adds a stage's symbols; the last motion stage builds the context."""
        if stage < _HYPER_STAGE:
            coded = self.motion_latent.absorb(
                work.motion, symbols, prior.index, work.motion_step, stage
            )
            work = work.replace(motion=coded)
            return self._mine_context(work) if stage == _HYPER_STAGE - 1 else work
        if stage == _HYPER_STAGE:
            return self._open_residual(work, symbols, cond)
        quarter = stage - _HYPER_STAGE - 1
        coded = self.latent.absorb(work.coded, symbols, prior.index, work.step, quarter)
        return work.replace(coded=coded)

    def finish(self, work: EemWork, cond: Cond) -> tuple[EemState, jax.Array]:
        """Generates the frame and the feature that is passed on."""
        y_hat = work.coded.y_hat
        inputs = (
            y_hat * input_gain(),
            (y_hat - work.prediction) / work.step,
            work.context,
        )
        x = self.decoder(*inputs) * self.decoder_gain(cond.qp, cond.level)
        y_hat = y_hat + self.decoder_out(x) * work.step
        x_hat = jnp.clip(self.transform.inverse(y_hat), 0.0, 1.0)
        state = EemState(
            x_hat=x_hat,
            memory=self.remember(x),
            motion=work.motion.y_hat,
            motion_history=History.of(work.motion),
            history=History.of(work.coded),
        )
        return state, x_hat

    def prediction(self, work: EemWork, cond: Cond) -> jax.Array:
        """Returns the picture that motion and its context give, without residual."""
        return jnp.clip(self.transform.inverse(work.mu), 0.0, 1.0)

    def _bits_per_error(self, cond: Cond) -> jax.Array:
        """Returns what a squared error of samples in [0, 1] is worth, in bits."""
        initial = self.step.initial_factor(cond.qp, cond.level)[..., :1]
        return self.config.rdo_weight / initial**2

    def _encode_motion(self, work: EemWork, source: EemSource, cond: Cond):
        motion = source.motion
        if self.config.overlapped:
            motion = mv.adjust(motion, source.luma, work.state.x_hat, cond)
        return self.motion_encoder(
            motion,
            source.x * input_gain(),
            work.motion_features,
            work.motion_step,
        )

    def _mine_context(self, work: EemWork) -> EemWork:
        """Compensates motion in the picture and in the propagated feature."""
        flow = mv.motion_field(work.motion.y_hat)
        overlapped = self.config.overlapped
        moved = mv.compensate(work.state.x_hat, flow, overlapped=overlapped)
        prediction = self.transform.forward(moved)
        memory = mv.align(work.state.memory, flow)
        context = self.context(prediction * input_gain(), memory)
        mu = prediction + self.mean(context) * work.step
        return work.replace(prediction=prediction, context=context, mu=mu)

    def _encode(self, work: EemWork, source: EemSource) -> jax.Array:
        gain = input_gain()
        difference = (source.x - work.prediction) / work.step
        inputs = (source.x * gain, difference, work.context)
        return source.x + self.encoder_out(self.encoder(*inputs)) * work.step

    def _open_residual(self, work: EemWork, symbols, cond: Cond) -> EemWork:
        """Turns z into the first estimate of y and the integer features."""
        z_hat = repeat(symbols, _HYPER_RATIO)
        context = work.context + self.hyper_features(z_hat)
        mu = work.mu + self.hyper_mean(gated(context)) * work.step
        motion = History.of(work.motion)
        known = [
            whole_hyper(z_hat),
            repeat(motion.code, 2),
            work.state.history.code,
            work.state.history.index,
        ]
        trunk = self.latent.trunk(jnp.concatenate(known, -1), context, cond)
        return work.replace(
            context=context, mu=mu, trunk=trunk, coded=self.latent.open(mu)
        )


def _residual_deviation() -> np.ndarray:
    """Returns typical deviations [96] of the compensated residual, 8-bit units."""
    deviation = 12.0 / (1 + 0.3 * frequency_radius())
    return deviation * np.where(is_chroma(), 0.3, 1.0)
