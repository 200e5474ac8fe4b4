"""Published weights by their names, to the parameters of this package and back.

The names and shapes a checkpoint must have are derived from our own networks: every
parameter's path is rewritten to the published name. A stack of heads is one array
here and a tensor per head there.
"""

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from flax import traverse_util

from jaxnvc.codecs.dcvc_uf.config import DcvcUfConfig, DcvcUfIntraConfig
from jaxnvc.codecs.dcvc_uf.intra import DcvcUfIntra
from jaxnvc.codecs.dcvc_uf.model import DcvcUf
from jaxnvc.codecs.protocol import first_params

Config = DcvcUfConfig | DcvcUfIntraConfig
_Rules = list[tuple[str, str]]

# Inside blocks and resampling; "@" stands for the number of a stack's head.
_INNER_RULES: _Rules = [
    (r"\.adapt\.", ".adaptor."),
    (r"\.reduce\.", ".dc.0."),
    (r"\.mix\.", ".dc.2."),
    (r"\.expand\.", ".dc.3."),
    (r"\.widen\.", ".ffn.0."),
    (r"\.narrow\.", ".ffn.2."),
    (r"\.block\.", ".conv."),
    (r"\.enlarge\.up\.", ".up.conv.0."),
    (r"\.kernel$", ".weight"),
    (r"block(\d+)", r"\1"),
]


class _Slot(NamedTuple):
    """A parameter: where it is here, and what it is called and shaped there.

    Attributes:
      path: in our tree.
      shape: in our tree.
      names: one, or one per head of a stack.
    """

    path: tuple[str, ...]
    shape: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def stacked(self) -> bool:
        return self.path[0] == "recon_head"

    def published_shape(self) -> tuple[int, ...]:
        """Returns the shape of each tensor there."""
        return self.to_published(np.broadcast_to(np.float32(0), self.one)).shape

    @property
    def one(self) -> tuple[int, ...]:
        """Returns the shape here, of one head."""
        return self.shape[1:] if self.stacked else self.shape

    def to_published(self, value):
        """Turns [.., I, O] into [O, I, kh, kw], depthwise [kh, kw, C] to [C, 1, ..]."""
        if self.path[-1] != "kernel":
            return value
        if value.ndim == 2:
            return value.T[:, :, None, None]
        if value.ndim == 3:
            value = value[:, :, None]
        return value.transpose(3, 2, 0, 1)

    def from_published(self, value):
        """Inverts `to_published`."""
        if self.path[-1] != "kernel":
            return value
        # A depthwise kernel's middle 1 goes with a matrix product's two.
        return value.transpose(2, 3, 1, 0).reshape(self.one)


