"""What `onecopy.Array` is made of."""

import sys
from typing import Any, final

import numpy as np
from typing_extensions import Buffer

from onecopy.containers import WriterLock

@final
class ArrayMemory(Buffer):
    """The elements of a writable array in the store, the same memory in every process."""

    def __new__(cls, byte_len: int, item_bytes: int, description: bytes) -> ArrayMemory:
        """Takes memory for elements of `item_bytes` each; they are zeros. `description` is kept with them.

        Raises:
            MemoryError: There is not enough memory.
        """

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
    @staticmethod
    def attach(token: bytes) -> ArrayMemory:
        """Turns a token into the memory.

        Args:
            token: The 64 bytes that `ArrayMemory.token` gave.

        Raises:
            Gone: Nothing holds the array any more.
            AttachError: Its store was not found, or it is no such array.
        """

    @property
    def description(self) -> bytes:
        """What was said of the elements; empty if it was too long."""

    def token(self) -> bytes:
        """Makes a token for another process.

        Returns:
            64 bytes. They count as an interest in the array until they are attached once.
        """

    @property
    def address(self) -> int:
        """Address of the first byte."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""

    @property
    def lock(self) -> WriterLock:
        """The lock."""

    def add(self, array: np.ndarray[Any, Any], indices: tuple[object, ...], amount: object) -> int | float:
        """Adds to an element of an array that shows this memory, in one step, and returns the sum.

        Raises:
            IndexError: There is no such element.
            OverflowError: The sum does not fit.
            TypeError: It is no number that can be added to, or not aligned.
        """

    def replace(self, at: int, width: int, old: int, new: int) -> bool:
        """Replaces the bits of the element at a byte if they are `old`; whether they were."""

    def offset(self, array: np.ndarray[Any, Any], indices: tuple[object, ...]) -> int:
        """Where an element of an array with axes lies."""
