"""Resampling by two is the strided or sub-pixel convolution it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnvc.layers.blocks import DepthConvBlock, wsilu
from jaxnvc.layers.resample import Down2, Subpel, Up2

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 4, 8)), jnp.float32)
KEY = jax.random.key(0)


def test_down2_is_a_strided_convolution_and_a_block():
    y, variables = Down2(4).init_with_output(KEY, X)
    weights = variables["params"]
    # Input channels of the 1x1 are (c, row, column) of the cell.
    kernel = weights["down"]["kernel"].reshape(8, 2, 2, 4).transpose(1, 2, 0, 3)
    down = jax.lax.conv_general_dilated(
        X, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    block = DepthConvBlock(half=False, gate=wsilu)
    expected = block.apply({"params": weights["block"]}, down)
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3])
def test_subpel_places_four_outputs_around_each_sample(size):
    y, variables = Subpel(3, size, use_bias=size > 1).init_with_output(KEY, X)
    assert y.shape == (2, 12, 8, 3)
    kernel = variables["params"]["up"]["kernel"].reshape(size, size, 8, 3, 2, 2)
    for row, column in np.ndindex(2, 2):
        expected = jax.lax.conv_general_dilated(
            X,
            kernel[..., row, column],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        np.testing.assert_allclose(y[:, row::2, column::2], expected, atol=1e-5)


def test_up2_undoes_the_size_of_down2():
    def there_and_back(module):
        y, _ = module.init_with_output(KEY, X)
        return y

    shapes = [jax.eval_shape(lambda m=m: there_and_back(m)) for m in (Up2(4), Down2(4))]
    assert [y.shape for y in shapes] == [(2, 12, 8, 4), (2, 3, 2, 4)]
