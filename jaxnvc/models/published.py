"""Published PyTorch weights become a bundle of ours."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnvc.codecs import registry
from jaxnvc.models.bundle import pack_bundle
from jaxnvc.models.state_dict import check_state_dict

# As the published models are evaluated: symbols of a scale below 0.15 are skipped,
# and the memory starts afresh every 128 frames.
_SKIP_THRESHOLDS = (4, 4, 4)
_REFRESH_PERIOD = 128


@dataclasses.dataclass(frozen=True)
class ImportedUnit:
    """One network of a bundle.

    Attributes:
      published: what the weights are, as `dcvc-uf-ld`.
      meta: family and configuration, as a bundle has them.
      params: parameters, float32.
    """

    published: str
    meta: dict[str, Any]
    params: dict


def import_weights(
    published: str, state: Mapping[str, np.ndarray], source: str
) -> ImportedUnit:
    """Maps weights to the parameters of the model they were published for.

    Args:
      published: a key of `registry.PUBLISHED`.
      state: weights by their published names.
      source: where they come from, for messages.

    Raises:
      ModelError: they are of another model; names the first that differs.
    """
    preset = registry.PUBLISHED[published]
    config = registry.PRESETS[preset]
    importer = registry.IMPORTERS[registry.family_of(preset)]
    checked = check_state_dict(state, importer.state_shapes(config), source, published)
    return ImportedUnit(
        published=published,
        meta={
            "family": registry.family_of(preset),
            "config": dataclasses.asdict(config),
        },
        params=importer.params_from_state_dict(checked, config),
    )


def pack_published(name: str, units: dict[str, ImportedUnit]) -> tuple[bytes, bytes]:
    """Packs imported weights, exactly as they are, as a bundle.

    Args:
      name: of the model.
      units: "intra", and "inter" unless every frame is to be coded alone.

    Returns:
      The file's bytes and the model id.
    """
    inter = units.get("inter")
    meta = {
        "name": name,
        "portable": False,
        "skip_thresholds": list(_SKIP_THRESHOLDS),
        "refresh_period": _REFRESH_PERIOD if inter else 0,
        "intra_boost": 0,
        "imported": {unit: part.published for unit, part in units.items()},
        "intra": units["intra"].meta,
        "inter": inter.meta if inter else units["intra"].meta | {"weights": "intra"},
    }
    params = {unit: part.params for unit, part in units.items()}
    return pack_bundle(params, meta, dtype=np.float32)
