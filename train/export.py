"""From a checkpoint to a released bundle."""

import argparse
import dataclasses
import sys

import jax
import numpy as np

from jaxnvc.codecs import registry
from jaxnvc.errors import JaxnvcError, UsageError
from jaxnvc.models.bundle import load_bundle, save_bundle
from train import checkpoint
from train.config import TrainConfig, load_config
from train.state import TrainState, abstract_state, build_models

SKIP_THRESHOLDS = (4, 4, 4)
INTRA_BOOST = 10


def export(config: TrainConfig, state: TrainState, path: str) -> bytes:
    """Writes a run's averaged weights as a bundle; returns its model id."""
    return export_params(config, state.averaged, path, steps=int(state.step))


def export_params(
    config: TrainConfig, params: dict, path: str, *, steps: int = 0
) -> bytes:
    """Writes a bundle.

    Args:
      config: the run that names the model and its presets.
      params: {"intra": .., "inter": ..}; a teacher among them stays behind.
      path: bundle to write.
      steps: how long the weights were trained.

    Returns:
      The model id.
    """
    models = build_models(config)
    units = {
        unit: {
            "family": registry.family_of(getattr(config, unit)),
            "config": dataclasses.asdict(registry.PRESETS[getattr(config, unit)]),
        }
        for unit in ("intra", "inter")
    }
    meta = {
        "name": config.name,
        "portable": models.intra.portable and models.inter.portable,
        "skip_thresholds": list(SKIP_THRESHOLDS),
        "refresh_period": 0,
        "intra_boost": INTRA_BOOST,
        "steps": steps,
        **units,
    }
    return save_bundle(path, {unit: params[unit] for unit in units}, meta)


def mean_of(params: dict, other: dict) -> dict:
    """Returns the mean of two models of one start, often better than either.

    Raises:
      UsageError: they are not of one kind.

    Source: Wortsman et al., "Model soups", 2022.
    """
    shapes = [
        [
            (path, np.shape(leaf))
            for path, leaf in jax.tree_util.tree_leaves_with_path(p)
        ]
        for p in (params, other)
    ]
    if shapes[0] != shapes[1]:
        raise UsageError(
            "--average needs a bundle of the run's own model; give the one it started "
            "from."
        )
    return jax.tree.map(lambda a, b: (np.asarray(a) + np.asarray(b)) / 2, params, other)


def main(argv: list[str] | None = None) -> int:
    """Exports a run's newest checkpoint; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.export", description=__doc__)
    parser.add_argument("--config", required=True, help="a file with get_config()")
    parser.add_argument("--run", required=True, help="run folder with checkpoints")
    parser.add_argument("--out", required=True, help="bundle to write")
    parser.add_argument(
        "--average",
        metavar="BUNDLE",
        help="write the mean of the run's weights and this bundle's; for one that the "
        "run started from",
    )
    args = parser.parse_args(argv)
    try:
        config = load_config(args.config)
        like = abstract_state(build_models(config), config)
        manager = checkpoint.manager(args.run, config.save_every)
        state = checkpoint.restore(manager, like)
        if state is like:
            raise UsageError(f"run {args.run!r} has no checkpoint; train first.")
        if args.average:
            other = load_bundle(args.average).params
            state = state.replace(averaged=mean_of(state.averaged, other))
        model_id = export(config, state, args.out)
    except JaxnvcError as error:
        print(f"export: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{args.out}: step {int(state.step)}, model id {model_id.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
