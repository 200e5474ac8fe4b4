"""The decoded buffer of the full codec and what a unit knows so far.

Grids: h2 = H/2, h4 = H/4, h16 = H/16. C: width, L: latent_channels.
"""

import jax
from flax import struct

from jaxnvc.codecs.avs_eem.base.motion import Motion
from jaxnvc.layers.latent import History


class BaseState(struct.PyTreeNode):
    """What the next frame may use.

    Attributes:
      fresh: bool [B], the features below are empty: after an intra unit or refresh.
      x_hat: decoded picture [B, h2, w2, 6] in [0, 1].
      feature: propagated feature [B, h2, w2, C].
      motion_feature: of the motion decoder [B, h4, w4, C].
      motion: decoded motion latent [B, h16, w16, L].
      y_hat: decoded residual latent [B, h16, w16, L].
      motion_history: whole numbers of the motion latent.
      history: whole numbers of the residual latent.
    """

    fresh: jax.Array
    x_hat: jax.Array
    feature: jax.Array
    motion_feature: jax.Array
    motion: jax.Array
    y_hat: jax.Array
    motion_history: History
    history: History


class BaseWork(struct.PyTreeNode):
    """A unit under way; fields of later stages are None until they are known.

    Attributes:
      state: the decoded buffer, after a refresh if there is one.
      fine: reference features [B, h2, w2, C].
      coarse: reference features [B, h4, w4, C].
      motion_prior: the last motion latent, scaled [B, h16, w16, L].
      residual_prior: the last residual latent, scaled [B, h16, w16, L].
      motion_step: adaptive quantiser step of the motion latent [B, h16, w16, L].
      motion_mu: its mean, in steps.
      motion_index: its scale index, whole.
      motion_symbols: its symbols, once decoded.
      motion_latent: the decoded motion latent.
      motion: decoded motion.
      context: temporal context [B, h2, w2, C].
      context_coarse: temporal context [B, h4, w4, C].
      spatial_prior: from the coarse context [B, h16, w16, L].
      hyper: features of the residual's z [B, h16, w16, L].
      known: whole numbers the residual's scales may use, portable models only.
      mu: mean of the segment under way [B, h32, w32, L].
      segments: decoded segments so far, each [B, h32, w32, L].
      symbols: their symbols.
      index: their scale indices.
    """

    state: BaseState
    fine: jax.Array
    coarse: jax.Array
    motion_prior: jax.Array
    residual_prior: jax.Array
    motion_step: jax.Array | None = None
    motion_mu: jax.Array | None = None
    motion_index: jax.Array | None = None
    motion_symbols: jax.Array | None = None
    motion_latent: jax.Array | None = None
    motion: Motion | None = None
    context: jax.Array | None = None
    context_coarse: jax.Array | None = None
    spatial_prior: jax.Array | None = None
    hyper: jax.Array | None = None
    known: jax.Array | None = None
    mu: jax.Array | None = None
    segments: tuple[jax.Array, ...] = ()
    symbols: tuple[jax.Array, ...] = ()
    index: tuple[jax.Array, ...] = ()


class BaseSource(struct.PyTreeNode):
    """The encoder's view of the frame.

    Attributes:
      current: features of the frame [B, h2, w2, C].
      flow: estimated motion [B, h2, w2, 2].
      motion: motion latent to code [B, h16, w16, L], None until its stage.
      y: residual latent to code [B, h16, w16, L], None until its stage.
    """

    current: jax.Array
    flow: jax.Array
    motion: jax.Array | None = None
    y: jax.Array | None = None
