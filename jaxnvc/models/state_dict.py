"""Whether weights by name are those of a model."""

from collections.abc import Mapping

import numpy as np

from jaxnvc.errors import ModelError


def check_state_dict(
    state: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    source: str,
    model: str,
) -> dict[str, np.ndarray]:
    """Checks names, shapes, kinds of numbers and values, in this order.

    Args:
      state: weights by name; shapes may claim more than memory holds.
      shapes: what the model needs, by name.
      source: where they come from, for messages.
      model: what they should be, for messages.

    Returns:
      The weights as float32, in the order of `shapes`.

    Raises:
      ModelError: naming the first weight that differs.
    """
    remedy = f"give a checkpoint of {model}."
    missing = [name for name in shapes if name not in state]
    if missing:
        raise ModelError(
            f"{source} is not a checkpoint of {model}: it lacks {missing[0]!r} and "
            f"{len(missing) - 1} more of the model's {len(shapes)} tensors; {remedy}"
        )
    unknown = [name for name in state if name not in shapes]
    if unknown:
        raise ModelError(
            f"{source} is not a checkpoint of {model}: it holds {unknown[0][:80]!r} "
            f"and {len(unknown) - 1} more that the model does not have; {remedy}"
        )
    for name, shape in shapes.items():
        if state[name].shape != tuple(shape):
            raise ModelError(
                f"{source} is not a checkpoint of {model}: {name!r} has shape "
                f"{state[name].shape} instead of {tuple(shape)}; {remedy}"
            )
    return {name: _as_float32(state[name], name, source) for name in shapes}


def _as_float32(value: np.ndarray, name: str, source: str) -> np.ndarray:
    if not np.issubdtype(value.dtype, np.floating):
        raise ModelError(
            f"{source} holds {name!r} as {value.dtype}, but weights are floating-point "
            "numbers; save the model's state_dict() again."
        )
    # A float64 beyond float32 becomes infinite here and is told below.
    with np.errstate(over="ignore"):
        value = value.astype(np.float32, copy=False)
    if not np.isfinite(value).all():
        raise ModelError(
            f"{source} holds {name!r} with values that are not finite (NaN or "
            "infinity); obtain it again."
        )
    return value
