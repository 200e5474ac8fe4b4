"""Configurations of the published DCVC-UF models."""

import dataclasses

from jaxnvc.codecs.sizes import check_sizes
from jaxnvc.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DcvcUfConfig:
    """Sizes and tools of a video model; the defaults are those of HT-S.

    A depth counts blocks, the adapting one included.

    Attributes:
      frames: frames of a unit, one latent for all of them.
      width: channels of the features at 1/8.
      latent_channels: channels of y at 1/16.
      hyper_width: channels inside the hyper networks.
      hyper_channels: channels of z at 1/64.
      head_width: channels of the heads.
      first_depth: blocks that turn a picture into memory.
      memory_depth: blocks of the recurrence.
      context_depth: blocks that turn memory into context.
      encoder_depth: blocks of the encoder.
      decoder_depth: blocks of the decoder.
      spatial_depth: blocks of the network that predicts from decoded partitions.
      head_depth: blocks of a frame's own head.
      pair_heads: one more block before the heads, shared by frames 2j and 2j + 1.
      half_features: the feature networks' blocks have half the inner width.
      half_entropy: so have the blocks of the entropy networks and heads.
      shortcut: blocks after a change of resolution add their input once more.
      strong_up: the decoder enlarges by a biased 3x3 instead of a plain 1x1, and
        the hyper decoder's 1x1 have biases.
      mix_output: a 1x1 closes the decoder.
      scale_memory: quality scales the temporal prior's input instead of its output.
      partitions: parts of y decoded one after the other, 2 or 4.
      scales_once: the scales of all parts come from the hyper prior, so that one
        pass of the entropy coder reads them all; else each part has its own pass.
    """

    frames: int = 8
    width: int = 512
    latent_channels: int = 256
    hyper_width: int = 256
    hyper_channels: int = 128
    head_width: int = 256
    first_depth: int = 4
    memory_depth: int = 6
    context_depth: int = 5
    encoder_depth: int = 6
    decoder_depth: int = 7
    spatial_depth: int = 3
    head_depth: int = 3
    pair_heads: bool = True
    half_features: bool = True
    half_entropy: bool = False
    shortcut: bool = False
    strong_up: bool = False
    mix_output: bool = False
    scale_memory: bool = True
    partitions: int = 4
    scales_once: bool = True

    def __post_init__(self):
        check_sizes(self)
        if self.frames < 1 or (self.pair_heads and self.frames % 2):
            raise UsageError(
                f"DcvcUfConfig.frames is {self.frames}, but a unit has at least one "
                "frame and heads in pairs need an even number; choose another value."
            )
        check_partitions(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DcvcUfIntraConfig:
    """Sizes of the intra model; the defaults are the published ones.

    Attributes:
      width: channels of the features at 1/8.
      latent_channels: channels of y at 1/16.
      hyper_channels: channels of z at 1/64 and inside the hyper networks.
      encoder_depth: blocks of the encoder.
      decoder_depth: blocks of the decoder at 1/8.
      spatial_depth: blocks of the network that predicts from decoded partitions.
    """

    width: int = 384
    latent_channels: int = 256
    hyper_channels: int = 128
    encoder_depth: int = 7
    decoder_depth: int = 12
    spatial_depth: int = 3

    def __post_init__(self):
        check_sizes(self)
        check_partitions(self)

    @property
    def partitions(self) -> int:
        """Returns the parts of y."""
        return 4

    @property
    def scales_once(self) -> bool:
        """Returns whether the scales of all parts are known at once: they are not."""
        return False


def check_partitions(config: DcvcUfConfig | DcvcUfIntraConfig) -> None:
    """Checks that the latent can be cut as the configuration says.

    Raises:
      UsageError: naming the field, its value and the rule.
    """
    parts, name = config.partitions, type(config).__name__
    if parts not in (2, 4) or (parts == 2 and not config.scales_once):
        raise UsageError(
            f"{name}.partitions is {parts}, but a latent is cut in 4, or with "
            "scales_once in 2; choose one of them."
        )
    if config.latent_channels % parts:
        raise UsageError(
            f"{name}.latent_channels is {config.latent_channels}, but the partitions "
            f"need a multiple of {parts}; choose another value."
        )


LD = DcvcUfConfig(
    frames=1,
    width=256,
    latent_channels=128,
    hyper_width=128,
    memory_depth=4,
    encoder_depth=3,
    decoder_depth=3,
    spatial_depth=2,
    pair_heads=False,
    half_entropy=True,
    mix_output=True,
    scale_memory=False,
    partitions=2,
)
HTS = DcvcUfConfig()
HTL = DcvcUfConfig(
    first_depth=3,
    memory_depth=10,
    context_depth=2,
    encoder_depth=7,
    decoder_depth=11,
    head_depth=5,
    pair_heads=False,
    half_features=False,
    shortcut=True,
    strong_up=True,
    scales_once=False,
)

_TINY_SIZES = {
    "width": 16,
    "latent_channels": 8,
    "hyper_width": 8,
    "hyper_channels": 8,
    "head_width": 8,
    "first_depth": 1,
    "memory_depth": 1,
    "context_depth": 1,
    "encoder_depth": 1,
    "decoder_depth": 1,
    "spatial_depth": 1,
    "head_depth": 1,
}
# Every tool of the published models at toy size, chunks of two frames.
LD_TINY = dataclasses.replace(LD, **_TINY_SIZES)
HTS_TINY = dataclasses.replace(HTS, **_TINY_SIZES, frames=2)
HTL_TINY = dataclasses.replace(HTL, **_TINY_SIZES, frames=2)
INTRA_TINY = DcvcUfIntraConfig(
    width=16,
    latent_channels=8,
    hyper_channels=8,
    encoder_depth=1,
    decoder_depth=1,
    spatial_depth=1,
)
