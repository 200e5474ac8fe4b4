"""The conditions of a unit that encoder and decoder share."""

import jax
import jax.numpy as jnp
from flax import struct

NUM_QP = 64


class Cond(struct.PyTreeNode):
    """What encoder and decoder both know before a unit, and what is asked of it.

    Attributes:
      qp: int32 [B], 0..63, higher is better quality.
      level: int32 [], quality level of the unit in its hierarchy.
      skip: int32 [], symbols with a smaller scale index are not coded.
      refresh: bool [], the temporal history is dropped before this unit.
      shown: bool [], its pictures are wanted. An encoder that does not want them may
        leave out what the next unit does not need; they mean nothing then.
    """

    qp: jax.Array
    level: jax.Array
    skip: jax.Array
    refresh: jax.Array
    shown: jax.Array | bool = True

    @classmethod
    def of(
        cls,
        qp,
        level: int = 0,
        skip: int = 0,
        refresh: bool = False,
        shown: bool = True,
    ) -> "Cond":
        """Builds a `Cond` from Python numbers; `qp` is one number or [B]."""
        return cls(
            qp=jnp.atleast_1d(jnp.asarray(qp, jnp.int32)),
            level=jnp.int32(level),
            skip=jnp.int32(skip),
            refresh=jnp.bool_(refresh),
            shown=jnp.bool_(shown),
        )
