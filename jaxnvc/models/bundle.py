"""Model bundles: the weights, what they are, and an exactness certificate.

A bundle is a zip of `meta.json` and one `.npy` per parameter. Weights of the
integer networks are stored as the whole numbers they stand for, other weights as
float16 (tables of steps, and imported weights, as float32), so that every machine
loads the same values. A model that codes every frame alone stores its weights once:
its inter codec says `"weights": "intra"`. The model id is the first 16 bytes of the
file's SHA-256.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import UnitCodec
from jaxnvc.entropy.integer import FRACTION_BITS, certify
from jaxnvc.errors import ModelError

SUFFIX = ".nvcm"
DEFAULT_MODEL = "eem-lite"
_FORMAT = 1
_ID_BYTES = 16
_INTEGER_PREFIX = "integer_"
PRECISIONS = ("float32", "bfloat16")
_PRECISE = ("anchors", "levels")


@dataclasses.dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded model.

    Attributes:
      name: released name or file stem.
      family: codec family of the inter codec.
      intra: module of intra units.
      inter: module of inter units.
      params: {"intra": .., "inter": ..}, float32.
      model_id: 16 bytes that identify the weights.
      portable: whether symbols decode alike on every device.
      info: everything else `meta.json` says (licence, training, certificate).
      precision: what the float networks compute in, one of `PRECISIONS`.
    """

    name: str
    family: str
    intra: UnitCodec
    inter: UnitCodec
    params: dict
    model_id: bytes
    portable: bool
    info: dict[str, Any]
    precision: str = "float32"

    @property
    def skip_thresholds(self) -> tuple[int, ...]:
        """Returns the scale index below which symbols are skipped, per level."""
        return tuple(self.info["skip_thresholds"])

    def in_precision(self, precision: str) -> "Bundle":
        """Returns the model with float networks that compute in another precision.

        Parameters stay float32, and what chooses the coder's tables stays as exact as
        it was. A family whose modules have no `dtype` is returned as it is: there the
        precision of products is JAX's `jax_default_matmul_precision`.

        Raises:
          ModelError: no model computes so.
        """
        if precision not in PRECISIONS:
            raise ModelError(
                f"precision {precision!r} is not known to this version, which has "
                f"{', '.join(PRECISIONS)}; update jaxnvc."
            )
        if precision == self.precision:
            return self
        dtype = getattr(jnp, precision)
        units = {
            unit: model.clone(dtype=dtype)
            for unit, model in (("intra", self.intra), ("inter", self.inter))
            if hasattr(model, "dtype")
        }
        return dataclasses.replace(self, precision=precision, **units)


def released() -> dict[str, pathlib.Path]:
    """Returns the bundles that ship with the package, by name."""
    folder = pathlib.Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def _resolve(name_or_path: str) -> pathlib.Path:
    known = released()
    if name_or_path in known:
        return known[name_or_path]
    path = pathlib.Path(name_or_path)
    if not path.is_file():
        raise ModelError(
            f"model {name_or_path!r} is neither a released name "
            f"({', '.join(known) or 'none installed'}) nor a file; see `jaxnvc models`."
        )
    return path


def identify(name_or_path: str) -> bytes:
    """Returns the id of a model by released name or path, without loading it.

    Raises:
      ModelError: it is neither.
    """
    return _model_id(_resolve(name_or_path).read_bytes())


def find(model_id: bytes, name: str) -> pathlib.Path:
    """Returns the released bundle with this id.

    Raises:
      ModelError: no installed bundle has it; names the model.
    """
    for path in released().values():
        if _model_id(path.read_bytes()) == model_id:
            return path
    raise ModelError(
        f"the stream needs model {name!r} with id {model_id.hex()}, which is not "
        "installed; give its file with --model."
    )


def _model_id(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_ID_BYTES]


