"""What the configurations of the families share."""

import dataclasses

from jaxnvc.errors import UsageError


def mean_one(weights: tuple[float, ...]) -> tuple[float, ...]:
    """Scales weights to a mean of 1."""
    return tuple(weight * len(weights) / sum(weights) for weight in weights)


def check_sizes(config) -> None:
    """Checks that widths are even and positive and depths not negative.

    Raises:
      UsageError: naming the field, its value and the rule.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name.endswith("_depth") and value < 0:
            rule = "a depth is 0 or more"
        elif field.name.endswith(("width", "channels")) and (value < 2 or value % 2):
            rule = "a width is an even number of at least 2"
        elif field.name.endswith("_weight") and value <= 0:
            rule = "a weight is above 0"
        else:
            continue
        raise UsageError(
            f"{type(config).__name__}.{field.name} is {value}, but {rule}; "
            "choose another value."
        )
