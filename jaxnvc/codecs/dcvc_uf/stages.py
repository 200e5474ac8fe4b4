"""The stages of every DCVC-UF model: z, then y in parts.

    y --> z ==> z_hat --> scales, means, steps
    streamlined:  y ==(all symbols at once)==> part 1 -> means 2 -> .. -> y_hat
    else:         part 1 ==> scales and means 2 -> part 2 ==> ..        -> y_hat

The coder's tables hold 64 scales from 0.11 to 28.16, of which the nearest in the log
domain is taken; the published coder has 128 from 0.11 to 16 and takes the one at or
below. Symbols are not clamped to 8 bits here. The skip threshold is an index: the
published 0.15 is the border between 3 and 4. Where nothing is skipped, a scale that is
not positive counts as 0.11, which the published coder would skip even then.

Source: DCVC-UF, entropy models; streamlined: LD and HT-S.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from jaxnvc.codecs.dcvc_uf.partitions import partition_mask
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.prior import LEAST_SIGMA, Prior, Residual, index_of
from jaxnvc.layers.quarters import put_quarter, take_quarter
from jaxnvc.layers.scales import scale_index
from jaxnvc.ops.rounding import clip_ste
from jaxnvc.ops.spatial import ceil_to

HYPER = 0
HYPER_RATIO = 4


class Latent(struct.PyTreeNode):
    """What is known of y; all but `reduced` float32 [B, H/16, W/16, C].

    Attributes:
      scales: standard deviations of the current part, in steps.
      mu: means of the current part, in steps.
      reduced: the hyper prior's parameters for the spatial prior.
      fine: factor that brings y to steps.
      coarse: factor that brings decoded steps to y_hat.
      y_hat: decoded parts in steps, zero elsewhere.
      all_mu: means of all parts, where the encoder has found them before `absorb`.
    """

    scales: jax.Array
    mu: jax.Array
    reduced: jax.Array
    fine: jax.Array
    coarse: jax.Array
    y_hat: jax.Array
    all_mu: jax.Array | None = None


class LatentStages(nn.Module):
    """The protocol's stages; a model adds how y is made and what is known of it.

    A model has `config`, the submodules `bit_estimator_z` and `spatial_prior`, and
    the methods `encode`, `hyper_encode`, `open_latent` and `latent_size`.
    """

    portable = False
    num_levels = 1
    size_multiple = 16

    @property
    def num_stages(self) -> int:
        """Returns the passes of the entropy coder."""
        return len(self.stage_names)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Returns what each pass codes: z, then y at once or part by part."""
        if self.config.scales_once:
            return "hyper", "latent"
        parts = range(self.config.partitions)
        return "hyper", *(f"latent {part}" for part in parts)

    def prior(self, work, cond: Cond, stage: int):
        """Returns the distribution of z, of y, or of a part of y."""
        if stage == HYPER:
            batch, *sides = self.latent_size(work)
            sides = (ceil_to(side, HYPER_RATIO) // HYPER_RATIO for side in sides)
            shape = (batch, *sides, self.config.hyper_channels)
            return self.bit_estimator_z.prior(shape, cond), work
        if stage > 1:
            latent = work.latent
            params = self.spatial_prior(latent.y_hat, latent.reduced, stage - 1)
            scales, mu = jnp.split(params, 2, -1)
            work = work.replace(latent=latent.replace(scales=scales, mu=mu))
        return self._latent_prior(work.latent, cond, stage), work

    def residual(self, work, source, cond: Cond, stage: int):
        """Encoder: returns z - centre, or y - mu in steps."""
        if stage == HYPER:
            y = self.encode(work, source, cond)
            z = self.hyper_encode(_padded(y)).astype(jnp.float32)
            centre = self.prior(work, cond, stage)[0].centre
            return Residual(z - centre), source.replace(y=y.astype(jnp.float32))
        y = source.y * work.latent.fine
        if not self.config.scales_once:
            return Residual(take_quarter(y - work.latent.mu, stage - 1)), source
        prior = self._latent_prior(work.latent, cond, stage)
        mu = self._means(work.latent, lambda mu: prior.quantise(Residual(y - mu)))
        work = work.replace(latent=work.latent.replace(all_mu=mu))
        return Residual(y - mu, work=work), source

    def absorb(self, work, prior: Prior, symbols, cond: Cond, stage: int):
        """Adds a stage's symbols."""
        if stage == HYPER:
            return self.open_latent(work, symbols + prior.centre, cond)
        latent = work.latent
        if self.config.scales_once:
            mu = latent.all_mu
            mu = self._means(latent, lambda _: symbols) if mu is None else mu
            y_hat = symbols + mu
        else:
            part = put_quarter(symbols, stage - 1)
            y_hat = latent.y_hat + part + latent.mu * self._mask(latent, stage - 1)
        return work.replace(latent=latent.replace(y_hat=y_hat))

    def start_latent(self, scales, mu, params, fine, coarse) -> Latent:
        """Returns what is known of y before its first symbol."""
        return Latent(
            scales=scales.astype(jnp.float32),
            mu=mu.astype(jnp.float32),
            reduced=self.spatial_prior.reduce(params),
            fine=fine,
            coarse=coarse,
            y_hat=jnp.zeros(mu.shape),
        )

    def _latent_prior(self, latent: Latent, cond: Cond, stage: int) -> Prior:
        scales = latent.scales
        if not self.config.scales_once:
            scales = take_quarter(scales, stage - 1)
        sigma = clip_ste(scales, LEAST_SIGMA, jnp.inf)
        index = scale_index(index_of(sigma))
        return Prior(index=index, skip=cond.skip, straight=True)

    def _means(
        self, latent: Latent, symbols_at: Callable[[jax.Array], jax.Array]
    ) -> jax.Array:
        """Predicts the means of all parts, one after the other.

        Args:
          latent: what is known of y.
          symbols_at: gives the symbols where the mean is known; elsewhere anything.
        """
        known = self._mask(latent, 0)
        mu = latent.mu * known
        for step in range(1, self.config.partitions):
            y_hat = (symbols_at(mu) + mu) * known
            mask = self._mask(latent, step)
            mu = mu + self.spatial_prior(y_hat, latent.reduced, step) * mask
            known = known + mask
        return mu

    def _mask(self, latent: Latent, step: int):
        return partition_mask(*latent.mu.shape[1:], self.config.partitions, step)


def _padded(y: jax.Array) -> jax.Array:
    """Repeats the last row and column until the sides are multiples of four."""
    margin = [(0, ceil_to(side, HYPER_RATIO) - side) for side in y.shape[1:3]]
    return jnp.pad(y, ((0, 0), *margin, (0, 0)), mode="edge")
