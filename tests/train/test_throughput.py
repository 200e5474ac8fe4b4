"""What a step costs is counted from its program, forward and backward."""

import jax
import jax.numpy as jnp
import pytest

from jaxnvc.errors import UsageError
from train.config import TrainConfig, load_config, with_settings
from train.throughput import compiled, peak_flops

ROWS, INNER, COLUMNS = 64, 32, 16
PRODUCT = 2 * ROWS * INNER * COLUMNS


@pytest.fixture(scope="module")
def operands():
    return jnp.ones((ROWS, INNER)), jnp.ones((INNER, COLUMNS))


def test_a_product_costs_two_operations_per_multiply_accumulate(operands):
    program = compiled(jnp.matmul, *operands)
    assert program.flops == PRODUCT
    assert program.run(*operands).shape == (ROWS, COLUMNS)


def test_training_costs_three_times_the_product(operands):
    def loss(a, b):
        return jnp.sum((a @ b) ** 2)

    assert compiled(jax.grad(loss, argnums=(0, 1)), *operands).flops == 3 * PRODUCT


def test_turns_of_a_loop_are_counted(operands):
    def looped(a, b):
        return jax.lax.scan(lambda total, _: (total + a @ b, None), a @ b, length=5)

    assert compiled(looped, *operands).flops == 6 * PRODUCT


def test_memory_is_that_of_intermediate_results(operands):
    def twice(x):
        return jnp.tanh(x @ x) @ x

    # The first product of 1024 x 1024 samples has to be somewhere.
    assert compiled(twice, jnp.ones((1024, 1024))).memory_mib >= 4
    assert compiled(jnp.matmul, *operands).memory_mib == 0


def test_the_measured_peak_is_a_machine_s():
    assert 1e8 < peak_flops() < 1e16


def test_an_unknown_precision_is_refused():
    config = TrainConfig(
        name="c", intra="intra/tiny", inter="avs_eem/tiny", stages=(), clips=""
    )
    assert with_settings(config, ["precision=bfloat16"]).precision == "bfloat16"
    with pytest.raises(UsageError, match="one of float32, tensorfloat32, bfloat16"):
        with_settings(config, ["precision=half"])


def test_gradient_groups_of_the_memory_measurement_are_of_one_window():
    stages = load_config("configs/avs_eem/groups.py").stages
    assert {stage.frames for stage in stages} == {29}
    assert [sum(stage.groups) for stage in stages] == [0, 28, 28]
