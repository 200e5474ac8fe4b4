"""The families and their presets: one line each."""

import dataclasses

from jaxnvc.codecs.avs_eem.config import AvsEemConfig
from jaxnvc.codecs.avs_eem.model import AvsEem
from jaxnvc.codecs.intra.config import IntraConfig
from jaxnvc.codecs.intra.model import Intra
from jaxnvc.errors import ModelError

FAMILIES = {
    "intra": (Intra, IntraConfig),
    "avs_eem": (AvsEem, AvsEemConfig),
}

PRESETS = {
    "intra/lite": IntraConfig(),
    "intra/tiny": IntraConfig(
        width=16,
        encoder_depth=1,
        decoder_depth=1,
        mean_width=16,
        scale_width=16,
        hyper_channels=4,
    ),
    "avs_eem/lite": AvsEemConfig(),
    "avs_eem/tiny": AvsEemConfig(
        width=16,
        memory_channels=8,
        context_depth=1,
        encoder_depth=1,
        decoder_depth=1,
        motion_width=16,
        mean_width=16,
        scale_width=16,
        hyper_channels=4,
    ),
}


def build(preset: str, **overrides):
    """Builds the Flax module of a preset such as `avs_eem/lite`.

    Args:
      preset: a key of `PRESETS`.
      **overrides: configuration fields to replace.

    Raises:
      ModelError: the preset is unknown.
    """
    if preset not in PRESETS:
        raise ModelError(
            f"preset {preset!r} is not known; choose one of {', '.join(PRESETS)}."
        )
    config = dataclasses.replace(PRESETS[preset], **overrides)
    return from_config(preset.split("/")[0], dataclasses.asdict(config))


def from_config(family: str, fields: dict):
    """Builds a module from a family name and its configuration fields.

    Raises:
      ModelError: the family is unknown or a field is.
    """
    if family not in FAMILIES:
        raise ModelError(
            f"codec family {family!r} is not known to this version, which has "
            f"{', '.join(FAMILIES)}; update jaxnvc."
        )
    module, config = FAMILIES[family]
    try:
        return module(config(**fields))
    except TypeError as error:
        raise ModelError(
            f"configuration of family {family!r} does not fit this version "
            f"({error}); update jaxnvc."
        ) from error
