"""What can go wrong, each kind with the exit code a shell sees.

Every message names the value, the rule it broke and the remedy, in one sentence.
"""


class JaxnvcError(Exception):
    """Base of every error this package raises on purpose.

    Attributes:
      exit_code: process exit status of the command line.
    """

    exit_code = 1


class UsageError(JaxnvcError):
    """Arguments that contradict each other or lie outside their range."""

    exit_code = 2


class InputError(JaxnvcError):
    """A file that is missing, unreadable or of an unsupported kind."""

    exit_code = 3


class BitstreamError(JaxnvcError):
    """A `.nvc` stream that is corrupt, truncated or of an unknown version.

    Attributes:
      offset: byte position in the stream where the damage was noticed, or None.
    """

    exit_code = 4

    def __init__(self, message: str, offset: int | None = None):
        super().__init__(message if offset is None else f"{message} (byte {offset})")
        self.offset = offset


class ModelError(JaxnvcError):
    """A model that is missing, damaged or not the one a stream names."""

    exit_code = 5


class DeviceError(JaxnvcError):
    """No usable device, or not enough memory."""

    exit_code = 6


class VerificationError(JaxnvcError):
    """A stream that decodes, but not to what it promises."""

    exit_code = 7
