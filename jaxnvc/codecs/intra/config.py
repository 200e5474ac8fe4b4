"""Configuration of the intra family."""

import dataclasses

from jaxnvc.codecs.sizes import check_sizes


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntraConfig:
    """Sizes of the intra codec.

    Attributes:
      width: channels of the block stacks, even.
      encoder_depth: blocks of the analysis.
      decoder_depth: blocks of the synthesis.
      mean_width: hidden channels of the mean networks.
      mean_depth: blocks of the mean networks.
      scale_width: hidden channels of the integer networks.
      hyper_channels: channels of the hyper latent.
      rdo_weight: cost in bits of a squared error of one initial step, lam times
        the square of that step; see `jaxnvc.entropy.prior.Prior`.
      chroma_weight: weight of a chroma plane's squared error where luma's is 6; the
        first quantiser steps are made for it, and training descends it.
      tailed: codes symbols under Gaussians with a heavy tail, see `entropy.tables`,
        else under plain ones, as the first released models do.
      portable: takes scale indices from transmitted integers alone, else from float
        features too.
    """

    width: int = 96
    encoder_depth: int = 2
    decoder_depth: int = 4
    mean_width: int = 96
    mean_depth: int = 0
    scale_width: int = 48
    hyper_channels: int = 16
    rdo_weight: float = 13.5
    chroma_weight: float = 1.0
    tailed: bool = False
    portable: bool = True

    def __post_init__(self):
        check_sizes(self)
