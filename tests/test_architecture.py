"""The house keeps its shape: imports point one way, files and functions are small.

Source: DESIGN section 3 and 4.
"""

import ast
import functools
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
SHAPELESS_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}

_FAMILIES = sorted(
    path.name
    for path in (ROOT / "jaxnvc" / "codecs").iterdir()
    if path.is_dir() and (path / "__init__.py").exists()
)
_CODING = ("errors", "ops", "entropy", "codecs.protocol", "bitstream", "video")

# Package -> what of ours it may import, besides itself. The longest name that
# begins a module's path decides. The kinds of errors are a vocabulary, not a layer.
ALLOWED = {
    "errors": (),
    "ops": (),
    "metrics": ("errors",),
    "entropy": ("ops", "errors"),
    "layers": ("ops", "entropy", "errors"),
    "codecs.protocol": ("entropy",),
    "codecs.registry": ("codecs", "errors"),
    "codecs.sizes": ("errors",),
    "bitstream": ("errors",),
    "video": ("errors",),
    "models": ("codecs.registry", "codecs.protocol", "entropy", "errors"),
    "coding": (*_CODING, "models"),
}
ALLOWED |= {
    f"codecs.{family}": (
        "layers",
        "entropy",
        "ops",
        "codecs.protocol",
        "codecs.sizes",
        "errors",
    )
    for family in _FAMILIES
}
WITHOUT_JAX = ("bitstream", "video", "errors")


@functools.cache
def _sources(*folders: str) -> tuple[pathlib.Path, ...]:
    return tuple(p for folder in folders for p in sorted((ROOT / folder).rglob("*.py")))


@functools.cache
def _tree(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _module(path: pathlib.Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def _imports(path: pathlib.Path) -> set[str]:
    """Returns the full names of what a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively; name the package"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                # `from jaxnvc.ops import frame` names a module, not a value.
                found = _is_module(full)
                names.add(full if found else node.module)
    return names


def _is_module(name: str) -> bool:
    path = ROOT / pathlib.Path(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _rule(module: str) -> str | None:
    fitting = [package for package in ALLOWED if _within(module, package)]
    return max(fitting, key=len, default=None)


def _own_imports(path: pathlib.Path) -> set[str]:
    names = {name for name in _imports(path) if _within(name, "jaxnvc")}
    return {name.removeprefix("jaxnvc").removeprefix(".") for name in names}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_lies_below_it(package):
    checked = 0
    for path in _sources("jaxnvc"):
        module = _module(path).removeprefix("jaxnvc.")
        if _rule(module) != package:
            continue
        checked += 1
        for name in _own_imports(path):
            fine = any(_within(name, p) for p in (package, *ALLOWED[package]))
            assert fine, (
                f"{path.relative_to(ROOT)} imports jaxnvc.{name}, but {package} may "
                f"import only {', '.join(ALLOWED[package]) or 'nothing of ours'}"
            )
    assert checked


def test_the_package_never_imports_training_or_tests():
    for path in _sources("jaxnvc"):
        for name in _imports(path):
            assert name.split(".")[0] not in ("train", "tests", "configs"), path


@pytest.mark.parametrize("package", WITHOUT_JAX)
def test_formats_and_files_name_no_jax(package):
    paths = [p for p in _sources("jaxnvc") if _within(_module(p), f"jaxnvc.{package}")]
    assert paths
    for path in paths:
        roots = {name.split(".")[0] for name in _imports(path)}
        assert not roots & {"jax", "jaxlib", "flax"}, path


def test_bitstream_and_video_load_without_jax():
    """`jaxnvc info` answers in a third of a second only if nothing drags JAX in."""
    program = (
        "import sys, jaxnvc.bitstream, jaxnvc.video; "
        "sys.exit(bool({'jax', 'flax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=120)
    assert done.returncode == 0


def test_files_are_at_most_400_lines():
    for path in _sources("jaxnvc", "train", "tests", "configs"):
        lines = len(path.read_text().splitlines())
        assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines"


def test_functions_are_at_most_60_lines():
    for path in _sources("jaxnvc", "train", "tests", "configs"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                assert lines <= MOST_FUNCTION_LINES, f"{where} has {lines} lines"


def test_no_module_has_a_shapeless_name():
    for path in _sources("jaxnvc", "train", "tests", "configs"):
        parts = set(path.relative_to(ROOT).with_suffix("").parts)
        assert not parts & SHAPELESS_NAMES, path


def test_every_module_says_what_it_is_about():
    for path in _sources("jaxnvc", "train", "configs"):
        if path.read_text().strip():
            assert ast.get_docstring(_tree(path)), f"{path} has no docstring"
