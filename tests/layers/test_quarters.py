"""Four coding stages share a latent out between them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.layers.quarters import (
    NUM_QUARTERS,
    group_map,
    put_quarter,
    stage_mask,
    take_quarter,
)

# height, width, channels; odd grids are those of small pictures.
GRIDS = [(8, 8, 8), (5, 7, 96), (1, 1, 4), (2, 3, 12)]
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=str)


def _latent(grid, seed=0) -> jnp.ndarray:
    x = np.random.default_rng(seed).normal(size=(2, *grid))
    return jnp.asarray(x, jnp.float32)


@every_grid
def test_every_element_belongs_to_exactly_one_stage(grid):
    masks = np.stack([stage_mask(*grid, stage) for stage in range(NUM_QUARTERS)])
    assert set(np.unique(masks)) == {0, 1}
    np.testing.assert_array_equal(masks.sum(0)[0], np.ones(grid))


@every_grid
def test_every_stage_codes_a_quarter_of_the_channels_at_every_position(grid):
    for stage in range(NUM_QUARTERS):
        coded = stage_mask(*grid, stage)[0].sum(-1)
        np.testing.assert_array_equal(coded, np.full(grid[:2], grid[2] // 4))


def test_a_channel_group_is_coded_in_all_four_stages_within_each_2x2_square():
    maps = np.stack([group_map(6, 8, stage) for stage in range(NUM_QUARTERS)])
    for group in range(4):
        stages = np.argmax(maps == group, axis=0)
        for row, column in np.ndindex(5, 7):
            square = stages[row : row + 2, column : column + 2]
            assert sorted(square.ravel()) == [0, 1, 2, 3]


@every_grid
def test_quarters_put_back_together_are_the_latent(grid):
    x = _latent(grid)
    quarters = [take_quarter(x, stage) for stage in range(NUM_QUARTERS)]
    assert all(quarter.shape == (*x.shape[:3], grid[2] // 4) for quarter in quarters)
    whole = sum(put_quarter(quarter, stage) for stage, quarter in enumerate(quarters))
    np.testing.assert_array_equal(whole, x)


@every_grid
@pytest.mark.parametrize("stage", range(NUM_QUARTERS))
def test_taking_a_quarter_inverts_putting_it(grid, stage):
    quarter = _latent((*grid[:2], grid[2] // 4), seed=stage)
    spread = put_quarter(quarter, stage)
    np.testing.assert_array_equal(take_quarter(spread, stage), quarter)
    outside = 1 - stage_mask(*grid, stage)
    np.testing.assert_array_equal(spread * outside, np.zeros(spread.shape))