def state_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Returns the names and shapes of a published checkpoint of this model."""
    return {
        name: slot.published_shape() for slot in _slots(config) for name in slot.names
    }


def params_from_state_dict(state: Mapping[str, np.ndarray], config: Config) -> dict:
    """Turns published weights into parameters, float32.

    Args:
      state: every tensor of `state_shapes` by its name, and of that shape.
      config: of the model they belong to.
    """
    flat = {}
    for slot in _slots(config):
        parts = [slot.from_published(np.asarray(state[name])) for name in slot.names]
        value = np.stack(parts) if slot.stacked else parts[0]
        flat[slot.path] = value.astype(np.float32)
    return traverse_util.unflatten_dict(flat)


def state_dict_from_params(params: dict, config: Config) -> dict[str, np.ndarray]:
    """Inverts `params_from_state_dict`."""
    flat, state = traverse_util.flatten_dict(params), {}
    for slot in _slots(config):
        value = np.asarray(flat[slot.path])
        parts = value if slot.stacked else value[None]
        for name, part in zip(slot.names, parts, strict=True):
            state[name] = slot.to_published(part)
    return state


@functools.cache
def _slots(config: Config) -> tuple[_Slot, ...]:
    rules = _rules(config) + _INNER_RULES
    slots = []
    for path, leaf in traverse_util.flatten_dict(_abstract_params(config)).items():
        name = ".".join(path)
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        heads = leaf.shape[0] if path[0] == "recon_head" else 1
        names = tuple(name.replace("@", str(i)) for i in range(heads))
        slots.append(_Slot(path, leaf.shape, names))
    return tuple(slots)


def _rules(config: Config) -> _Rules:
    if isinstance(config, DcvcUfIntraConfig):
        return _intra_rules(config) + _entropy_rules(config)
    return _video_rules(config) + _entropy_rules(config)


def _entropy_rules(config: Config) -> _Rules:
    fusion = "y_prior_fusion"
    prior = "y_spatial_prior"
    adaptors = [
        (rf"^spatial_prior\.adaptor_{i}", f"{prior}_adaptor_{i + 1}") for i in range(3)
    ]
    return [
        (r"^(hyper_enc\w*)\.enter\.block0", r"\1.conv.0"),
        (r"^(hyper_enc\w*)\.down0", r"\1.conv.1"),
        (r"^(hyper_enc\w*)\.down1", r"\1.conv.2"),
        (r"^(hyper_dec\w*)\.up([01])", r"\1.conv.\2"),
        (r"^(hyper_dec\w*)\.leave\.block0", r"\1.conv.2"),
        (rf"^{fusion}\.blocks\.", f"{fusion}.conv."),
        (rf"^{fusion}\.leave", f"{fusion}.conv.3"),
        (r"^spatial_prior\.reduction", f"{prior}_reduction"),
        *adaptors,
        (r"^spatial_prior\.fusion\.blocks\.", f"{prior}.conv."),
        (r"^spatial_prior\.fusion\.leave", f"{prior}.conv.{config.spatial_depth}"),
    ]


def _intra_rules(config: DcvcUfIntraConfig) -> _Rules:
    depth = config.decoder_depth
    # The first of dec_1 enlarges; the rest follow from 1, the last name first.
    shifted = [
        (rf"^dec\.before\.block{i}\.", f"dec.dec_1.{i + 1}.") for i in range(depth)
    ]
    return [
        (r"^enc\.before\.block0", "enc.enc_1"),
        (r"^enc\.after\.", "enc.enc_2."),
        (r"^enc\.down", f"enc.enc_2.{config.encoder_depth - 1}"),
        (r"^dec\.up\.", "dec.dec_1.0."),
        *shifted,
        (r"^dec\.after\.block0", "dec.dec_2"),
    ]


def _video_rules(config: DcvcUfConfig) -> _Rules:
    last = config.encoder_depth - 1
    rules = [
        (r"^(feature_\w+)\.", r"\1.conv."),
        (r"^temporal_prior_encoder\.", "temporal_prior_encoder.conv."),
        (r"^decoder\.blocks\.", "decoder.conv1."),
        (r"^decoder\.leave", "decoder.conv2"),
    ]
    if config.frames == 1:
        return rules + [
            (rf"^encoder\.before\.block{last}\.", "encoder.conv2."),
            (r"^encoder\.before\.", "encoder.conv1."),
            (r"^recon_head\.frames\.blocks\.", "recon_head.conv."),
            (r"^recon_head\.frames\.leave", "recon_head.head"),
        ]
    heads = "recon_head.conv2.@" if config.pair_heads else "recon_head.conv.@"
    return rules + [
        (r"^encoder\.before\.", "encoder.conv1."),
        (r"^recon_head\.pairs\.block0", "recon_head.conv1.@.0"),
        (r"^recon_head\.frames\.blocks\.", f"{heads}."),
        (r"^recon_head\.frames\.leave", f"{heads}.{config.head_depth}"),
    ]


def _abstract_params(config: Config) -> dict:
    """Returns shapes and types of the parameters, without computing them."""
    intra = isinstance(config, DcvcUfIntraConfig)
    model = DcvcUfIntra(config) if intra else DcvcUf(config)
    return jax.eval_shape(functools.partial(first_params, model), jax.random.key(0))
