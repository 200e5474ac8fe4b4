"""The smallest family there can be, for what is written once for all families."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.prior import Prior, Residual
from jaxnvc.ops.rounding import clip_ste, round_ste


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

    num_stages = 1
    stage_names = ("difference",)
    num_levels = 3
    frame_weights = (0.7, 1.0, 0.7, 1.6)
    portable = True
    size_multiple = 32
    frames_per_unit = 1

    def setup(self):
        self.predict, self.remember = nn.Dense(6), nn.Dense(4)
        self.log_step = self.param("log_step", nn.initializers.constant(-4.0), (3, 6))
        self.scale = self.param("scale", nn.initializers.constant(20.0), (6,))

    def reset(self, x_hat, cond: Cond) -> ToyState:
        return ToyState(x_hat, jnp.zeros((*x_hat.shape[:3], 4)))

    def begin(self, state: ToyState, cond: Cond) -> ToyWork:
        memory = jnp.where(cond.refresh, 0.0, state.memory)
        known = jnp.concatenate([state.x_hat, memory], -1)
        mu = state.x_hat + 0.1 * self.predict(known)
        step = jnp.exp(self.log_step[cond.level])[None, None, None]
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
        known = jnp.concatenate([x_hat, work.state.memory], -1)
        return ToyState(x_hat, jnp.tanh(self.remember(known))), x_hat