def load_bundle(name_or_path: str = DEFAULT_MODEL) -> Bundle:
    """Loads a bundle by released name or path.

    Raises:
      ModelError: missing, damaged, of another version, or not exact.
    """
    path = _resolve(str(name_or_path))
    data = path.read_bytes()
    try:
        meta, flat = _read(data)
        modules = {
            unit: registry.from_config(meta[unit]["family"], meta[unit]["config"])
            for unit in ("intra", "inter")
        }
        params = {
            unit: _nested(flat, meta[unit].get("weights", unit)) for unit in modules
        }
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"model file {str(path)!r} is damaged or not a bundle ({error}); fetch or "
            "export it again."
        ) from error
    if meta["portable"]:
        certify(params)
    return Bundle(
        name=meta["name"],
        family=meta["inter"]["family"],
        intra=modules["intra"],
        inter=modules["inter"],
        params=jax.tree.map(jnp.asarray, params),
        model_id=_model_id(data),
        portable=meta["portable"],
        info=meta,
    )


def _read(data: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        meta = json.loads(archive.read("meta.json"))
        if meta.get("format") != _FORMAT:
            raise ModelError(
                f"the bundle has format {meta.get('format')}, this version reads "
                f"{_FORMAT}; update jaxnvc."
            )
        flat = {
            name.removesuffix(".npy"): np.load(
                io.BytesIO(archive.read(name)), allow_pickle=False
            )
            for name in archive.namelist()
            if name.endswith(".npy")
        }
    return meta, flat


def _nested(flat: dict[str, np.ndarray], unit: str) -> dict:
    tree: dict = {}
    for path, value in flat.items():
        parts = path.split("/")
        if parts[0] != unit:
            continue
        node = tree
        for part in parts[1:-1]:
            node = node.setdefault(part, {})
        node[parts[-1]] = _from_stored(parts[-1], value)
    if not tree:
        raise ValueError(f"it holds no {unit} weights")
    return tree


def _from_stored(name: str, value: np.ndarray) -> np.ndarray:
    value = value.astype(np.float32)
    return value / 2**FRACTION_BITS if name.startswith(_INTEGER_PREFIX) else value


def _to_stored(name: str, value: np.ndarray, dtype: type) -> np.ndarray:
    """Chooses the form in which a weight is stored; `dtype` is that of most."""
    if not np.isfinite(value).all():
        raise ModelError(f"weight {name} is not finite; train again.")
    if name.startswith(_INTEGER_PREFIX):
        whole = np.floor(value * 2**FRACTION_BITS + 0.5)
        if name == "integer_kernel":
            return np.clip(whole, -127, 127).astype(np.int8)
        return whole.astype(np.int32)
    return value if name in _PRECISE else value.astype(dtype)


def pack_bundle(
    params: dict, meta: dict[str, Any], *, dtype: type = np.float16
) -> tuple[bytes, bytes]:
    """Packs a bundle; equal weights give equal bytes.

    Args:
      params: {"intra": .., "inter": ..}; the latter may be missing where the inter
        codec's meta says `"weights": "intra"`.
      meta: name, portable, skip_thresholds, {"intra", "inter"}: {"family",
        "config"}, and anything a card should tell.
      dtype: float16, or float32 for weights that were not trained for less.

    Returns:
      The file's bytes and the model id.
    """
    meta = {"format": _FORMAT, **meta, "certificate": certify(params)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _put(archive, "meta.json", json.dumps(meta, indent=1).encode())
        for key, value in jax.tree_util.tree_flatten_with_path(params)[0]:
            name = jax.tree_util.keystr(key, simple=True, separator="/")
            stored = _to_stored(name.rsplit("/", 1)[-1], np.asarray(value), dtype)
            array = io.BytesIO()
            np.save(array, stored, allow_pickle=False)
            _put(archive, f"{name}.npy", array.getvalue())
    data = buffer.getvalue()
    return data, _model_id(data)


def save_bundle(path: str, params: dict, meta: dict[str, Any]) -> bytes:
    """Writes a bundle, see `pack_bundle`; returns its model id."""
    data, model_id = pack_bundle(params, meta)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_bytes(data)
    return model_id


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    # A fixed date, so that the model id depends on the weights alone.
    archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
