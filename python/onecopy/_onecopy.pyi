"""The native part of onecopy; import `onecopy` instead."""

from collections.abc import Callable, Sequence
from typing import (
    Any,
    Final,
    Literal,
    TypeAlias,
)

from typing_extensions import Buffer

from onecopy._stubs.errors import (
    AttachDenied,
    AttachError,
    CorruptImage,
    FreezeRefused,
    FreezeUnsupported,
    Gone,
    OnecopyError,
    Unsupported,
)
from onecopy._stubs.freezing import (
    _freeze_header,
    _freeze_is_main,
    _freeze_look,
    _freeze_rows,
    _freeze_seal,
    _freeze_trouble,
    _freeze_walk,
    is_frozen,
)
from onecopy._stubs.images import BuildBuffer, Image, ImageBuffer, PrivateBuffer
from onecopy._stubs.meter import (
    ProcessMemory,
    Report,
    Sampler,
    SkippedProcess,
    StoreMemory,
    _buffer_range,
    _bytes_before,
    _digest,
    _fork_count,
    _held_by,
    _layouts,
    _measure_ranges,
    _note_forks,
    _relatives,
    memory,
)
from onecopy._stubs.stores import Collected, Stats, collect, stats
from onecopy._stubs.views import (
    DictView,
    FrozenSetView,
    ListView,
    NamedTupleView,
    ObjectView,
    RecordView,
    RowView,
    SetView,
    TableView,
    TupleView,
)

_Huge: TypeAlias = Literal["auto"] | bool

__all__ = [
    "AttachDenied",
    "AttachError",
    "BuildBuffer",
    "Collected",
    "CorruptImage",
    "DictView",
    "FreezeRefused",
    "FreezeUnsupported",
    "FrozenSetView",
    "Gone",
    "Image",
    "ImageBuffer",
    "ListView",
    "NamedTupleView",
    "ObjectView",
    "OnecopyError",
    "PrivateBuffer",
    "ProcessMemory",
    "RecordView",
    "Report",
    "RowView",
    "Sampler",
    "SetView",
    "SkippedProcess",
    "Stats",
    "StoreMemory",
    "TableView",
    "TupleView",
    "Unsupported",
    "__version__",
    "_attach_node",
    "_attach_row",
    "_attach_table",
    "_attach_view",
    "_buffer_image",
    "_buffer_range",
    "_bytes_before",
    "_cli_main",
    "_digest",
    "_environment_is_untrusted",
    "_file_image",
    "_fork_count",
    "_freeze_header",
    "_freeze_is_main",
    "_freeze_look",
    "_freeze_rows",
    "_freeze_seal",
    "_freeze_trouble",
    "_freeze_walk",
    "_held_by",
    "_hold_side_folder",
    "_image",
    "_image_behind",
    "_layouts",
    "_measure_ranges",
    "_note_forks",
    "_real",
    "_relatives",
    "_write_report",
    "array_allocate",
    "array_share",
    "array_shown",
    "collect",
    "image_of_view",
    "is_frozen",
    "memory",
    "open_buffer",
    "open_file",
    "private_items",
    "save_graph",
    "share_graph",
    "stats",
]

__version__: Final[str]
_environment_is_untrusted: Final[bool]

def share_graph(data: Any, huge: _Huge | None = None, progress: Callable[[str, int, int], object] | None = None) -> Any:
    """Shares any object and returns a view of it; see `onecopy.share`."""

def _attach_view(
    image: Image | bytes, start: int, step: int, len: int, node: int | None = None
) -> ListView[Any] | TupleView[Any]: ...
def _attach_node(image: Image, node: int) -> Any: ...
def _attach_row(image: Image, table: int, row: int) -> Any: ...
def _attach_table(image: Image, node: int, start: int, step: int, len: int) -> TableView: ...
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

def _real(view: Any) -> Any: ...
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
