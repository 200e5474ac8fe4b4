"""Configuration of the AVS-EEM family."""

import dataclasses

from jaxnvc.codecs.sizes import check_sizes


@dataclasses.dataclass(frozen=True, kw_only=True)
class AvsEemConfig:
    """Sizes of the inter codec.

    Attributes:
      width: channels of the block stacks, even.
      memory_channels: channels of the propagated feature.
      context_depth: blocks of the temporal context.
      encoder_depth: blocks of the residual encoder.
      decoder_depth: blocks of the residual decoder and frame generator.
      motion_width: hidden channels of the motion networks.
      mean_width: hidden channels of the residual's mean networks.
      scale_width: hidden channels of the integer networks.
      hyper_channels: channels of the hyper latent.
      rdo_weight: cost in bits of a squared error of one initial step, lam times
        the square of that step; see `jaxnvc.entropy.prior.Prior`.
      chroma_weight: weight of a chroma plane's squared error where luma's is 6; the
        first quantiser steps are made for it, and training descends it.
      overlapped: predicts the picture by overlapping blocks, each moved by its own
        vector, from a motion that the encoder refines on the decoded picture; else by
        vectors blended between cells, as the first released model does.
      tailed: codes symbols under Gaussians with a heavy tail, see `entropy.tables`,
        else under plain ones, as the first released models do.
      portable: takes scale indices from transmitted integers alone, else from float
        features too.
    """

    width: int = 96
    memory_channels: int = 48
    context_depth: int = 2
    encoder_depth: int = 2
    decoder_depth: int = 3
    motion_width: int = 48
    mean_width: int = 64
    scale_width: int = 48
    hyper_channels: int = 16
    rdo_weight: float = 7.5
    chroma_weight: float = 1.0
    overlapped: bool = False
    tailed: bool = False
    portable: bool = True

    def __post_init__(self):
        check_sizes(self)
