"""Configuration of the full intra codec."""

import dataclasses

from jaxnvc.codecs.sizes import check_sizes


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntraBaseConfig:
    """Sizes of the full intra codec.

    Attributes:
      width: channels everywhere, even; the sheet's release has 192.
      portable: takes scale indices from transmitted integers alone.
      scale_width: hidden channels of the integer network of a portable model.
    """

    width: int = 192
    portable: bool = False
    scale_width: int = 64

    def __post_init__(self):
        check_sizes(self)
