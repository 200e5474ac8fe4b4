"""The smallest family there can be, for what is written once for all families."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxnvc.codecs import registry
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.ops.rounding import clip_ste, round_ste


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """Whether every frame is coded by itself, and how many frames a unit has."""

    alone: bool = False
    frames: int = 1


class ToyState(struct.PyTreeNode):
    """The last picture and four channels that only this family's units write."""

    x_hat: jax.Array
    memory: jax.Array


class ToyWork(struct.PyTreeNode):
    """A unit under way."""

    state: ToyState
    step: jax.Array
    y_hat: jax.Array


class Toy(nn.Module):
    """Predicts samples from picture and memory, and codes the difference at once."""

    config: ToyConfig = ToyConfig()

    stage_names = ("difference",)
    num_stages = 1
    stage_names = ("difference",)
    num_levels = 3
    plane_weights = (6.0, 1.0, 1.0)
    portable = True
    size_multiple = 32

    @property
    def frames_per_unit(self) -> int:
        return self.config.frames

    @property
    def frame_weights(self) -> tuple[float, ...]:
        many = self.config.frames > 1
        return (1.0,) * self.config.frames if many else (0.7, 1.0, 0.7, 1.6)

    def setup(self):
        self.predict, self.remember = nn.Dense(6), nn.Dense(4)
        self.log_step = self.param("log_step", nn.initializers.constant(-4.0), (3, 6))
        self.scale = self.param("scale", nn.initializers.constant(20.0), (6,))

    def reset(self, x_hat, cond: Cond) -> ToyState:
        return ToyState(x_hat, jnp.zeros((*x_hat.shape[:3], 4)))

    def begin(self, state: ToyState, cond: Cond) -> ToyWork:
        if self.config.alone:
            state = state.replace(x_hat=jnp.full_like(state.x_hat, 0.5))
        memory = jnp.where(cond.refresh, 0.0, state.memory)
        known = jnp.concatenate([state.x_hat, memory], -1)
        mu = state.x_hat + 0.1 * self.predict(known)
        if self.config.frames > 1:
            mu = jnp.repeat(mu[:, None], self.config.frames, 1)
        step = jnp.exp(self.log_step[cond.level]).reshape((1,) * (mu.ndim - 1) + (6,))
        return ToyWork(state.replace(memory=memory), step, mu)

    def analyse(self, x, x_previous, cond: Cond):
        return x

    def prior(self, work: ToyWork, cond: Cond, stage: int):
        index = clip_ste(round_ste(self.scale), 0.0, 63.0)
        index = jnp.broadcast_to(index, work.y_hat.shape)
        return Prior(index=index, skip=cond.skip), work

    def residual(self, work: ToyWork, source, cond: Cond, stage: int):
        return Residual((source - work.y_hat) / work.step), source

    def absorb(self, work: ToyWork, prior: Prior, symbols, cond: Cond, stage: int):
        return work.replace(y_hat=work.y_hat + symbols * work.step)

    def finish(self, work: ToyWork, cond: Cond):
        x_hat = jnp.clip(work.y_hat, 0.0, 1.0)
        last = x_hat[:, -1] if self.config.frames > 1 else x_hat
        known = jnp.concatenate([last, work.state.memory], -1)
        return ToyState(last, jnp.tanh(self.remember(known))), x_hat


def register(frames: int = 1) -> tuple[str, str]:
    """Makes presets of this process of it.

    Args:
      frames: of an inter unit.

    Returns:
      The names of the intra and the inter preset.
    """
    intra, inter = "toy/intra", f"toy/inter-{frames}"
    registry.FAMILIES["toy"] = (Toy, ToyConfig)
    registry.PRESETS[intra] = ToyConfig(alone=True)
    registry.PRESETS[inter] = ToyConfig(frames=frames)
    return intra, inter
