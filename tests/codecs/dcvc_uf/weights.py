"""Weights anybody can make again, drawn from the names of the published tensors."""

import gzip
import json
import pathlib
import zlib

import numpy as np

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures" / "dcvc_uf"
MODELS = ("intra", "ld", "hts", "htl")
_GAIN = {"intra": 0.6, "ld": 0.9, "hts": 0.9, "htl": 0.6}
_SEED = 1


def published_shapes(model: str) -> dict[str, tuple[int, ...]]:
    """Returns name and shape of every tensor of a published checkpoint."""
    with gzip.open(FIXTURES / "names.json.gz") as file:
        return {name: tuple(shape) for name, shape in json.load(file)[model].items()}


def state_dict(model: str) -> dict[str, np.ndarray]:
    """Returns the weights the fixtures were computed with."""
    return drawn(published_shapes(model), _GAIN[model])


def drawn(shapes: dict[str, tuple[int, ...]], gain: float) -> dict[str, np.ndarray]:
    """Draws every tensor from its name."""
    return {name: _draw(name, shape, gain) for name, shape in shapes.items()}


def _draw(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    key = [_SEED, zlib.crc32(name.encode())]
    n = np.random.Generator(np.random.Philox(key=key)).standard_normal(shape)
    return _scaled(name, n, gain).astype(np.float32)


def _scaled(name: str, n: np.ndarray, gain: float) -> np.ndarray:
    if name.endswith(".bias"):
        return 0.05 * n
    if name.startswith("q_"):
        return 1 + 0.3 * np.tanh(n)
    if name.startswith("bit_estimator_z"):
        return 0.3 * n
    n = gain * n / np.sqrt(np.prod(n.shape[1:]))
    if name.endswith(("dc.3.weight", "ffn.2.weight")):
        return 0.1 * n
    if name.startswith("hyper_enc") and name.endswith("down.weight"):
        return 3 * n
    return n
