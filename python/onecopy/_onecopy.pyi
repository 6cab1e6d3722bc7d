"""The native part of onecopy; import `onecopy` instead."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import (
    Any,
    Final,
    Literal,
    Self,
    SupportsIndex,
    TypeAlias,
    TypedDict,
    final,
)

import numpy as np
from typing_extensions import Buffer

from onecopy._stubs.arrays import ArrayMemory
from onecopy._stubs.freezing import (
    _freeze_header,
    _freeze_look,
    _freeze_rows,
    _freeze_seal,
    _freeze_trouble,
    _freeze_walk,
    is_frozen,
)
from onecopy._stubs.images import BuildBuffer, Image, ImageBuffer, PrivateBuffer
from onecopy.containers import Counter, Dict, List, Set, Value, WriterLock
from onecopy.errors import (
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
from onecopy.meter import Report
from onecopy.sync import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lease,
    LifoQueue,
    Lock,
    Queue,
    RLock,
    Semaphore,
)
from onecopy.views import (
    ArrayView,
    BytesView,
    CallableView,
    DictView,
    FrozenSetView,
    ListView,
    NamedTupleView,
    ObjectView,
    RecordView,
    RowView,
    SetView,
    StrView,
    TableView,
    TupleView,
    TypedView,
)

_Huge: TypeAlias = Literal["auto"] | bool
_Array: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[Any]]

__all__ = [
    "ArrayMemory",
    "ArrayView",
    "AttachDenied",
    "AttachError",
    "Barrier",
    "BoundedSemaphore",
    "BuildBuffer",
    "BytesView",
    "CallableView",
    "Condition",
    "CorruptImage",
    "Counter",
    "Dict",
    "DictView",
    "Event",
    "FreezeRefused",
    "FreezeUnsupported",
    "FrozenSetView",
    "Gone",
    "Image",
    "ImageBuffer",
    "KernelError",
    "Lease",
    "LifoQueue",
    "List",
    "ListView",
    "Lock",
    "NamedTupleView",
    "ObjectView",
    "OnecopyError",
    "PrivateBuffer",
    "Queue",
    "RLock",
    "RecordView",
    "RowView",
    "Sampler",
    "Semaphore",
    "Set",
    "SetView",
    "StrView",
    "TableView",
    "TupleView",
    "TypedView",
    "Unsupported",
    "Value",
    "WriterLock",
    "__version__",
    "_attach_barrier",
    "_attach_bounded",
    "_attach_condition",
    "_attach_counter",
    "_attach_dict",
    "_attach_event",
    "_attach_lifo_queue",
    "_attach_list",
    "_attach_lock",
    "_attach_node",
    "_attach_queue",
    "_attach_rlock",
    "_attach_row",
    "_attach_run",
    "_attach_semaphore",
    "_attach_set",
    "_attach_table",
    "_attach_text",
    "_attach_value",
    "_attach_view",
    "_buffer_image",
    "_buffer_range",
    "_bytes_before",
    "_cli_main",
    "_collect",
    "_containers",
    "_digest",
    "_environment_is_untrusted",
    "_file_image",
    "_fork_count",
    "_freeze_header",
    "_freeze_look",
    "_freeze_rows",
    "_freeze_seal",
    "_freeze_trouble",
    "_freeze_walk",
    "_guarded_text",
    "_held_by",
    "_hold_side_folder",
    "_image",
    "_image_behind",
    "_layouts",
    "_measure_graph",
    "_measure_ranges",
    "_memory",
    "_namespace_entries",
    "_note_forks",
    "_real",
    "_record_dict",
    "_record_field",
    "_record_hash",
    "_record_layout",
    "_record_same",
    "_register_record_class",
    "_relatives",
    "_report_text",
    "_stats",
    "_write_report",
    "array_allocate",
    "array_share",
    "array_shown",
    "image_of_view",
    "is_container",
    "is_frozen",
    "open_buffer",
    "open_file",
    "private_items",
    "save_graph",
    "share_graph",
]

__version__: Final[str]
_environment_is_untrusted: Final[bool]

def share_graph(
    data: Any,
    huge: _Huge | None = None,
    progress: Callable[[str, int, int], object] | None = None,
    judge: Callable[[list[tuple[str, type, int, int]]], object] | None = None,
) -> Any:
    """Shares any object and returns a view of it; see `onecopy.share`."""

def _measure_graph(data: Any) -> tuple[int, list[tuple[str, type, int, int]]]: ...
def _attach_view(
    image: Image | bytes, start: int, step: int, len: int, node: int | None = None
) -> ListView[Any] | TupleView[Any]: ...
def _attach_list(token: bytes) -> List[Any]: ...
def _attach_dict(token: bytes) -> Dict[Any, Any]: ...
def _namespace_entries(is_managed: bool) -> Dict[str, Any]: ...
def _attach_set(token: bytes) -> Set[Any]: ...
def _attach_counter(token: bytes) -> Counter[Any]: ...
def _attach_value(token: bytes) -> Value[Any]: ...
def _attach_queue(token: bytes) -> Queue[Any]: ...
def _attach_lifo_queue(token: bytes) -> LifoQueue[Any]: ...
def _attach_lock(token: bytes) -> Lock: ...
def _attach_rlock(token: bytes) -> RLock: ...
def _attach_semaphore(token: bytes) -> Semaphore: ...
def _attach_bounded(token: bytes) -> BoundedSemaphore: ...
def _attach_event(token: bytes) -> Event: ...
def _attach_condition(token: bytes) -> Condition: ...
def _attach_barrier(token: bytes, action: Callable[[], object] | None, timeout: float | None) -> Barrier: ...
def _guarded_text(dict: Dict[Any, Any], again: str, make: Callable[[], str]) -> str: ...
def _attach_node(image: Image, node: int) -> Any: ...
def _attach_row(image: Image, table: int, row: int) -> Any: ...
def _attach_run(
    image: Image, name: str, offset: int, count: int, start: int, step: int, len: int
) -> BytesView | ArrayView[Any]: ...
def _attach_text(image: Image, kind: int, offset: int, count: int, start: int, step: int, len: int) -> StrView: ...
def _attach_table(image: Image, node: int, start: int, step: int, len: int) -> TableView[Any]: ...
def _image(token: bytes, allow_pickle: bool) -> Image: ...
def _file_image(path: str, identity: tuple[int, int, int], allow_pickle: bool) -> Image: ...
def _buffer_image(content: bytes, allow_pickle: bool) -> Image: ...
def save_graph(data: Any, path: str, progress: Callable[[str, int, int], object] | None = None) -> None:
    """Writes the image of any object to a file; see `onecopy.save`."""

def open_file(path: str, allow_pickle: bool, full: bool, copy: bool) -> Any:
    """Maps the image in a file; see `onecopy.open`."""

def open_buffer(buffer: Buffer, allow_pickle: bool, full: bool) -> Any:
    """Shows the image in a buffer; see `onecopy.from_buffer`."""

def image_of_view(view: Any) -> Image | None:
    """Finds the image that a view shows the whole of; None for views of a part."""

def is_container(object: object) -> bool:
    """Tells whether an object stands for a container, or for a lock, a queue and the like."""

def _real(view: Any) -> Any: ...
def _record_dict(view: Any, slots: tuple[str, ...] | None = None) -> dict[str, Any]: ...
def _record_field(view: Any, name: str) -> Any: ...
def _record_hash(view: Any) -> int: ...
def _record_layout(class_: type, slot_count: int) -> bool | None: ...
def _record_same(view: Any, other: object) -> bool: ...
def _register_record_class(class_: type) -> None: ...
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

def array_share(array: _Array, dtype: str, huge: _Huge) -> tuple[ImageBuffer, str, tuple[int, ...], tuple[int, ...]]:
    """Copies an array into the store.

    Args:
        array: Any array without objects.
        dtype: What NumPy calls the type of the elements.
        huge: Whether to use pages of 2 MiB.

    Returns:
        What NumPy shows the image by; see `array_shown`.

    Raises:
        MemoryError: There is not enough memory.
    """

def array_allocate(dtype: str, item_size: int, shape: Sequence[int], fortran: bool, huge: _Huge) -> BuildBuffer:
    """Takes memory for an array without gaps and describes it; the data are zero.

    Args:
        dtype: What NumPy calls the type of the elements.
        item_size: Bytes per element.
        shape: Elements along each dimension.
        fortran: Whether the first axis is the fastest, and not the last.
        huge: Whether to use pages of 2 MiB.

    Returns:
        The writable data.

    Raises:
        ValueError: They would reach past the end of any address space.
        MemoryError: There is not enough memory.
    """

def array_shown(image: Image, node: int) -> tuple[ImageBuffer, str, tuple[int, ...], tuple[int, ...]]:
    """Says what NumPy shows an array of an image by.

    Args:
        image: The image that the array lies in.
        node: The array's node; 0 for the root.

    Returns:
        Memory, what NumPy calls the type of the elements, shape, strides in bytes.

    Raises:
        CorruptImage: It is not the image of an array.
    """

def _cli_main(argv: Sequence[str]) -> int:
    """Runs the `onecopy` command.

    Args:
        argv: The command line, the program's name first.

    Returns:
        The exit code.
    """

def _hold_side_folder(folder: str) -> None:
    """Holds a side folder until this process, and every child that it forks, has ended; removes those nobody holds.

    Args:
        folder: The folder, which is new.
    """

def _write_report(path: str, text: bytes) -> None:
    """Writes a file for this user alone, or with the rights of the one that it replaces.

    Args:
        path: The file.
        text: What it holds.

    Raises:
        OSError: It cannot be written, or is no regular file.
    """

def _image_behind(view: Any) -> Image | None:
    """The image that a view shows, or shows a part of.

    Args:
        view: Any object.

    Returns:
        None if it is no view, or one of a row.
    """

def _stats() -> list[tuple[str, int]]:
    """Figures of this process's store, by the names of `onecopy.store.Stats`."""

