"""The decoded buffer of the AVS-EEM family and what a unit knows so far."""

import jax
from flax import struct

from jaxnvc.layers.latent import Coded, History


class EemState(struct.PyTreeNode):
    """What the next frame may use. Grids: H, W luma; h8 = H/8, h16 = H/16.

    Attributes:
      x_hat: decoded picture [B, H/2, W/2, 6] in [0, 1].
      memory: propagated feature [B, h8, w8, memory_channels].
      motion: decoded motion latent [B, h16, w16, 8].
      motion_history: whole numbers of the motion latent.
      history: whole numbers of the residual latent [B, h8, w8, 96].
    """

    x_hat: jax.Array
    memory: jax.Array
    motion: jax.Array
    motion_history: History
    history: History


class EemWork(struct.PyTreeNode):
    """A unit under way; fields past the motion are zero until it is decoded.

    Attributes:
      state: the decoded buffer, after a refresh if there is one.
      motion_step: quantiser steps of the motion latent [B, 1, 1, 8].
      motion_mu: first estimate of the motion latent.
      motion_features: float features [B, h16, w16, motion_width].
      motion_trunk: whole-number features [B, h16, w16, scale_width].
      motion: the motion latent so far.
      step: quantiser steps of the residual latent [B, 1, 1, 96].
      prediction: transform of the motion-compensated picture [B, h8, w8, 96].
      context: temporal context [B, h8, w8, width].
      mu: first estimate of the residual latent.
      trunk: whole-number features [B, h8, w8, scale_width].
      coded: the residual latent so far.
    """

    state: EemState
    motion_step: jax.Array
    motion_mu: jax.Array
    motion_features: jax.Array
    motion_trunk: jax.Array
    motion: Coded
    step: jax.Array
    prediction: jax.Array
    context: jax.Array
    mu: jax.Array
    trunk: jax.Array
    coded: Coded


class EemSource(struct.PyTreeNode):
    """The encoder's view of the frame.

    Attributes:
      x: transform of the source frame [B, h8, w8, 96].
      luma: source samples [B, H, W] in 8-bit units.
      motion: motion latent to code [B, h16, w16, 8].
      texture: squared error of the prediction per squared sample of motion latent
        [B, h16, w16, 8].
      y: residual latent to code, zero until the motion is decoded.
    """

    x: jax.Array
    luma: jax.Array
    motion: jax.Array
    texture: jax.Array
    y: jax.Array
