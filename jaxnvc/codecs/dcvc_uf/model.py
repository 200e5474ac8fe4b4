"""The video models of DCVC-UF: one latent for a frame (LD) or a chunk (HT-S, HT-L).

    memory, feature of the last unit -> adaptor m --.
    cells of a picture (start, refresh) -> adaptor i +-> memory -> context
                                                          |          |
                              temporal prior <-----------'          |
    x -> cells of all frames, context -> encoder -> y == (z, parts) ==> y_hat
                                                                     |  |
    x_hat of each frame <- its own head <- feature <- decoder <------'--'

There is no motion, no frame index and no level: all quality layers are learned from
the weights of the frames in training.

Source: DCVC-UF (CVPR 2026): LD 9,650,176, HT-S 81,157,632, HT-L 120,538,368 parameters.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxnvc.codecs.dcvc_uf.config import DcvcUfConfig
from jaxnvc.codecs.dcvc_uf.factorised import FactorisedModel
from jaxnvc.codecs.dcvc_uf.layers import (
    Decoder,
    Encoder,
    Fusion,
    Heads,
    HyperDecoder,
    HyperEncoder,
    Stack,
)
from jaxnvc.codecs.dcvc_uf.partitions import SpatialPrior
from jaxnvc.codecs.dcvc_uf.pictures import (
    CELL_CHANNELS,
    from_cells,
    join_frames,
    over_frames,
    to_cells,
)
from jaxnvc.codecs.dcvc_uf.stages import Latent, LatentStages
from jaxnvc.codecs.protocol import REFRESH_SCOPE, Cond
from jaxnvc.codecs.sizes import mean_one
from jaxnvc.entropy.cond import NUM_QP
from jaxnvc.layers.resample import Down2
from jaxnvc.ops.rounding import clip_ste

_LEAST_STEP = 0.5
_LD_WEIGHTS = (1.33, 0.52, 0.83, 0.52, 0.83, 0.52, 0.83, 0.52)
_CHUNK_WEIGHTS = (0.16, 0.4, 0.16, 0.4, 0.16, 0.4, 0.16, 1.5)


class UfState(struct.PyTreeNode):
    """What the next unit may use. Grid 1/8, width C.

    Attributes:
      fresh: bool [B], there is no memory yet: after an intra unit.
      cells: picture to start from where fresh [B, h8, w8, 192].
      memory: of the last unit [B, h8, w8, C].
      feature: of the last unit [B, h8, w8, C].
    """

    fresh: jax.Array
    cells: jax.Array
    memory: jax.Array
    feature: jax.Array


class UfWork(struct.PyTreeNode):
    """A unit under way.

    Attributes:
      cells: passed on from the state.
      memory: of this unit [B, h8, w8, C].
      context: of this unit [B, h8, w8, C].
      latent: what is known of y, None until z is.
    """

    cells: jax.Array
    memory: jax.Array
    context: jax.Array
    latent: Latent | None = None


class UfSource(struct.PyTreeNode):
    """The encoder's view of the unit.

    Attributes:
      cells: of all frames side by side [B, h8, w8, N * 192].
      y: latent [B, h16, w16, L], None until stage z.
    """

    cells: jax.Array
    y: jax.Array | None = None


class DcvcUf(LatentStages):
    """A video codec.

    Attributes:
      config: sizes and tools.
      dtype: of the networks; parameters are float32.
    """

    config: DcvcUfConfig
    dtype: jnp.dtype = jnp.float32

    plane_weights = (6.0, 1.0, 1.0)

    @property
    def frames_per_unit(self) -> int:
        """Returns the frames of a unit."""
        return self.config.frames

    @property
    def frame_weights(self) -> tuple[float, ...]:
        """Returns the distortion weights of successive frames, of mean 1."""
        return mean_one(_CHUNK_WEIGHTS if self.config.frames > 1 else _LD_WEIGHTS)

    def setup(self):
        c, dtype = self.config, self.dtype
        latent = c.latent_channels
        stack = (c.half_features, dtype)
        hyper = (c.half_entropy, c.shortcut)
        self.feature_adaptor_i = Stack(c.width, c.first_depth, *stack)
        self.feature_adaptor_m = Stack(c.width, c.memory_depth, *stack)
        self.feature_extractor = Stack(c.width, c.context_depth, *stack)
        self.encoder = Encoder(
            c.width, c.encoder_depth, latent, c.encoder_depth, *stack
        )
        self.hyper_encoder = HyperEncoder(
            c.hyper_width, c.hyper_channels, *hyper, dtype
        )
        self.hyper_decoder = HyperDecoder(
            c.hyper_width, latent, *hyper, c.strong_up, dtype
        )
        self.temporal_prior_encoder = Down2(2 * latent, *hyper, dtype)
        self.y_prior_fusion = Fusion(3 * latent, 3, 3 * latent, c.half_entropy, dtype)
        self.spatial_prior = SpatialPrior(
            latent,
            c.partitions,
            c.spatial_depth,
            latent if c.scales_once else 2 * latent,
            c.half_entropy,
            dtype,
        )
        self.decoder = Decoder(
            c.width, c.decoder_depth, c.half_features, c.strong_up, c.mix_output, dtype
        )
        self.recon_head = Heads(
            c.frames,
            c.head_width,
            c.head_depth,
            CELL_CHANNELS,
            c.half_entropy,
            c.pair_heads,
            dtype,
        )
        self.bit_estimator_z = FactorisedModel(c.hyper_channels)
        ones = nn.initializers.ones
        self.q_encoder = self.param("q_encoder", ones, (NUM_QP, c.width))
        self.q_decoder = self.param("q_decoder", ones, (NUM_QP, c.width))
        scaled = c.width if c.scale_memory else 2 * latent
        self.q_feature = self.param("q_feature", ones, (NUM_QP, scaled))

    def reset(self, x_hat: jax.Array, cond: Cond) -> UfState:
        """Returns the buffer after an intra unit: the picture, no memory."""
        return self.start(to_cells(x_hat))

    def start(self, cells: jax.Array) -> UfState:
        """Returns the buffer that starts from cells [B, h8, w8, 192]."""
        blank = jnp.zeros((*cells.shape[:3], self.config.width), self.dtype)
        fresh = jnp.ones(cells.shape[0], bool)
        cells = cells.astype(self.dtype)
        return UfState(fresh=fresh, cells=cells, memory=blank, feature=blank)

    def begin(self, state: UfState, cond: Cond) -> UfWork:
        """Updates the memory and derives the context."""
        with jax.named_scope(REFRESH_SCOPE):
            cells = self._when(
                cond.refresh,
                lambda m: m.recon_head(state.feature)[:, -1],
                jnp.zeros_like(state.cells),
            )
        old = state.fresh | ~cond.refresh
        cells = jnp.where(_per_clip(old), state.cells, cells)
        fresh = state.fresh | cond.refresh
        blank = jnp.zeros_like(state.memory)
        first = self._when(fresh.any(), lambda m: m.feature_adaptor_i(cells), blank)
        later = self._when(
            ~fresh.all(),
            lambda m: m.feature_adaptor_m(state.memory, state.feature),
            blank,
        )
        memory = jnp.where(_per_clip(fresh), first, later)
        context = self.feature_extractor(memory)
        return UfWork(cells=cells, memory=memory, context=context)

    def analyse(self, x: jax.Array, x_previous, cond: Cond) -> UfSource:
        """Cuts the frames into cells; their predecessor is not used."""
        x = x if self.frames_per_unit > 1 else x[:, None]
        return UfSource(cells=join_frames(over_frames(to_cells, x)))

    def latent_size(self, work: UfWork) -> tuple[int, int, int]:
        """Returns batch, height and width of y."""
        batch, height, width, _ = work.context.shape
        return batch, height // 2, width // 2

    def encode(self, work: UfWork, source: UfSource, cond: Cond) -> jax.Array:
        """Returns y."""
        cells = source.cells.astype(self.dtype)
        features = jnp.concatenate([cells, work.context], -1)
        return self.encoder(features, self._row(self.q_encoder, cond))

    def hyper_encode(self, y: jax.Array) -> jax.Array:
        """Returns z of y, whose sides are multiples of four."""
        return self.hyper_encoder(y)

    def open_latent(self, work: UfWork, z_hat: jax.Array, cond: Cond) -> UfWork:
        """Reads quantiser steps, scales and means out of z and memory."""
        _, height, width = self.latent_size(work)
        hyper = self.hyper_decoder(z_hat.astype(self.dtype))[:, :height, :width]
        temporal = self._temporal_prior(work.memory, cond)
        params = self.y_prior_fusion(hyper, temporal)
        step, scales, mu = jnp.split(params, 3, -1)
        step = clip_ste(step.astype(jnp.float32), _LEAST_STEP, jnp.inf)
        return work.replace(
            latent=self.start_latent(scales, mu, params, 1 / step, step)
        )

    def finish(self, work: UfWork, cond: Cond) -> tuple[UfState, jax.Array]:
        """Decodes the feature and, by its heads, the frames."""
        state, cells = self.decode(work, cond)
        x_hat = over_frames(from_cells, cells)
        return state, x_hat if self.frames_per_unit > 1 else x_hat[:, 0]

    def decode(self, work: UfWork, cond: Cond) -> tuple[UfState, jax.Array]:
        """Returns the next buffer and the cells [B, N, h8, w8, 192], not clipped.

        No later unit needs the cells: an encoder may do without.
        """
        y_hat = (work.latent.y_hat * work.latent.coarse).astype(self.dtype)
        feature = self.decoder(y_hat, work.context) * self._row(self.q_decoder, cond)
        state = UfState(
            fresh=jnp.zeros(feature.shape[0], bool),
            cells=work.cells,
            memory=work.memory,
            feature=feature,
        )
        batch, height, width, _ = feature.shape
        cells = self._when(
            cond.shown,
            lambda m: m.recon_head(feature).astype(jnp.float32),
            jnp.zeros((batch, self.frames_per_unit, height, width, CELL_CHANNELS)),
        )
        return state, cells

    def _temporal_prior(self, memory: jax.Array, cond: Cond) -> jax.Array:
        scale = self._row(self.q_feature, cond)
        if self.config.scale_memory:
            return self.temporal_prior_encoder(memory * scale)
        return self.temporal_prior_encoder(memory) * scale

    def _row(self, table: jax.Array, cond: Cond) -> jax.Array:
        return table[cond.qp][:, None, None].astype(self.dtype)

    def _when(self, predicate, compute, otherwise: jax.Array) -> jax.Array:
        """Computes only where needed: adaptors and heads are a tenth of a unit."""
        if self.is_initializing():
            return compute(self)
        return nn.cond(predicate, compute, lambda _: otherwise, self)


def _per_clip(values: jax.Array) -> jax.Array:
    return values[:, None, None, None]
