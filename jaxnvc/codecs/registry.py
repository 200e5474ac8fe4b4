"""The families and their presets: one line each."""

import dataclasses

from jaxnvc.codecs.avs_eem.base.config import EemBaseConfig
from jaxnvc.codecs.avs_eem.base.model import AvsEemBase
from jaxnvc.codecs.avs_eem.config import AvsEemConfig
from jaxnvc.codecs.avs_eem.model import AvsEem
from jaxnvc.codecs.dcvc_uf import config as uf
from jaxnvc.codecs.dcvc_uf import published as published_uf
from jaxnvc.codecs.dcvc_uf.intra import DcvcUfIntra
from jaxnvc.codecs.dcvc_uf.lite.config import UfLiteConfig
from jaxnvc.codecs.dcvc_uf.lite.model import UfLite
from jaxnvc.codecs.dcvc_uf.model import DcvcUf
from jaxnvc.codecs.intra.base.config import IntraBaseConfig
from jaxnvc.codecs.intra.base.model import IntraBase
from jaxnvc.codecs.intra.config import IntraConfig
from jaxnvc.codecs.intra.model import Intra
from jaxnvc.errors import ModelError

# What a bundle calls its codec: module and configuration.
FAMILIES = {
    "intra": (Intra, IntraConfig),
    "intra_base": (IntraBase, IntraBaseConfig),
    "avs_eem": (AvsEem, AvsEemConfig),
    "avs_eem_base": (AvsEemBase, EemBaseConfig),
    "dcvc_uf": (DcvcUf, uf.DcvcUfConfig),
    "dcvc_uf_intra": (DcvcUfIntra, uf.DcvcUfIntraConfig),
    "dcvc_uf_lite": (UfLite, UfLiteConfig),
}

_TINY_BASE = {
    "width": 16,
    "latent_channels": 16,
    "bottleneck_channels": 16,
    "inner_width": 16,
    "entropy_width": 16,
    "scale_width": 16,
    "num_flows": 2,
}

# Near what other encoders give chroma, by finer steps at low rates.
_CHROMA_WEIGHT = 2.5
_INTRA_LITE = IntraConfig(
    encoder_depth=3,
    decoder_depth=6,
    mean_depth=1,
    chroma_weight=_CHROMA_WEIGHT,
    tailed=True,
)
_EEM_LITE = AvsEemConfig(overlapped=True, chroma_weight=_CHROMA_WEIGHT, tailed=True)

PRESETS = {
    "intra/lite": _INTRA_LITE,
    "intra/lite-float": dataclasses.replace(_INTRA_LITE, portable=False),
    "intra/tiny": IntraConfig(
        width=16,
        encoder_depth=1,
        decoder_depth=1,
        mean_width=16,
        scale_width=16,
        hyper_channels=4,
        tailed=True,
    ),
    "intra/base": IntraBaseConfig(),
    "intra/base-portable": IntraBaseConfig(portable=True),
    "intra/base-tiny": IntraBaseConfig(width=16, scale_width=16),
    "avs_eem/lite": _EEM_LITE,
    "avs_eem/lite-float": dataclasses.replace(_EEM_LITE, portable=False),
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
        overlapped=True,
        tailed=True,
    ),
    "avs_eem/base": EemBaseConfig(),
    "avs_eem/base-portable": EemBaseConfig(portable=True),
    "avs_eem/base-tiny": EemBaseConfig(**_TINY_BASE),
    "avs_eem/base-tiny-portable": EemBaseConfig(**_TINY_BASE, portable=True),
    "dcvc_uf/intra": uf.DcvcUfIntraConfig(),
    "dcvc_uf/ld": uf.LD,
    "dcvc_uf/hts": uf.HTS,
    "dcvc_uf/htl": uf.HTL,
    "dcvc_uf/intra-tiny": uf.INTRA_TINY,
    "dcvc_uf/ld-tiny": uf.LD_TINY,
    "dcvc_uf/hts-tiny": uf.HTS_TINY,
    "dcvc_uf/htl-tiny": uf.HTL_TINY,
    "dcvc_uf/lite": UfLiteConfig(tailed=True),
    "dcvc_uf/tiny": UfLiteConfig(
        chunk_frames=3,
        tailed=True,
        width=16,
        adaptor_depth=1,
        extractor_depth=0,
        encoder_depth=0,
        decoder_depth=0,
        head_width=8,
        mean_width=16,
        scale_width=16,
        hyper_channels=4,
    ),
}

# The intra codec beside which an inter preset is measured; intra presets code alone.
INTRA_OF = {
    "avs_eem/lite": "intra/lite",
    "avs_eem/lite-float": "intra/lite-float",
    "avs_eem/tiny": "intra/tiny",
    "avs_eem/base": "intra/base",
    "avs_eem/base-portable": "intra/base-portable",
    "avs_eem/base-tiny": "intra/base-tiny",
    "avs_eem/base-tiny-portable": "intra/base-tiny",
    "dcvc_uf/ld": "dcvc_uf/intra",
    "dcvc_uf/hts": "dcvc_uf/intra",
    "dcvc_uf/htl": "dcvc_uf/intra",
    "dcvc_uf/ld-tiny": "dcvc_uf/intra-tiny",
    "dcvc_uf/hts-tiny": "dcvc_uf/intra-tiny",
    "dcvc_uf/htl-tiny": "dcvc_uf/intra-tiny",
    "dcvc_uf/lite": "intra/lite",
    "dcvc_uf/tiny": "intra/tiny",
}

# What `jaxnvc convert` calls published weights: the preset they are of.
PUBLISHED = {
    "dcvc-uf-intra": "dcvc_uf/intra",
    "dcvc-uf-ld": "dcvc_uf/ld",
    "dcvc-uf-hts": "dcvc_uf/hts",
    "dcvc-uf-htl": "dcvc_uf/htl",
}

# Families of which weights were published: names and shapes there, parameters here.
IMPORTERS = {"dcvc_uf": published_uf, "dcvc_uf_intra": published_uf}


def family_of(preset: str) -> str:
    """Returns what a bundle calls the codec of a preset.

    Raises:
      ModelError: the preset is unknown.
    """
    if preset not in PRESETS:
        raise ModelError(
            f"preset {preset!r} is not known; choose one of {', '.join(PRESETS)}."
        )
    kind = type(PRESETS[preset])
    return next(name for name, (_, config) in FAMILIES.items() if config is kind)


def build(preset: str, **overrides):
    """Builds the Flax module of a preset such as `avs_eem/lite`.

    Args:
      preset: a key of `PRESETS`.
      **overrides: configuration fields to replace.

    Raises:
      ModelError: the preset is unknown.
    """
    family = family_of(preset)
    config = dataclasses.replace(PRESETS[preset], **overrides)
    return from_config(family, dataclasses.asdict(config))


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
