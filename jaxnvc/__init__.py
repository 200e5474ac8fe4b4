"""jaxnvc: a neural video codec in pure JAX.

    codec = jaxnvc.load("eem-lite")
    stream = codec.encode(frames, qp=32)
    video = codec.decode(stream)

Names are imported on first use, so that `jaxnvc info` needs no JAX.
"""

import importlib

__version__ = "0.1.0"

_LAZY = {
    "load": ("jaxnvc.coding.codec", "load"),
    "open": ("jaxnvc.coding.codec", "Stream"),
    "Codec": ("jaxnvc.coding.codec", "Codec"),
    "encode_batch": ("jaxnvc.coding.batch", "encode_batch"),
    "decode_batch": ("jaxnvc.coding.batch", "decode_batch"),
    "Yuv420": ("jaxnvc.video", "Yuv420"),
}
_PACKAGES = ("metrics", "entropy", "video", "bitstream")

__all__ = ["__version__", *_LAZY, *_PACKAGES]


def __getattr__(name: str):
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(importlib.import_module(module), attribute)
    if name in _PACKAGES:
        return importlib.import_module(f"jaxnvc.{name}")
    raise AttributeError(f"module 'jaxnvc' has no attribute {name!r}")
