"""The exceptions and warnings of this package."""

from onecopy._onecopy import (
    AttachDenied,
    AttachError,
    CorruptImage,
    FreezeRefused,
    FreezeUnsupported,
    Gone,
    KernelError,
    OnecopyError,
    Unsupported,
)

__all__ = [
    "AttachDenied",
    "AttachError",
    "CorruptImage",
    "FreezeRefused",
    "FreezeUnsupported",
    "Gone",
    "KernelError",
    "OnecopyError",
    "RebuiltWarning",
    "Unsupported",
]


class RebuiltWarning(UserWarning):
    """Much of what is shared is pickled: every process that reads it makes objects of its own."""
