"""The accelerator's side of a command: compiled programs kept, compiling noticed."""

import contextlib
import os
import pathlib
import secrets
import sys
import threading

import jaxnvc
from jaxnvc.cli.console import console

_LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
_COMPILED = "/jax/core/compile/backend_compile_duration"
_CACHE_HIT = "/jax/compilation_cache/cache_hits"
_PATIENCE_S = 2.5
_MIN_COMPILE_S = 0.5


def cache_folder(option: str | None) -> pathlib.Path | None:
    """Returns where compiled programs are kept, None for nowhere.

    Args:
      option: value of `--cache-dir`; `$JAXNVC_CACHE`, then the platform's cache
        folder if None.
    """
    choice = option or os.environ.get("JAXNVC_CACHE")
    if choice:
        return None if choice == "none" else pathlib.Path(choice)
    home = pathlib.Path("~").expanduser()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "jaxnvc" / jaxnvc.__version__


def prepare(option: str | None, precision: str = "float32") -> None:
    """Imports JAX and points its compilation cache to a folder that can be written.

    Args:
      option: value of `--cache-dir`, see `cache_folder`.
      precision: of the products of float networks. Left to itself, an accelerator
        takes its fastest, and a stream made there would drift elsewhere. Exact
        integer networks are not affected, so symbols decode alike.
    """
    # Log lines of the compiler's C++ side mean nothing to a user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    folder = cache_folder(option)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            console.warn(
                f"compiled programs cannot be kept in {folder} ({error.strerror}): "
                "set JAXNVC_CACHE or --cache-dir to a folder that can be written"
            )
            folder = None
    jax.config.update("jax_compilation_cache_dir", str(folder) if folder else None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_S)
    jax.config.update("jax_default_matmul_precision", precision)


class CompileWatch:
    """Counts compilations and says so when one takes long; a context manager.

    Attributes:
      count: programs compiled or fetched from the cache so far.
    """

    def __init__(self, what: str, *, quiet: bool = False):
        """Args:
        what: the picture size, for the message.
        quiet: says nothing.
        """
        self.count = 0
        self._what, self._timer, self._has_said = what, None, quiet

    def __enter__(self) -> "CompileWatch":
        from jax import monitoring

        monitoring.register_event_duration_secs_listener(self._on_duration)
        monitoring.register_event_listener(self._on_event)
        return self

    def __exit__(self, *exception) -> None:
        from jax import monitoring

        self._stop_timer()
        with contextlib.suppress(AttributeError, ValueError, AssertionError):
            monitoring.unregister_event_duration_listener(self._on_duration)
            monitoring.unregister_event_listener(self._on_event)

    def _on_duration(self, event: str, duration_s: float, **_) -> None:
        if event == _LOWERED and not self._has_said:
            # Small programs compile in no time, and cached ones need no word.
            self._stop_timer()
            self._timer = threading.Timer(_PATIENCE_S, self._say)
            self._timer.daemon = True
            self._timer.start()
        elif event == _COMPILED:
            self.count += 1
            self._stop_timer()

    def _on_event(self, event: str, **_) -> None:
        if event == _CACHE_HIT:
            self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(self) -> None:
        self._has_said = True
        console.say(f"compiling for {self._what} (first use of this size) ...")


def is_device_error(error: BaseException) -> bool:
    """Returns whether an exception means no device or not enough memory."""
    if isinstance(error, MemoryError):
        return True
    signs = ("RESOURCE_EXHAUSTED", "Unable to initialize backend", "Out of memory")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
