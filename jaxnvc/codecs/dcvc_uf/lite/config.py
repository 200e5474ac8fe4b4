"""Configuration of DCVC-UF's portable member."""

import dataclasses

from jaxnvc.codecs.sizes import check_sizes, mean_one
from jaxnvc.errors import UsageError

_MOST_FRAMES = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class UfLiteConfig:
    """Sizes of the chunk codec.

    Attributes:
      chunk_frames: frames of a chunk, 2 to 32.
      width: channels of the block stacks, of memory and of reference feature, even.
      adaptor_depth: blocks that bring the memory up to date.
      extractor_depth: blocks from the memory to the context.
      encoder_depth: blocks of the encoder.
      decoder_depth: blocks of the decoder.
      head_width: hidden channels of each frame's own head.
      mean_width: hidden channels of the mean networks.
      scale_width: hidden channels of the integer network.
      hyper_channels: channels of the hyper latent.
      rdo_weight: cost in bits of a squared error of one initial step, lam times
        the square of that step; see `jaxnvc.entropy.prior.Prior`.
      tailed: codes symbols under Gaussians with a heavy tail, see `entropy.tables`,
        else under plain ones.
    """

    chunk_frames: int = 4
    width: int = 160
    adaptor_depth: int = 2
    extractor_depth: int = 1
    encoder_depth: int = 2
    decoder_depth: int = 3
    head_width: int = 48
    mean_width: int = 96
    scale_width: int = 64
    hyper_channels: int = 32
    rdo_weight: float = 7.5
    tailed: bool = False

    def __post_init__(self):
        check_sizes(self)
        if not 2 <= self.chunk_frames <= _MOST_FRAMES:
            raise UsageError(
                f"UfLiteConfig.chunk_frames is {self.chunk_frames}, but a chunk has 2 "
                f"to {_MOST_FRAMES} frames; choose another value."
            )

    @property
    def frame_weights(self) -> tuple[float, ...]:
        """Returns the weight of each frame's distortion, their mean 1.

        0.16 and 0.4 by turns, and 1.5 for the last frame, on which the next chunk
        rests. Source: DCVC-UF, for 8 frames (section 5.4 of the sheet).
        """
        before = [(0.16, 0.4)[i % 2] for i in range(self.chunk_frames - 1)]
        return mean_one((*before, 1.5))
