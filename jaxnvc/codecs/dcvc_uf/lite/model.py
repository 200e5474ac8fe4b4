"""DCVC-UF's portable member: chunks of frames, no motion, one pass of symbols.

    memory, feature, x_hat --> adaptor --> memory' --> extractor --> context --> mu
                                                                        |         |
    x_1 .. x_N --> DCT, over time too --> encoder (+) --> y ==(stage 0: z)        |
                                                          ==(stage 1: all of y)==> y_hat
                                                                                  |
                        feature' <-- decoder <-- context, y_hat ------------------+
                            |                                                     |
                            '--> a head per frame --(+)--> x_hat_1 .. x_hat_N  <--'
                                                          DCT^-1

Every learned branch starts at zero around the transform, which predicts each frame
to be the last decoded one: the untrained codec already codes the difference. Scale
indices come from transmitted whole numbers alone: the model is portable.

Source: DCVC-UF, sections 2.1 to 2.4 of the sheet. Ours: the transform, whole-number
scales, sizes for a processor; and instead of an adaptor of its own for the first
chunk, the last picture is always among the inputs, so that a reset is empty features.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs.dcvc_uf.lite.config import UfLiteConfig
from jaxnvc.codecs.dcvc_uf.lite.state import UfSource, UfState, UfWork
from jaxnvc.codecs.dcvc_uf.lite.transform import (
    ChunkTransform,
    per_band,
    walk_transform,
)
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.integer import Arithmetic, magnitude_code
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.layers.blocks import BlockStack, Depthwise, QpCurve, gated, zero_dense
from jaxnvc.layers.latent import History, HyperPrior, whole_hyper
from jaxnvc.layers.streamlined import StreamlinedCoder
from jaxnvc.layers.transform import (
    frequency_radius,
    initial_index,
    initial_log_step,
    input_gain,
    is_chroma,
)
from jaxnvc.ops.dct import CELL_CHANNELS
from jaxnvc.ops.spatial import repeat

_HYPER_RATIO = 4


class FrameHeads(nn.Module):
    """A network of its own for each frame of a chunk, all as one batched product.

    Attributes:
      frames: N.
      width: hidden channels of each.
    """

    frames: int
    width: int

    @nn.compact
    def __call__(self, feature: jax.Array) -> jax.Array:
        """Maps [B, h, w, C] to coefficients [B, N, h, w, 96], zero at first."""
        batch, rows, columns, channels = feature.shape
        x = gated(nn.Dense(self.frames * self.width, name="enter")(feature))
        x = (x + Depthwise(name="mix")(x)).reshape(-1, self.frames, self.width)
        shape = (self.frames, self.width, CELL_CHANNELS)
        kernel = self.param("leave_kernel", nn.initializers.zeros, shape)
        x = jnp.einsum("pnw,nwc->npc", x, kernel)
        x = x.reshape(self.frames, batch, rows, columns, CELL_CHANNELS)
        return jnp.moveaxis(x, 0, 1)


class UfLite(nn.Module):
    """The chunk codec.

    Attributes:
      config: sizes.
      arithmetic: route of the integer networks.
    """

    config: UfLiteConfig
    arithmetic: Arithmetic = Arithmetic.FLOAT32

    stage_names = ("hyper", "latent")
    num_stages = len(stage_names)
    num_levels = 1
    plane_weights = (6.0, 1.0, 1.0)
    portable = True
    size_multiple = 32

    @property
    def frames_per_unit(self) -> int:
        """Frames of a chunk."""
        return self.config.chunk_frames

    @property
    def frame_weights(self) -> tuple[float, ...]:
        """Weights of the distortion of a chunk's frames in training."""
        return self.config.frame_weights

    def setup(self):
        c = self.config
        channels = self._channels
        self.transform = ChunkTransform(c.frame_weights)
        self.adaptor = BlockStack(c.width, c.adaptor_depth)
        self.extractor = BlockStack(c.width, c.extractor_depth)
        self.mean = zero_dense(channels, None)
        log_step = np.repeat(initial_log_step()[:, None], c.chunk_frames, 1)
        self.step = QpCurve(channels, initial=per_band(log_step))
        self.encoder = BlockStack(c.width, c.encoder_depth)
        self.encoder_gain = QpCurve(c.width)
        self.encoder_out = zero_dense(channels, None)
        self.hyper = HyperPrior(c.hyper_channels, c.mean_width, 1, tailed=c.tailed)
        self.hyper_features = nn.Dense(c.width)
        self.hyper_mean = zero_dense(channels, None)
        self.latent = StreamlinedCoder(
            channels,
            c.mean_width,
            c.scale_width,
            _initial_index(c.frame_weights),
            self.arithmetic,
        )
        self.decoder = BlockStack(c.width, c.decoder_depth)
        self.decoder_gain = QpCurve(c.width)
        self.heads = FrameHeads(c.chunk_frames, c.head_width)
        self.head_step = QpCurve(CELL_CHANNELS, initial=initial_log_step())

    @property
    def _channels(self) -> int:
        return CELL_CHANNELS * self.config.chunk_frames

    def reset(self, x_hat: jax.Array, cond: Cond) -> UfState:
        """Returns the buffer after an intra frame: the picture, no memory."""
        batch, rows, columns, _ = x_hat.shape
        fine = (batch, rows // 4, columns // 4)
        return UfState(
            x_hat=x_hat,
            memory=jnp.zeros((*fine, self.config.width)),
            feature=jnp.zeros((*fine, self.config.width)),
            history=History.empty((*fine, self._channels)),
        )

    def begin(self, state: UfState, cond: Cond) -> UfWork:
        """Brings the memory up to date and extracts the context."""
        fresh = self.reset(state.x_hat, cond)
        state = jax.tree.map(
            lambda new, old: jnp.where(cond.refresh, new, old), fresh, state
        )
        picture = self.transform.picture(state.x_hat)
        gain = input_gain()
        memory = self.adaptor(state.memory, state.feature, picture * gain)
        context = self.extractor(memory)
        step = self.step(cond.qp, cond.level)
        prediction = self.transform.still(picture)
        empty = jnp.zeros_like(prediction)
        return UfWork(
            memory=memory,
            history=state.history,
            step=step,
            prediction=prediction,
            context=context,
            mu=prediction + self.mean(context) * step,
            known=jnp.zeros((*empty.shape[:3], self.config.hyper_channels)),
            symbols=empty,
            index=empty,
            y_hat=None,
        )

    def analyse(self, x: jax.Array, x_previous: jax.Array, cond: Cond) -> UfSource:
        """Transforms the chunk; the source frame before it is not used."""
        y = self.transform.forward(x)
        return UfSource(x=y, y=jnp.zeros_like(y))

    def prior(self, work: UfWork, cond: Cond, stage: int) -> tuple[Prior, UfWork]:
        """Returns the distribution of z (stage 0) or of all of y."""
        if stage == 0:
            batch, rows, columns, _ = work.context.shape
            ratio = _HYPER_RATIO
            shape = (batch, rows // ratio, columns // ratio, self.config.hyper_channels)
            return self.hyper.prior(shape, cond), work
        known = [work.known, work.history.code, work.history.index]
        prior = self.latent.prior(jnp.concatenate(known, -1), cond)
        return prior, work.replace(index=jax.lax.stop_gradient(prior.index))

    def residual(
        self, work: UfWork, source: UfSource, cond: Cond, stage: int
    ) -> tuple[Residual, UfSource]:
        """Returns z, or the symbols of y."""
        if stage == 0:
            source = source.replace(y=self._encode(work, source, cond))
            return Residual(
                self.hyper.analyse((source.y - work.mu) / work.step)
            ), source
        initial = self.step.initial_factor(cond.qp, cond.level)
        weight = self.config.rdo_weight * (work.step / initial) ** 2
        prior = Prior(index=work.index, skip=cond.skip, tailed=self.config.tailed)
        symbols, y_hat = self.latent.encode(
            source.y, prior, work.mu, work.step, work.context, weight
        )
        return Residual(symbols, work=work.replace(y_hat=y_hat)), source

    def absorb(
        self, work: UfWork, prior: Prior, symbols: jax.Array, cond: Cond, stage: int
    ) -> UfWork:
        """Turns z into the first estimate of y, or all symbols into y_hat."""
        if stage == 0:
            z_hat = repeat(symbols, _HYPER_RATIO)
            context = work.context + self.hyper_features(z_hat)
            mu = work.mu + self.hyper_mean(gated(context)) * work.step
            return work.replace(context=context, mu=mu, known=whole_hyper(z_hat))
        y_hat = work.y_hat
        if y_hat is None:
            y_hat = self.latent.decode(symbols, work.mu, work.step, work.context)
        return work.replace(symbols=symbols, y_hat=y_hat)

    def finish(self, work: UfWork, cond: Cond) -> tuple[UfState, jax.Array]:
        """Decodes the reference feature and, by a head for each, the frames."""
        difference = (work.y_hat - work.prediction) / work.step
        inputs = (work.y_hat * _latent_gain(self.config), difference, work.context)
        feature = self.decoder(*inputs) * self.decoder_gain(cond.qp, cond.level)
        corrections = self.heads(feature) * self.head_step(cond.qp, cond.level)[:, None]
        frames = self.transform.frames(work.y_hat) + corrections
        x_hat = jnp.clip(self.transform.inverse(frames), 0.0, 1.0)
        history = History(code=magnitude_code(work.symbols), index=work.index)
        state = UfState(
            x_hat=x_hat[:, -1], memory=work.memory, feature=feature, history=history
        )
        return state, x_hat

    def _encode(self, work: UfWork, source: UfSource, cond: Cond) -> jax.Array:
        difference = (source.x - work.prediction) / work.step
        inputs = (source.x * _latent_gain(self.config), difference, work.context)
        branch = self.encoder(*inputs) * self.encoder_gain(cond.qp, cond.level)
        return source.x + self.encoder_out(branch) * work.step


def _latent_gain(config: UfLiteConfig) -> np.ndarray:
    """Returns factors [1, 1, 1, 96 N] that bring coefficients to like variance."""
    gain = np.repeat(input_gain()[..., None, :], config.chunk_frames, -2)
    return per_band(gain)


def _initial_index(weights: tuple[float, ...]) -> np.ndarray:
    """Returns scale indices [9, 96 N] for frames that differ as neighbours do."""
    step = 12.0 / (1 + 0.3 * frequency_radius()) * np.where(is_chroma(), 0.3, 1.0)
    bands = walk_transform(weights)[2]
    return per_band(np.stack([initial_index(step * band) for band in bands], 1))
