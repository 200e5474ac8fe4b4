"""Configuration of the full AVS-EEM codec."""

import dataclasses

from jaxnvc.codecs.sizes import check_sizes
from jaxnvc.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EemBaseConfig:
    """Sizes and tools of the full inter codec; the defaults are the paper's.

    Attributes:
      width: channels of features at 1/2 and 1/4 resolution.
      latent_channels: channels of motion, residual and hyper latents.
      bottleneck_channels: channels of the frame generator at 1/8.
      inner_width: channels of encoders and decoders at 1/8.
      entropy_width: hidden channels of the residual's segment networks.
      num_groups: feature groups of the alignment, a divisor of `width`.
      num_flows: vectors per group and position.
      portable: takes scale indices from transmitted integers alone.
      scale_width: hidden channels of the integer networks of a portable model.
      downsample: factor of the reduced motion estimation.
      downsample_gain_db: by how many dB reduction must bring two frames closer
        for motion to be estimated at the reduced size.
    """

    width: int = 64
    latent_channels: int = 128
    bottleneck_channels: int = 96
    inner_width: int = 128
    entropy_width: int = 256
    num_groups: int = 4
    num_flows: int = 4
    portable: bool = False
    scale_width: int = 64
    downsample: int = 2
    downsample_gain_db: float = 1.0

    def __post_init__(self):
        check_sizes(self)
        if self.num_groups < 1 or self.width % self.num_groups:
            raise UsageError(
                f"EemBaseConfig.num_groups is {self.num_groups}, but it must divide "
                f"the width, {self.width}; choose another value."
            )
        if self.num_flows < 1:
            raise UsageError(
                f"EemBaseConfig.num_flows is {self.num_flows}, but every group is "
                "moved by at least one vector; choose 1 or more."
            )
        if self.downsample not in (2, 4):
            raise UsageError(
                f"EemBaseConfig.downsample is {self.downsample}, but motion is "
                "estimated at half or a quarter of the size; choose 2 or 4."
            )

    @property
    def flow_channels(self) -> int:
        """Returns the channels of a decoded motion field, x and y of each vector."""
        return 2 * self.num_groups * self.num_flows
