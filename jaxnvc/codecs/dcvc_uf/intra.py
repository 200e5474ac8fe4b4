"""The intra model of DCVC-UF.

    x -> encoder, x q_enc -> y == (z, 4 parts) ==> y_hat -> decoder, x q_dec -> x_hat

Source: DCVC-UF, model DMCI; 42,179,328 parameters.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxnvc.codecs.dcvc_uf.config import DcvcUfIntraConfig
from jaxnvc.codecs.dcvc_uf.factorised import FactorisedModel
from jaxnvc.codecs.dcvc_uf.layers import (
    Encoder,
    Fusion,
    HyperDecoder,
    HyperEncoder,
    Stack,
)
from jaxnvc.codecs.dcvc_uf.partitions import SpatialPrior
from jaxnvc.codecs.dcvc_uf.pictures import CELL_CHANNELS, from_cells, to_cells
from jaxnvc.codecs.dcvc_uf.stages import Latent, LatentStages
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.cond import NUM_QP
from jaxnvc.layers.resample import Up2


class IntraState(struct.PyTreeNode):
    """The reference picture after an intra unit, [B, H/2, W/2, 6] in [0, 1]."""

    x_hat: jax.Array


class IntraWork(struct.PyTreeNode):
    """A picture under way.

    Attributes:
      blank: zeros [B, H/2, W/2, 6], for their shape.
      latent: what is known of y, None until z is.
    """

    blank: jax.Array
    latent: Latent | None = None


class IntraSource(struct.PyTreeNode):
    """The encoder's view of the picture.

    Attributes:
      cells: [B, H/8, W/8, 192].
      y: latent [B, H/16, W/16, C], None until stage z.
    """

    cells: jax.Array
    y: jax.Array | None = None


class DcvcUfIntra(LatentStages):
    """The intra codec.

    Attributes:
      config: sizes.
      dtype: of the networks; parameters are float32.
    """

    config: DcvcUfIntraConfig
    dtype: jnp.dtype = jnp.float32

    frame_weights = (1.0,)
    plane_weights = (6.0, 1.0, 1.0)
    frames_per_unit = 1

    def setup(self):
        c, dtype = self.config, self.dtype
        latent, hyper = c.latent_channels, c.hyper_channels
        self.enc = Encoder(c.width, c.encoder_depth, latent, 1, dtype=dtype)
        self.hyper_enc = HyperEncoder(hyper, hyper, dtype=dtype)
        self.hyper_dec = HyperDecoder(hyper, latent, dtype=dtype)
        self.y_prior_fusion = Fusion(2 * latent, 3, 2 * latent, dtype=dtype)
        self.spatial_prior = SpatialPrior(
            latent, c.partitions, c.spatial_depth, 2 * latent, False, dtype
        )
        self.dec = Synthesis(c.width, c.decoder_depth, dtype)
        self.bit_estimator_z = FactorisedModel(hyper)
        for name, channels in (
            ("q_scale_enc", c.width),
            ("q_scale_dec", c.width),
            ("q_scale_y_enc", latent),
            ("q_scale_y_dec", latent),
        ):
            table = self.param(name, nn.initializers.ones, (NUM_QP, channels))
            setattr(self, name, table)

    def reset(self, x_hat: jax.Array, cond: Cond) -> IntraState:
        """Returns the reference picture."""
        return IntraState(x_hat=x_hat)

    def begin(self, state: IntraState, cond: Cond) -> IntraWork:
        """Starts a picture; only the size of `state.x_hat` matters."""
        return IntraWork(blank=jnp.zeros_like(state.x_hat))

    def analyse(self, x: jax.Array, x_previous, cond: Cond) -> IntraSource:
        """Cuts the picture into cells; its predecessor is not used."""
        return IntraSource(cells=to_cells(x))

    def latent_size(self, work: IntraWork) -> tuple[int, int, int]:
        """Returns batch, height and width of y."""
        batch, rows, columns, _ = work.blank.shape
        return batch, rows // 8, columns // 8

    def encode(self, work: IntraWork, source: IntraSource, cond: Cond) -> jax.Array:
        """Returns y."""
        scale = self.q_scale_enc[cond.qp][:, None, None].astype(self.dtype)
        return self.enc(source.cells.astype(self.dtype), scale)

    def hyper_encode(self, y: jax.Array) -> jax.Array:
        """Returns z of y, whose sides are multiples of four."""
        return self.hyper_enc(y)

    def open_latent(self, work: IntraWork, z_hat: jax.Array, cond: Cond) -> IntraWork:
        """Reads scales and means out of z."""
        _, height, width = self.latent_size(work)
        params = self.y_prior_fusion(self.hyper_dec(z_hat.astype(self.dtype)))
        params = params[:, :height, :width]
        scales, mu = jnp.split(params, 2, -1)
        fine, coarse = (
            jnp.broadcast_to(table[cond.qp][:, None, None], mu.shape)
            for table in (self.q_scale_y_enc, self.q_scale_y_dec)
        )
        return work.replace(latent=self.start_latent(scales, mu, params, fine, coarse))

    def finish(self, work: IntraWork, cond: Cond) -> tuple[IntraState, jax.Array]:
        """Synthesises the picture."""
        x_hat = from_cells(self.cells(work, cond))
        return IntraState(x_hat=x_hat), x_hat

    def cells(self, work: IntraWork, cond: Cond) -> jax.Array:
        """Returns the decoded cells [B, H/8, W/8, 192], not clipped."""
        y_hat = work.latent.y_hat * work.latent.coarse
        scale = self.q_scale_dec[cond.qp][:, None, None].astype(self.dtype)
        return self.dec(y_hat.astype(self.dtype), scale).astype(jnp.float32)


class Synthesis(nn.Module):
    """The latent to cells, scaled by quality before the last block.

    Attributes:
      width: channels at 1/8.
      depth: blocks before the scaling.
      dtype: of the computation.
    """

    width: int
    depth: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, y_hat: jax.Array, scale: jax.Array) -> jax.Array:
        x = Up2(self.width, shortcut=True, dtype=self.dtype, name="up")(y_hat)
        x = Stack(self.width, self.depth, dtype=self.dtype, name="before")(x) * scale
        return Stack(CELL_CHANNELS, 1, dtype=self.dtype, name="after")(x)
