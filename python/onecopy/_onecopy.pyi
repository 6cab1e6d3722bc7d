"""The native part of onecopy; import `onecopy` instead."""

import sys
from collections.abc import Iterator, Sequence
from types import GenericAlias
from typing import Any, Final, Generic, Literal, Never, Self, SupportsIndex, TypeAlias, TypeVar, final, overload

import numpy as np
from typing_extensions import Buffer

_T_co = TypeVar("_T_co", covariant=True)
_T = TypeVar("_T")
_Huge: TypeAlias = Literal["auto"] | bool
_Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

__all__ = [
    "AttachError",
    "BuildBuffer",
    "Collected",
    "CorruptImage",
    "Gone",
    "Image",
    "ImageBuffer",
    "ListView",
    "OnecopyError",
    "PrivateBuffer",
    "ProcessMemory",
    "Report",
    "SkippedProcess",
    "Stats",
    "StoreMemory",
    "TupleView",
    "Unsupported",
    "__version__",
    "_attach_view",
    "_cli_main",
    "array_allocate",
    "array_geometry",
    "collect",
    "memory",
    "private_items",
    "share_list",
    "stats",
]

__version__: Final[str]

class OnecopyError(Exception):
    """Base of the errors that only onecopy raises.

    Attributes carry the evidence, each where it applies: `store` (its id), `offset` (bytes from the start), `errno`.
    """

class AttachError(OnecopyError, OSError):
    """A token cannot be turned into a view: its store was not found or does not fit.

    Attributes:
        store: Id of the store.
        pid: The process that made the token.
        fd: That process's file descriptor of the store.
    """

class Gone(AttachError, LookupError):
    """Every process that held the shared object has dropped it, and its token had been used before."""

class CorruptImage(OnecopyError, ValueError):
    """Bytes that claim to be an image contradict themselves.

    Attributes:
        offset: Where, in bytes from the image's start.
    """

class Unsupported(OnecopyError, TypeError):
    """Objects of this kind cannot be shared; the text names the path to the object."""

