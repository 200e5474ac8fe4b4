"""The decoder's loop over rows as one GPU kernel, equal to `rans_rows.pop_rows`.

XLA runs a row as several small kernels, whose launches cost a GPU far more than their
work; here the whole loop is one Pallas kernel of one block, lowered through Triton.

It is not used unless the environment says JAXNVC_RANS=pallas, and then on CUDA devices
alone: it has been checked by interpretation and by lowering, and has never been run or
measured on a GPU. JAX 0.12 announces the end of Pallas's Triton backend; if the kernel
proves its worth on a GPU, it moves to Mosaic there.
"""

import os

import jax
import jax.numpy as jnp
from jax import lax

from jaxnvc.entropy import rans_rows

_SWITCH = "JAXNVC_RANS"


def chosen_pop_rows(*args):
    """Runs `rans_rows.pop_rows`, or on CUDA this kernel where it was asked for.

    The environment is read when a program is traced.
    """
    if os.environ.get(_SWITCH) != "pallas":
        return rans_rows.pop_rows(*args)
    return lax.platform_dependent(*args, cuda=pop_rows, default=rans_rows.pop_rows)


def pop_rows(state, read, words, bases, count, packed, *, interpret: bool = False):
    """Decodes the rows 0 .. count - 1; see `rans_rows.pop_rows`.

    Args:
      state: uint32 [N], N a power of two.
      read: int32, words read so far.
      words: uint16 [capacity], at least N.
      bases: int32 [T, N], offset of the lane's scale in `packed`, negative for none.
      count: int32, rows in use, at most T.
      packed: uint32 [S * NUM_SLOTS].
      interpret: runs without a GPU, slowly.

    Returns:
      The states and words read after the last row, and int8 [T, N] symbols, 0 in
      unused rows.
    """
    # Only who asks for the kernel needs what it is made with.
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    scalars = jnp.stack([read, rans_rows.shared_bound(count)])
    blank = jnp.zeros(bases.shape, jnp.int8)
    state, read, symbols = pl.pallas_call(
        _kernel,
        out_shape=(
            jax.ShapeDtypeStruct(state.shape, state.dtype),
            jax.ShapeDtypeStruct((1,), jnp.int32),
            jax.ShapeDtypeStruct(bases.shape, jnp.int8),
        ),
        # Rows that are not in use keep what they were given.
        input_output_aliases={5: 2},
        interpret=interpret,
        compiler_params=triton.CompilerParams(num_warps=max(len(state) // 32, 1)),
        name="rans_pop_rows",
    )(scalars, state, words, bases, packed, blank)
    return state, read[0], symbols


def _kernel(scalars, state, words, bases, packed, _, state_out, read_out, symbols):
    last = words.shape[0] - 1

    def words_at(read, rank):
        return words[jnp.minimum(read + rank, last)]

    def row(number, carry):
        now, read = carry
        now, read, symbol = rans_rows.pop_row(
            now, bases[number, :], read, lambda at: packed[at], words_at, _count_before
        )
        symbols[number, :] = symbol
        return now, read

    carry = state[:], scalars[0]
    state_out[:], read_out[0] = lax.fori_loop(0, scalars[1], row, carry)


def _count_before(flags: jax.Array) -> tuple[jax.Array, jax.Array]:
    ones = flags.astype(jnp.int32)
    return jnp.cumsum(ones) - ones, jnp.sum(ones)
