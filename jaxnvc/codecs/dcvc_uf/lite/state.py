"""The decoded buffer of the chunk codec and what a unit knows so far."""

import jax
from flax import struct

from jaxnvc.layers.latent import History


class UfState(struct.PyTreeNode):
    """What the next chunk may use. Grids: H, W luma; h8 = H/8; N frames.

    Attributes:
      x_hat: the last decoded picture [B, H/2, W/2, 6] in [0, 1].
      memory: the persistent feature [B, h8, w8, width].
      feature: the last decoder's output [B, h8, w8, width].
      history: whole numbers of the latent [B, h8, w8, 96 N].
    """

    x_hat: jax.Array
    memory: jax.Array
    feature: jax.Array
    history: History


class UfWork(struct.PyTreeNode):
    """A chunk under way; what comes of symbols is zero until they are there.

    Attributes:
      memory: the memory, up to date.
      history: whole numbers of the chunk before.
      step: quantiser steps [B, 1, 1, 96 N].
      prediction: the last picture as a latent [B, h8, w8, 96 N].
      context: temporal context, then with z [B, h8, w8, width].
      mu: first estimate of the latent.
      known: whole numbers of z [B, h8, w8, hyper_channels].
      symbols: of the latent.
      index: their scale indices.
      y_hat: the decoded latent, None until it is known.
    """

    memory: jax.Array
    history: History
    step: jax.Array
    prediction: jax.Array
    context: jax.Array
    mu: jax.Array
    known: jax.Array
    symbols: jax.Array
    index: jax.Array
    y_hat: jax.Array | None


class UfSource(struct.PyTreeNode):
    """The encoder's view of the chunk.

    Attributes:
      x: its transform [B, h8, w8, 96 N].
      y: the latent to code, zero until the context is known.
    """

    x: jax.Array
    y: jax.Array
