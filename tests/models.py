"""Untrained models for tests."""

from tests.coding.test_portability import roughen
from train.config import Stage, TrainConfig
from train.export import export_params
from train.state import build_models, initial_params


def export_untrained(path: str, intra: str, inter: str, *, rough: bool = False) -> str:
    """Writes a bundle of two presets as they start; returns its path.

    Args:
      path: bundle to write.
      intra: preset of the intra codec.
      inter: preset of the inter codec.
      rough: draws values for all that starts at zero, so that every branch matters.
    """
    stage = Stage(
        name="none",
        steps=1,
        frames=2,
        batch=1,
        crop=32,
        learning_rate=1e-3,
        final_learning_rate=1e-4,
    )
    config = TrainConfig(
        name=inter.split("/")[1], intra=intra, inter=inter, stages=(stage,), clips=""
    )
    models = build_models(config)
    params = {
        unit: initial_params(getattr(models, unit), seed=1)
        for unit in ("intra", "inter")
    }
    if rough:
        params = {unit: roughen(values) for unit, values in params.items()}
    export_params(config, params, path)
    return path
