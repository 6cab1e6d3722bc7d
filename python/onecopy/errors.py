"""The exceptions of this package."""

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
    "Unsupported",
]
