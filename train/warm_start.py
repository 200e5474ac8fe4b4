"""The weights of a bundle, made to fit a run's presets."""

import jax
import numpy as np

from jaxnvc.entropy.prior import LEAST_SIGMA, index_of
from jaxnvc.layers.transform import is_chroma
from jaxnvc.models.bundle import load_bundle
from train.config import TrainConfig
from train.state import build_models


def load_start(path: str, config: TrainConfig) -> dict:
    """Reads the weights that a run starts from.

    Args:
      path: a bundle.
      config: the run; where its codecs weigh chroma otherwise than the bundle's, the
        quantiser steps are made for the run's.

    Returns:
      Parameters {"intra", "inter"}.

    Raises:
      ModelError: the bundle cannot be read.
    """
    bundle, models = load_bundle(path), build_models(config)
    return {
        unit: reweighed(
            bundle.params[unit],
            getattr(models, unit).plane_weights[1]
            / getattr(bundle, unit).plane_weights[1],
        )
        for unit in ("intra", "inter")
    }


def reweighed(params: dict, ratio: float) -> dict:
    """Makes a transform codec's chroma steps finer by the root of `ratio`.

    Scale indices count in steps, so they rise by as much.

    Args:
      params: of one codec whose latent has the channels of `ops.dct`, unless `ratio`
        is 1.
      ratio: of the new weight of chroma to the old.
    """
    if ratio == 1:
        return params
    finer = ratio**0.5
    params = jax.tree.map(np.array, params)
    params["step"]["anchors"][:, is_chroma()] -= np.log(finer)
    base = params["latent"]["scale"]["base"]["integer_bias"]
    base[:, is_chroma()] += float(index_of(LEAST_SIGMA * finer))
    return params
