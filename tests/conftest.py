"""What every test shares: eight host devices, strict shapes, small models."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
# Tests build few distinct programs many times over, in several processes.
CACHE = pathlib.Path(__file__).parents[1] / ".pytest_cache" / "jax"
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def pytest_collection_modifyitems(items):
    """Puts the longest files first, so that none keeps one core waiting at the end."""
    items.sort(key=lambda item: "tests/train" not in item.path.as_posix())


@pytest.fixture(scope="module", autouse=True)
def forgotten_programs():
    """Frees a file's compiled programs, which add up to gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="session")
def tiny_bundle_path(tmp_path_factory) -> str:
    """Path of an untrained model of the smallest presets."""
    from tests.models import export_untrained

    path = str(tmp_path_factory.mktemp("models") / "tiny.nvcm")
    return export_untrained(path, "intra/tiny", "avs_eem/tiny")


@pytest.fixture(scope="session")
def tiny(tiny_bundle_path):
    """The untrained smallest model, loaded."""
    import jaxnvc

    return jaxnvc.load(tiny_bundle_path)


@pytest.fixture(scope="session")
def chunked_bundle_path(tmp_path_factory) -> str:
    """Path of an untrained model whose units are chunks of three frames."""
    from tests.models import export_untrained

    path = str(tmp_path_factory.mktemp("models") / "chunked.nvcm")
    return export_untrained(path, "intra/tiny", "dcvc_uf/tiny")


@pytest.fixture(scope="session")
def chunked(chunked_bundle_path):
    """The untrained chunk model, loaded."""
    import jaxnvc

    return jaxnvc.load(chunked_bundle_path)


@pytest.fixture(scope="session")
def toy_chunks(tmp_path_factory):
    """A model of chunks of three frames whose programs compile in seconds."""
    import jaxnvc
    from tests.models import export_untrained
    from tests.toy import register

    path = str(tmp_path_factory.mktemp("models") / "toy.nvcm")
    return jaxnvc.load(export_untrained(path, *register(frames=3)))


@pytest.fixture(scope="session")
def cars():
    """The example clip's frames, 24 of 384x216 (real video)."""
    from jaxnvc.video import open_video

    path = pathlib.Path(__file__).parents[1] / "examples" / "cars.mkv"
    with open_video(str(path)) as reader:
        return [frame.planes for frame in reader]
