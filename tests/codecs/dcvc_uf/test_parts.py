"""The parts of DCVC-UF around its networks do what the sheet says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxnvc.codecs.dcvc_uf import pictures
from jaxnvc.codecs.dcvc_uf.config import DcvcUfConfig
from jaxnvc.codecs.dcvc_uf.factorised import Curves, FactorisedModel, nearest_tables
from jaxnvc.codecs.dcvc_uf.layers import Fusion, Heads, Stack
from jaxnvc.codecs.dcvc_uf.likelihood import bits_of, bits_y
from jaxnvc.codecs.dcvc_uf.partitions import partition_mask
from jaxnvc.codecs.protocol import Cond
from jaxnvc.entropy.prior import index_of, sigma_of
from jaxnvc.entropy.tables import gaussian_table, ideal_bits_table
from jaxnvc.errors import UsageError

KEY = jax.random.key(0)


def _frames(*shape):
    return jnp.asarray(np.random.default_rng(0).random(shape), jnp.float32)


def test_cells_hold_plane_after_plane_and_come_back_as_they_were():
    x = _frames(2, 16, 24, 6)
    cells = pictures.to_cells(x)
    assert cells.shape == (2, 4, 6, 192)
    np.testing.assert_allclose(pictures.from_cells(cells), x, atol=1e-6)
    # Luma of row 3, column 5 of a cell; the chroma that the sample shares.
    np.testing.assert_allclose(cells[..., 3 * 8 + 5], x[:, 1::4, 2::4, 3] - 0.5)
    np.testing.assert_allclose(cells[..., 128 + 3 * 8 + 5], x[:, 1::4, 2::4, 5] - 0.5)


def test_pictures_are_clipped_before_chroma_is_averaged():
    cells = jnp.full((1, 1, 1, 192), 0.25).at[..., 64].set(9.0)
    x = pictures.from_cells(cells)
    assert float(x[0, 0, 0, 4]) == pytest.approx((1 + 3 * 0.75) / 4)


def test_the_parts_of_a_latent_cover_every_element_once():
    for partitions, channels in ((2, 6), (4, 8)):
        masks = [
            partition_mask(5, 7, channels, partitions, k) for k in range(partitions)
        ]
        np.testing.assert_array_equal(sum(masks), np.ones((1, 5, 7, channels)))


def test_two_parts_are_the_colours_of_a_checkerboard_swapped_between_halves():
    mask = partition_mask(4, 4, 2, 2, 0)[0]
    rows, columns = np.indices((4, 4))
    np.testing.assert_array_equal(mask[..., 0], (rows + columns) % 2 == 0)
    np.testing.assert_array_equal(mask[..., 1], (rows + columns) % 2 == 1)


def test_each_head_has_weights_of_its_own_and_pairs_share_theirs():
    x = _frames(1, 3, 4, 8)
    heads = Heads(4, 6, 1, 5, pairs=True)
    rng = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(0.3 * rng.normal(size=leaf.shape), jnp.float32),
        jax.eval_shape(heads.init, KEY, x),
    )
    y = jax.jit(heads.apply)(variables, x)
    assert y.shape == (1, 4, 3, 4, 5)
    assert float(jnp.abs(y[:, 0] - y[:, 1]).max()) > 0.01

    @jax.jit
    def alone(shared, own):
        inner = Stack(8, 1).apply({"params": shared}, x)
        return Fusion(6, 1, 5).apply({"params": own}, inner)

    def part(name, i):
        return jax.tree.map(lambda leaf: leaf[i], variables["params"][name])

    for frame in range(4):
        expected = alone(part("pairs", frame // 2), part("frames", frame))
        np.testing.assert_allclose(y[:, frame], expected, atol=1e-5)


@pytest.fixture(scope="module")
def curves() -> Curves:
    """Three channels at two qp, of unlike width and centre."""
    rng = np.random.default_rng(2)
    model = FactorisedModel(3)
    params = {
        name: 0.7 * rng.normal(size=(64, 3, depth)).astype(np.float32)
        for name, depth in (("h", 4), ("b", 4), ("a", 3))
    }
    params["b"][:, 1, 0] += 4
    bound = model.bind({"params": params})
    return bound.curves(jnp.array([3, 50]))


def _whole(reach: int) -> jax.Array:
    return jnp.arange(-reach, reach + 1.0).reshape(1, -1, 1, 1)


def test_the_learned_distribution_is_one(curves):
    probability = np.asarray(curves.probability(_whole(400)))
    assert (probability >= 0).all()
    np.testing.assert_allclose(probability.sum(1), np.ones((2, 1, 3)), atol=1e-3)


def test_hyper_symbols_take_the_table_that_codes_them_in_the_fewest_bits(curves):
    centre, index = jax.jit(nearest_tables)(curves)
    probability = np.asarray(curves.probability(centre + _whole(63)))[:, :, 0]
    bits = ideal_bits_table(gaussian_table())[:, np.abs(np.arange(-63, 64))]
    expected = np.einsum("bkc,sk->bsc", probability, bits)
    np.testing.assert_array_equal(index[:, 0, 0], expected.argmin(1))
    entropy = -(probability * np.log2(np.maximum(probability, 1e-12))).sum(1)
    # What the nearest Gaussian costs beyond the distribution's own entropy.
    assert (expected.min(1) < 1.1 * entropy + 0.05).all()
    assert float(jnp.abs(centre).max()) > 2


def test_hyper_symbols_are_charged_what_was_learned():
    model = FactorisedModel(3)
    cond, shape = Cond.of([3, 50]), (2, 1, 2, 3)

    @jax.jit
    def charged(key):
        prior, _ = model.init_with_output(key, shape, cond, method="prior")
        z = prior.centre + jnp.ones(shape)
        return prior.bits(jnp.ones(shape)), prior.curves.probability(z)

    bits, probability = charged(KEY)
    np.testing.assert_allclose(bits, -jnp.log2(probability), rtol=1e-5)


def test_published_code_lengths_are_those_of_a_gaussian_within_their_bounds():
    residual = jnp.array([0.0, 1.0, -0.3, 40.0, 0.0])
    scales = jnp.array([1.0, 2.0, 0.5, 1.0, -3.0])
    sigma = np.maximum(np.asarray(scales), 0.11)
    edges = [stats.norm.cdf(np.asarray(residual) + d, scale=sigma) for d in (-0.5, 0.5)]
    expected = -np.log2(np.maximum(edges[1] - edges[0], 1e-6))
    np.testing.assert_allclose(bits_y(residual, scales), expected, atol=1e-5)
    assert float(bits_of(jnp.array(1.0))) == 0


def test_scale_indices_and_deviations_are_inverse():
    index = jnp.arange(64.0)
    np.testing.assert_allclose(index_of(sigma_of(index)), index, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"frames": 3}, "frames is 3"),
        ({"frames": 0, "pair_heads": False}, "frames is 0"),
        ({"partitions": 3}, "partitions is 3"),
        ({"partitions": 2, "scales_once": False}, "partitions is 2"),
        ({"latent_channels": 6}, "latent_channels is 6.*multiple of 4"),
        ({"width": 15}, "width is 15"),
    ],
)
def test_a_bad_configuration_names_field_value_and_rule(fields, rule):
    with pytest.raises(UsageError, match=rule):
        DcvcUfConfig(**fields)
