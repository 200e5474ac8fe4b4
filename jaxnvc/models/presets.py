"""Registered presets as models that run: with released weights, or untrained.

For measuring speed, which hangs on the weights only as far as the rate does.
"""

import functools

import jax

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import UnitCodec, first_params
from jaxnvc.models.bundle import DEFAULT_MODEL, Bundle, load_bundle, released

UNTRAINED = "untrained"
_NO_ID = bytes(16)
_SKIP_THRESHOLDS = (4, 4, 4)


def open_model(name: str) -> tuple[Bundle, dict[str, str]]:
    """Opens a released model, a bundle file or a preset.

    Args:
      name: a released name, a path, or a key of `registry.PRESETS`.

    Returns:
      The model, and where the weights of "intra" and "inter" come from: a bundle's
      name, or `UNTRAINED`.

    Raises:
      ModelError: it is none of them, or damaged.
    """
    if name in registry.PRESETS:
        return preset_model(name)
    bundle = load_bundle(name)
    return bundle, dict.fromkeys(("intra", "inter"), bundle.name)


def preset_model(preset: str) -> tuple[Bundle, dict[str, str]]:
    """Builds a preset, an inter one beside its `INTRA_OF`; see `open_model`."""
    presets = {"intra": registry.INTRA_OF.get(preset, preset), "inter": preset}
    units = {unit: registry.build(name) for unit, name in presets.items()}
    if presets["intra"] == preset:
        found = dict.fromkeys(units, weights_of(units["inter"]))
    else:
        found = {unit: weights_of(model) for unit, model in units.items()}
    sources = {unit: source for unit, (source, _) in found.items()}
    settings = {"skip_thresholds": list(_SKIP_THRESHOLDS)}
    if sources["inter"] != UNTRAINED:
        settings = load_bundle(sources["inter"]).info
    bundle = Bundle(
        name=preset,
        family=registry.family_of(preset),
        **units,
        params={unit: params for unit, (_, params) in found.items()},
        model_id=_NO_ID,
        portable=all(model.portable for model in units.values()),
        info=settings,
    )
    return bundle, sources


def weights_of(model: UnitCodec) -> tuple[str, dict]:
    """Returns the released weights of exactly this network, else initial ones.

    Returns:
      The released model's name or `UNTRAINED`, and the parameters.
    """
    # Of several released, the default one.
    for name in sorted(released(), key=lambda name: name != DEFAULT_MODEL):
        bundle = load_bundle(name)
        for unit in ("intra", "inter"):
            if getattr(bundle, unit) == model:
                return name, bundle.params[unit]
    # Run once, it is all compile time: a third of it without optimisation.
    init = jax.jit(
        functools.partial(first_params, model),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    return UNTRAINED, init(jax.random.key(0))
