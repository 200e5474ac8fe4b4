"""Encoding and decoding in processes of their own, told what to do line by line.

A run has one process that encodes and another that decodes: the decoder knows the
file alone, and an encoder that crashes takes nothing with it.

    python -m jaxnvc.evaluation.worker      # JSON requests in, JSON replies out
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
from fractions import Fraction

from jaxnvc.errors import JaxnvcError, VerificationError
from jaxnvc.evaluation.coders import Coder
from jaxnvc.evaluation.suite import Sequence

_UNITS = 1 if sys.platform == "darwin" else 1024  # of `ru_maxrss`, in bytes


class Worker:
    """A process that carries out one request after another; a context manager."""

    def __init__(self, environment: dict[str, str] | None = None):
        """Starts the process.

        Args:
          environment: variables it has beside this process's.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jaxnvc.evaluation.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if os.name == "nt" else None,
            env={"SVT_LOG": "1"} | os.environ | (environment or {}),
            # Ctrl-C is this process's business, which then closes the worker.
            start_new_session=True,
            text=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def encode(
        self, coder: Coder, rate: int, sequence: Sequence, frames: int, out: str
    ) -> dict:
        """Encodes a clip to a file; returns the fields of `Encoded` and peak_mib.

        Raises:
          JaxnvcError: what the encoder says, or that it died.
        """
        sequence = dataclasses.asdict(sequence)
        sequence["fps"] = sequence["fps"] and str(sequence["fps"])
        return self._ask(
            {
                "do": "encode",
                "coder": dataclasses.asdict(coder),
                "rate": rate,
                "sequence": sequence,
                "frames": frames,
                "out": out,
            }
        )

    def decode(self, path: str, out: str, model: str | None = None) -> dict:
        """Decodes a file to a y4m file; returns the fields of `Decoded` and peak_mib.

        Raises:
          JaxnvcError: what the decoder says, or that it died.
        """
        return self._ask({"do": "decode", "path": path, "out": out, "model": model})

    def close(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

    def _ask(self, request: dict) -> dict:
        line = ""
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise VerificationError(
                f"the process that was to {request['do']} died with status "
                f"{self._process.wait()}: see its words above, or use less memory"
            )
        reply = json.loads(line)
        if "error" in reply:
            error = JaxnvcError(reply["error"])
            error.exit_code = reply["exit_code"]
            raise error
        return reply


def _encode(request: dict) -> dict:
    fields = request["coder"] | {"rates": tuple(request["coder"]["rates"])}
    coder, sequence = Coder(**fields), dict(request["sequence"])
    sequence["fps"] = sequence["fps"] and Fraction(sequence["fps"])
    sequence, frames = Sequence(**sequence), request["frames"]
    if coder.model:
        from jaxnvc.evaluation import model_coding

        result = model_coding.encode(
            coder, request["rate"], sequence, frames, request["out"]
        )
    else:
        from jaxnvc.evaluation import anchor_coding

        with sequence.open(frames) as reader:
            fps = sequence.frame_rate(reader.info)
            planes = (frame.planes for frame in reader)
            result = anchor_coding.encode(
                coder, request["rate"], planes, fps, request["out"]
            )
    return dataclasses.asdict(result)


def _decode(request: dict) -> dict:
    if request["path"].endswith(".nvc"):
        from jaxnvc.evaluation import model_coding

        result = model_coding.decode(request["path"], request["out"], request["model"])
    else:
        from jaxnvc.evaluation import anchor_coding

        result = anchor_coding.decode(request["path"], request["out"])
    return dataclasses.asdict(result)


def peak_mib() -> float:
    """Most memory this process or a program it ran had, or an accelerator gave it."""
    peaks = [resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNITS]
    try:
        # What `getrusage` says of a process begins with its parent's at the fork.
        status = pathlib.Path("/proc/self/status").read_text()
        peaks.append(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024)
    except (OSError, TypeError):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNITS)
    return max(max(peaks) / 2**20, device_peak_mib() or 0)


def device_peak_mib() -> float | None:
    """Most memory an accelerator gave this process, None where none tells."""
    if "jax" not in sys.modules:
        return None
    import jax

    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return peak and peak / 2**20


def main() -> int:
    """Carries out requests until there are no more."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # Whatever a library prints must not end up among the replies.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"encode": _encode, "decode": _decode}[request["do"]](request)
            reply["peak_mib"] = round(peak_mib(), 1)
        except Exception as error:
            words = " ".join(str(error).split())[:500]
            known = isinstance(error, JaxnvcError)
            words = words if known else f"{type(error).__name__}: {words}"
            reply = {"error": words, "exit_code": getattr(error, "exit_code", 1)}
        try:
            print(json.dumps(reply), file=replies, flush=True)
        except BrokenPipeError:  # who asked was killed
            os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