def _containers() -> list[dict[str, Any]]:
    """The containers of this process's store, by the names of `onecopy.store.ContainerStats`."""

def _collect(max_age: float | None) -> list[tuple[str, int]]:
    """Gives back what nobody needs; returns how much, by the names of `onecopy.store.Collected`.

    Args:
        max_age: Age in seconds from which on tokens are given up; None keeps them all.
    """

def _memory(pid: SupportsIndex | None, children: bool) -> Report:
    """Measures a process, and with `children` all below it; see `onecopy.memory`."""

def _report_text(json: str) -> str:
    """What `onecopy report` prints of a reading that is there as JSON."""

@final
class Sampler:
    """A thread that samples a process tree; use `onecopy.watch()` instead."""

    def __new__(
        cls, pid: SupportsIndex | None, overhead: float, side_folder: str | PathLike[str] | None, earlier: bool
    ) -> Self:
        """Starts at once.

        Args:
            pid: The process at the top; this one if None.
            overhead: The part of one processor that sampling may take.
            side_folder: Where tags are left.
            earlier: Whether descendants that are there already are in it.
        """

    def is_running(self) -> bool:
        """Whether it has neither ended nor been inherited by fork. One that is ending may still count as running."""

    def read(self) -> Report | None:
        """Reads now, and returns when that is done; None if there is nothing to read, or if it has ended."""

    def stop(self) -> None:
        """Takes a last reading and ends; again is no error, and neither is it in a forked child."""

    def report(self) -> Report | None:
        """The reading with the most physical memory."""

    def most_copied(self) -> Report | None:
        """The reading with the most copies of those in which another process had memory in common with somebody."""

    def forks(self) -> tuple[int, int]:
        """Forks noted, and processes that shared memory with somebody when they were read."""

    def max_copies(self) -> float | None:
        """The highest number of copies in any reading."""

    def json(self) -> str | None:
        """Everything, as JSON."""

    def html(self) -> str | None:
        """The report as a page."""