@final
class ListView(Sequence[_T_co], Buffer, Generic[_T_co]):
    """A shared list: looks like a list, never changes, and is one copy in memory for all processes.

    Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it equals nothing, not
    even when it was the very object that was shared.

    Example:
        >>> import onecopy
        >>> view = onecopy.share([3, 1, 2])
        >>> sorted(view), view[1:]
        ([1, 2, 3], ListView([1, 2]))
    """

    __hash__: None  # type: ignore[assignment]
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> _T_co: ...
    @overload
    def __getitem__(self, key: slice, /) -> Self: ...
    def __setitem__(self, key: Any, value: Any, /) -> Never: ...
    def __delitem__(self, key: Any, /) -> Never: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __reversed__(self) -> Iterator[_T_co]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Sequence[Any], /) -> bool: ...
    def __le__(self, other: Sequence[Any], /) -> bool: ...
    def __gt__(self, other: Sequence[Any], /) -> bool: ...
    def __ge__(self, other: Sequence[Any], /) -> bool: ...
    def __add__(self, other: Sequence[_T], /) -> list[_T_co | _T]: ...
    def __radd__(self, other: Sequence[_T], /) -> list[_T_co | _T]: ...
    def __mul__(self, count: SupportsIndex, /) -> list[_T_co]: ...
    def __rmul__(self, count: SupportsIndex, /) -> list[_T_co]: ...
    def __iadd__(self, other: Any, /) -> Never: ...  # type: ignore[misc]
    def __imul__(self, count: Any, /) -> Never: ...  # type: ignore[misc]
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
        def __release_buffer__(self, buffer: memoryview, /) -> None: ...

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = ..., /) -> int:
        """Returns the index of the first element that equals `value`, between `start` and `stop`.

        Raises:
            ValueError: There is none.
        """

    def count(self, value: Any, /) -> int:
        """Returns how many elements equal `value`."""

    def copy(self) -> list[_T_co]:
        """Returns a real list of the elements."""

    def tolist(self) -> list[_T_co]:
        """Returns a real list of the elements."""

    def append(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def extend(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def insert(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def pop(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def remove(self, *_args: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def clear(self) -> Never:
        """Raises TypeError: a shared list never changes."""

    def reverse(self) -> Never:
        """Raises TypeError: a shared list never changes."""

    def sort(self, **_kwargs: Any) -> Never:
        """Raises TypeError: a shared list never changes."""

    def _to_python(self) -> list[_T_co]: ...

@final
class TupleView(Sequence[_T_co], Buffer, Generic[_T_co]):
    """A shared tuple: looks like a tuple, hashes like one, and is one copy in memory for all processes.

    Elements are made when they are read, so `view[0] is view[0]` need not hold, and a NaN in it equals nothing, not
    even when it was the very object that was shared.

    Example:
        >>> import onecopy
        >>> view = onecopy.share((3, 1, 2))
        >>> view == (3, 1, 2), {view: "found"}[(3, 1, 2)]
        (True, 'found')
    """

    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def __hash__(self) -> int: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> _T_co: ...
    @overload
    def __getitem__(self, key: slice, /) -> Self: ...
    def __setitem__(self, key: Any, value: Any, /) -> Never: ...
    def __delitem__(self, key: Any, /) -> Never: ...
    def __iter__(self) -> Iterator[_T_co]: ...
    def __reversed__(self) -> Iterator[_T_co]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __lt__(self, other: Sequence[Any], /) -> bool: ...
    def __le__(self, other: Sequence[Any], /) -> bool: ...
    def __gt__(self, other: Sequence[Any], /) -> bool: ...
    def __ge__(self, other: Sequence[Any], /) -> bool: ...
    def __add__(self, other: Sequence[_T], /) -> tuple[_T_co | _T, ...]: ...
    def __radd__(self, other: Sequence[_T], /) -> tuple[_T_co | _T, ...]: ...
    def __mul__(self, count: SupportsIndex, /) -> tuple[_T_co, ...]: ...
    def __rmul__(self, count: SupportsIndex, /) -> tuple[_T_co, ...]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> _Array: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
        def __release_buffer__(self, buffer: memoryview, /) -> None: ...

    def index(self, value: Any, start: SupportsIndex = 0, stop: SupportsIndex = ..., /) -> int:
        """Returns the index of the first element that equals `value`, between `start` and `stop`.

        Raises:
            ValueError: There is none.
        """

    def count(self, value: Any, /) -> int:
        """Returns how many elements equal `value`."""

    def tolist(self) -> list[_T_co]:
        """Returns a real list of the elements."""

    def _to_python(self) -> tuple[_T_co, ...]: ...

@overload
def share_list(data: list[_T], huge: _Huge | None = None) -> ListView[_T]: ...
@overload
def share_list(data: tuple[_T, ...], huge: _Huge | None = None) -> TupleView[_T]: ...
@overload
def share_list(data: object, huge: _Huge | None = None) -> Any: ...
def _attach_view(token: bytes, start: int, step: int, len: int) -> ListView[Any] | TupleView[Any]: ...
def private_items(view: ListView[Any] | TupleView[Any]) -> PrivateBuffer:
    """Maps the image of a column of numbers copy-on-write.

    Args:
        view: A view of numbers without None.

    Returns:
        The items from the view's lowest to its highest, writable.

    Raises:
        TypeError: Its elements are no plain numbers.
        MemoryError: No address space is left.
    """

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
        """

    def token(self) -> bytes:
        """Makes a token for another process.

        Returns:
            64 bytes. They count as an interest in the image until they are attached once.
        """

    @property
    def nbytes(self) -> int:
        """Bytes of the image."""

    def buffer(self, offset: int, byte_len: int) -> ImageBuffer:
        """Exports part of the image, read-only.

        Args:
            offset: Where it begins, in bytes from the image's start.
            byte_len: How long it is, in bytes.

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
    def image(self) -> Image:
        """The image that this is a part of."""

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
    """An array's data while its image is built: writable until it is sealed."""

    @property
    def sealed(self) -> bool:
        """Whether the image is complete, so that what is written here stays in this process."""

    @property
    def address(self) -> int:
        """Address of the first byte of data."""

    @property
    def nbytes(self) -> int:
        """Number of bytes of data."""

    def fill(self, source: Buffer | _Array) -> None:
        """Copies all data from a contiguous buffer of as many bytes; large ones by two threads.

        Args:
            source: Bytes (format `B`), as many as `nbytes`.

        Raises:
            ValueError: The source has another length, or gaps.
            BufferError: The image is complete already.
        """

    def publish(self) -> Image:
        """Makes the image visible and immutable. Nobody may write here afterwards.

        Returns:
            The image.

        Raises:
            BufferError: The image is complete already.
        """

    def seal(self, dtype: str, item_size: int, shape: Sequence[int], strides: Sequence[int]) -> Image | None:
        """Like `publish`, but the memory stays valid and becomes private to this process.

        Args:
            dtype: What NumPy calls the type of the elements.
            item_size: Bytes per element.
            shape: Elements along each dimension.
            strides: Bytes from one element to the next along each dimension.

        Returns:
            The image; None if it cannot be done in place, because the memory came here by fork, is sealed already, or
            this description needs a longer head.

        Raises:
            ValueError: Shape and strides reach past the data.
            TimeoutError: Another process is stopped while it holds the store's lock.
        """

    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

def array_allocate(
    dtype: str, item_size: int, shape: Sequence[int], strides: Sequence[int], byte_len: int, huge: _Huge
) -> BuildBuffer:
    """Takes memory for an array and describes it; the data are zero.

    Args:
        dtype: What NumPy calls the type of the elements.
        item_size: Bytes per element.
        shape: Elements along each dimension.
        strides: Bytes from one element to the next along each dimension, none negative.
        byte_len: Bytes of data.
        huge: Whether to use pages of 2 MiB.

    Returns:
        The writable data.

    Raises:
        ValueError: Shape and strides reach past `byte_len`.
        MemoryError: There is not enough memory.
    """

def array_geometry(image: Image) -> tuple[str, tuple[int, ...], tuple[int, ...], int, int]:
    """Reads what an image says of its array.

    Args:
        image: The image of an array.

    Returns:
        Type, shape, strides in bytes, offset of the data in the image, bytes of data.

    Raises:
        CorruptImage: It is not the image of an array.
    """

@final
class Stats:
    """Figures of this process's store at one moment; sizes in bytes."""

    @property
    def live_objects(self) -> int:
        """Shared objects that can be read."""

    @property
    def building_objects(self) -> int:
        """Objects being built, among them arrays born in the store and not yet shared."""

    @property
    def dying_objects(self) -> int:
        """Objects whose memory is being given back."""

    @property
    def holds(self) -> int:
        """Holds: one per object and process that uses it."""

    @property
    def units(self) -> int:
        """Pickled tokens that nobody has unpickled yet."""

    @property
    def processes(self) -> int:
        """Processes that use the store."""

    @property
    def allocated_bytes(self) -> int:
        """Bytes of all objects, in whole pages."""

    @property
    def occupied_bytes(self) -> int:
        """Bytes of memory that the store occupies, its own tables included."""

    @property
    def max_bytes(self) -> int:
        """Quota for `allocated_bytes`; 0 means none."""

    @property
    def capacity_bytes(self) -> int:
        """Address space set aside for the store, which costs no memory."""

    def to_dict(self) -> dict[str, int]:
        """Returns the figures as a dict."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Collected:
    """What `collect()` gave back."""

    @property
    def processes(self) -> int:
        """Dead processes that were recovered."""

    @property
    def holds(self) -> int:
        """Holds they had left behind."""

    @property
    def units(self) -> int:
        """Pickled tokens that were given up because of their age."""

    @property
    def objects(self) -> int:
        """Objects that went with these."""

    @property
    def bytes(self) -> int:
        """Bytes of those objects."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

def stats() -> Stats:
    """Returns figures of this process's store, which is made if there is none yet.

    Returns:
        Counts and sizes in bytes.

    Raises:
        TimeoutError: Another process is stopped while it holds the store's lock.

    Example:
        >>> import onecopy
        >>> before = onecopy.stats().live_objects
        >>> view = onecopy.share([1, 2, 3])
        >>> onecopy.stats().live_objects - before
        1
    """

def collect(max_age: float | None = None) -> Collected:
    """Gives back what nobody needs: holds of dead processes and, with `max_age`, tokens that were never unpickled.

    A pickled view keeps its object alive until it is unpickled once, as it may be on its way. One that was lost or
    thrown away keeps it until this is called.

    Args:
        max_age: Age in seconds from which on tokens are given up; None keeps them all.

    Returns:
        What was given back.

    Raises:
        ValueError: `max_age` is negative or no number.
        TimeoutError: Another process is stopped while it holds the store's lock.

    Example:
        >>> import onecopy
        >>> onecopy.collect().units
        0
    """

@final
class ProcessMemory:
    """One process's memory; sizes in bytes, as the kernel accounts for them."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def parent(self) -> int:
        """Its parent's id."""

    @property
    def name(self) -> str:
        """Its name, at most 15 bytes."""

    @property
    def threads(self) -> int:
        """Threads."""

    @property
    def rss(self) -> int:
        """Pages present, each counted in full however many processes map it."""

    @property
    def pss(self) -> int:
        """Pages present, each divided by the number of its mappings."""

    @property
    def uss(self) -> int:
        """Pages that only this process maps."""

    @property
    def shared(self) -> int:
        """Pages mapped more than once."""

    @property
    def private_dirty(self) -> int:
        """The written part of `uss`."""

    @property
    def pss_shmem(self) -> int | None:
        """The part of PSS in shared memory; None before Linux 5.9."""

    @property
    def swap(self) -> int:
        """Anonymous memory swapped out."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class SkippedProcess:
    """A process of the tree that could not be measured."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def name(self) -> str:
        """Its name, at most 15 bytes."""

    @property
    def reason(self) -> str:
        """`"exited"`, `"vanished"` or `"denied"`."""

    @property
    def rss(self) -> int | None:
        """Its RSS in bytes, if that at least could be read."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class StoreMemory:
    """A store that the tree maps, counted once however many processes map it."""

    @property
    def id(self) -> str:
        """The store's id."""

    @property
    def allocated(self) -> int | None:
        """Bytes of memory that it occupies, touched or not; None if no descriptor of it may be read."""

    @property
    def pids(self) -> list[int]:
        """Ids of the processes that map it."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@final
class Report:
    """What a process tree's memory is made of, and how many copies of its data exist.

    Printed, it is a table. Sums are None as soon as one living process could not be read: a part is never shown as
    the whole.
    """

    @property
    def root(self) -> int:
        """Id of the process at the top."""

    @property
    def complete(self) -> bool:
        """Whether every living process of the tree was read, in one steady pass."""

    @property
    def copies(self) -> float | None:
        """Physical copies of the tree's data: 1.00 is one copy; None if it cannot be told."""

    @property
    def copies_reason(self) -> str | None:
        """Why `copies` is None."""

    @property
    def sum_rss(self) -> int | None:
        """What adding up `ps` or `top` would say, in bytes."""

    @property
    def sum_pss(self) -> int | None:
        """Physical memory of the tree in bytes, if all who share it are in it."""

    @property
    def sum_uss(self) -> int | None:
        """Bytes that only one process of the tree maps, added up."""

    @property
    def sum_private_dirty(self) -> int | None:
        """Bytes that only one process maps and that were written, added up."""

    @property
    def allocated(self) -> int | None:
        """Bytes of memory that stores occupy, each store counted once."""

    @property
    def processes(self) -> list[ProcessMemory]:
        """The processes, parents before children."""

    @property
    def skipped(self) -> list[SkippedProcess]:
        """Processes that could not be measured, and why."""

    @property
    def stores(self) -> list[StoreMemory]:
        """The stores that the tree maps."""

    @property
    def limits(self) -> list[str]:
        """What the numbers cannot tell here, in plain words."""

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as dicts and lists."""

def memory(pid: int | None = None, children: bool = True) -> Report:
    """Measures the memory of a process and its children, from the kernel's own accounting.

    Args:
        pid: The process; by default this one.
        children: Whether to measure all processes below it as well.

    Returns:
        A report that prints as a table. A process that may not be looked into is in `skipped`, and leaves the sums
        None.

    Raises:
        ProcessLookupError: There is no such process.

    Example:
        >>> import onecopy
        >>> report = onecopy.memory()
        >>> report.complete and report.sum_pss <= report.sum_rss
        True
    """

def _cli_main(argv: Sequence[str]) -> int:
    """Runs the `onecopy` command.

    Args:
        argv: The command line, the program's name first.

    Returns:
        The exit code.
    """
