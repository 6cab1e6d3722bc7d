"""Owners of shared bytes, and the buffers over them."""

import sys
from typing import (
    Any,
    TypeAlias,
    final,
)

import numpy as np
from typing_extensions import Buffer

_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

@final
class Image:
    """One shared object: immutable bytes in the store, held by this process as long as this lives."""

    @staticmethod
    def attach(token: bytes) -> Image:
        """Turns a token into the image, in any process of the same user.

        Args:
            token: The 64 bytes that `Image.token` gave.

        Returns:
            The image; this process holds it from now on.

        Raises:
            Gone: Nothing holds the image any more.
            AttachError: Its store was not found, or does not fit.
            AttachDenied: Its store belongs to another user.
        """

    def __reduce__(self) -> tuple[Any, ...]: ...
    def token(self) -> bytes:
        """Makes a token for another process.

        Returns:
            64 bytes. They count as an interest in the image until they are attached once.
        """

    @property
    def nbytes(self) -> int:
        """Bytes of the image."""

    @property
    def allows_pickle(self) -> bool:
        """Whether what is pickled in it may be read, and classes that it names be imported."""

    @property
    def has_token(self) -> bool:
        """Whether a token says all of it: it lies in the store, and its pickles may be read."""

    @property
    def place(self) -> str:
        """Where it lies: the same text in every process that reads it."""

    @property
    def is_named(self) -> bool:
        """Whether it is pickled as a token or a path, and not by its content."""

    def is_hashed(self) -> bool:
        """Whether what is being pickled at the moment is going to be hashed."""

    def buffer(self, offset: int, byte_len: int, node: int) -> ImageBuffer:
        """Exports part of the image, read-only.

        Args:
            offset: Where it begins, in bytes from the image's start.
            byte_len: How long it is, in bytes.
            node: The node whose data it is; 0 for the root.

        Returns:
            An exporter of the buffer protocol, which keeps the image.

        Raises:
            IndexError: It reaches past the image.
        """

    def private(self, offset: int, byte_len: int) -> PrivateBuffer:
        """Maps the image copy-on-write and exports part of it, writable.

        Args:
            offset: Where it begins, in bytes from the image's start.
            byte_len: How long it is, in bytes.

        Returns:
            An exporter of the buffer protocol, which keeps the mapping and the image.

        Raises:
            IndexError: It reaches past the image.
            MemoryError: No address space is left.
        """

@final
class ImageBuffer(Buffer):
    """Part of an image's bytes, read-only."""

    @property
    def node(self) -> int:
        """Offset of the node that this is the data of; 0 for the root."""

    @property
    def image(self) -> Image:
        """The image that this is a part of."""

    @property
    def offset(self) -> int:
        """Offset of the first byte in the image."""

    @property
    def address(self) -> int:
        """Address of the first byte."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class PrivateBuffer(Buffer):
    """Part of a private copy-on-write mapping, writable."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class BuildBuffer(Buffer):
    """An array's data while its image is built: writable until it is published."""

    @property
    def address(self) -> int:
        """Address of the first byte of data."""

    @property
    def nbytes(self) -> int:
        """Number of bytes of data."""

    def publish(self, array: _Array, dtype: str) -> tuple[ImageBuffer, str, tuple[int, ...], tuple[int, ...]] | None:
        """Makes the image visible and immutable; the memory stays valid and becomes private to this process.

        Args:
            array: An array over all of the data.
            dtype: What NumPy calls the type of its elements.

        Returns:
            What NumPy shows the image by; None if it cannot be done in place, because the array is only a part, the
            memory came here by fork, is published already, or this description needs a longer head.

        Raises:
            TimeoutError: Another process is stopped while it holds the store's lock.
        """

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