def _buffer_range(buffer: Any) -> tuple[int, int]:
    """Address and length of the memory behind an object with the buffer protocol.

    Args:
        buffer: The object.

    Returns:
        Both as numbers.

    Raises:
        TypeError: It has no buffer.
    """

class _RangesUse(TypedDict):
    """What one process has of some ranges of memory, in bytes."""

    shared: int
    copied: int
    new: int

class _Ranges(TypedDict):
    """What a measurement says of some ranges of this process's memory.

    `pages` are distinct ones that were inherited or shared, `frames` those behind them; `sharers` are who else has
    pages of what lies there in files or shared memory.
    """

    report: Report
    pages: int
    frames: int
    users: dict[int, _RangesUse]
    sharers: set[int]

def _layouts() -> list[tuple[str, str | None]]: ...
def _bytes_before(object: object) -> int:
    """Bytes that the interpreter keeps before an object: the collector's head, and managed pointers.

    Args:
        object: The object.

    Raises:
        TypeError: They are not known for this Python.
    """

def _held_by(object: object) -> tuple[int, int] | None:
    """Finds the memory of what a list, dict, set, frozenset or bytearray holds, without counting a reference.

    Args:
        object: The container.

    Returns:
        Address and length; None for anything else.

    Raises:
        TypeError: It is not known where this Python keeps it.
    """

def _digest(object: object) -> int:
    """Hashes the references that an object holds: with the same ones it lies in the same memory.

    Args:
        object: The object.

    Raises:
        TypeError: It is not known where this Python keeps them.
    """

def _measure_ranges(pid: SupportsIndex | None, name: str, ranges: Sequence[tuple[int, int]]) -> _Ranges:
    """Measures the tree below a process with some ranges of this one's memory named.

    Args:
        pid: The process at the top; this one if None.
        name: What the ranges are called.
        ranges: Addresses and lengths.
    """

def _note_forks() -> None: ...
def _fork_count() -> int: ...
def _relatives(pid: SupportsIndex | None) -> list[int]:
    """Processes of a tree, but this one, that are relatives of this one by fork.

    Args:
        pid: The process at the top; this one if None.

    Returns:
        Their numbers.
    """
