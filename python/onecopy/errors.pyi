"""The exceptions of this package."""

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

class OnecopyError(Exception):
    """Base of the errors that only onecopy raises.

    Attributes carry the evidence, each where it applies: `store` (its id), `offset` (bytes from the start), `errno`.
    """

class KernelError(OnecopyError, OSError):
    """The kernel refused what a store needs, for a reason other than memory; `errno` says which."""

class AttachError(OnecopyError, LookupError):
    """A token cannot be turned into a view: its store or file was not found, does not fit or cannot be used.

    It is no `OSError`, as a worker of `multiprocessing.Pool` that meets one while it unpickles ends without a word.

    Attributes:
        store: Id of the store.
        pid: The process that made the token.
        fd: That process's file descriptor of the store.
        errno, filename: Of the file, where the view was one of a file.
    """

class AttachDenied(AttachError):
    """A token's store belongs to another user, whose processes could change what this one reads.

    Attributes:
        store: Id of the store.
        owner_uid: Whose it is.
        expected_uid: The effective user of this process, whose it would have to be.
    """

class Gone(AttachError):
    """The shared object no longer exists: every process that held it has dropped it, or has ended.

    A token that was not used yet keeps the object as long as any process of the store lives.
    """

class CorruptImage(OnecopyError, ValueError):
    """Bytes that claim to be an image contradict themselves.

    Attributes:
        offset: Where, in bytes from the image's start.
    """

class Unsupported(OnecopyError, TypeError):
    """Objects of this kind cannot be shared; the text names the path to the object."""

class FreezeUnsupported(OnecopyError, RuntimeError):
    """`freeze()` does not work in this process; the text says why, and what works instead."""

class FreezeRefused(OnecopyError, TypeError):
    """An object cannot be frozen, and `freeze()` was told to be strict.

    Attributes:
        path: The way to the object, from `obj`.
    """

    path: str

class RebuiltWarning(UserWarning):
    """Much of what is shared is pickled: every process that reads it makes objects of its own."""
