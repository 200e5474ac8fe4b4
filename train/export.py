"""From a checkpoint to a released bundle."""

import dataclasses

from jaxnvc.codecs import registry
from jaxnvc.models.bundle import save_bundle
from train.config import TrainConfig
from train.step import TrainState

SKIP_THRESHOLDS = (4, 4, 4)


def export(config: TrainConfig, state: TrainState, path: str) -> bytes:
    """Writes a run's averaged weights as a bundle; returns its model id."""
    return export_params(config, state.averaged, path, steps=int(state.step))


def export_params(
    config: TrainConfig, params: dict, path: str, *, steps: int = 0
) -> bytes:
    """Writes a bundle.

    Args:
      config: the run that names the model and its presets.
      params: {"intra": .., "inter": ..}.
      path: bundle to write.
      steps: how long the weights were trained.

    Returns:
      The model id.
    """
    units = {
        unit: {
            "family": getattr(config, unit).split("/")[0],
            "config": dataclasses.asdict(registry.PRESETS[getattr(config, unit)]),
        }
        for unit in ("intra", "inter")
    }
    meta = {
        "name": config.name,
        "portable": True,
        "skip_thresholds": list(SKIP_THRESHOLDS),
        "refresh_period": 0,
        "steps": steps,
        **units,
    }
    return save_bundle(path, params, meta)
