"""Images in files and buffers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from onecopy import _content, _onecopy, _progress

if TYPE_CHECKING:
    from _typeshed import StrOrBytesPath
    from typing_extensions import Buffer

    from onecopy._onecopy import ImageBuffer
    from onecopy._progress import Progress

Validate = Literal["lazy", "full"]


def save(data: object, path: StrOrBytesPath, *, progress: Progress = False) -> None:
    """Writes the image of `data` to a file, which `open()` maps.

    The file is written in the folder of `path`, flushed to the disk and renamed, so that a crash at any moment leaves
    the old file or the new one. Until then nobody but this user can read it. It gets the rights of the file that it
    replaces, or those that the umask allows if there is none; the rights of somebody else's file only take some of
    these away.

    A symbolic link stays, and the file that it leads to is written, be it there yet or not. In a folder that everybody
    can write to, like /tmp, links and files of others are refused, unless they are of the folder's owner.

    Args:
        data: Whatever `share()` takes, or a view. Of a container that workers write to, what it holds now.
        path: The file. If it exists, it is replaced; whatever is no regular file is refused.
        progress: As for `share()`.

    Raises:
        Unsupported: (a `TypeError`) Something cannot be pickled; the text names the path to it.
        IsADirectoryError, PermissionError: It is a folder; or a link or file of somebody else, as said above.
        OSError: It is a pipe, device or socket; or cannot be written, as on a full disk. Nothing is left then.

    Example:
        >>> import onecopy, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "data.onecopy")
        >>> onecopy.save({"a": [1, 2, 3]}, path)
        >>> onecopy.open(path)["a"][2]
        3
    """
    with _progress.reporter(progress) as report:
        _onecopy.save_graph(_content.plain(data), os.fsdecode(path), report)


def open(  # noqa: A001 - as in `gzip.open`; used by its full name
    path: StrOrBytesPath, *, allow_pickle: bool = False, validate: Validate = "lazy", copy: bool = False
) -> Any:
    """Maps a file that `save()` wrote and returns a view of it.

    It takes microseconds whatever the size. Pages are read when they are touched; the page cache is the one copy for
    all processes. The file must not be changed or shortened while views of it exist: what it shows would change, and a
    process that reads past its new end dies by SIGBUS. `save()` never does that, as it replaces files.

    Args:
        path: The file.
        allow_pickle: Whether pickled elements may be read. Unpickling runs code: allow it for files that you trust.
        validate: `"lazy"` checks what is read when it is read; `"full"` looks at everything first.
        copy: Whether to copy the file into the store first, after which it may be changed.

    Returns:
        What `share()` would have returned. It pickles to the file's path, and is refused elsewhere if the file is
        another one meanwhile (`ValueError`) or cannot be read there (`AttachError`).

    Raises:
        CorruptImage: The file is empty, no image, cut short, damaged, or of a newer format; `offset` says where.
        FileNotFoundError, PermissionError, IsADirectoryError: As for any file.
        OSError: It is a pipe, device or socket. None of them is waited for.
    """
    _check_validate(validate)
    return _onecopy.open_file(os.fsdecode(path), allow_pickle, validate == "full", copy)


def from_buffer(buffer: Buffer, *, allow_pickle: bool = False, validate: Validate = "lazy") -> Any:
    """Returns a view of the image in a buffer, as an engine carries it from machine to machine.

    Nothing is copied if the buffer is `bytes`, or memory of an image (what `image_of()` returned), or a memoryview of
    either, and starts at an address that is a multiple of 8. Anything else is copied, read-only or not, as its owner
    could change what the view shows.

    Args:
        buffer: Bytes of an image: those of a file, or `image_of(view)`.
        allow_pickle: Whether pickled elements may be read. Unpickling runs code.
        validate: `"lazy"` or `"full"`, as for `open()`.

    Returns:
        What `share()` would have returned. It pickles by its content.

    Raises:
        CorruptImage: The bytes are no image; `offset` says where.

    Example:
        >>> import onecopy
        >>> view = onecopy.share({"a": [1, 2, 3]})
        >>> onecopy.from_buffer(bytes(onecopy.image_of(view))) == view
        True
    """
    _check_validate(validate)
    return _onecopy.open_buffer(buffer, allow_pickle, validate == "full")


def image_of(view: object) -> memoryview:
    """Returns the bytes of the image that a view shows the whole of, without a copy.

    Args:
        view: What `share()`, `open()` or `from_buffer()` returned.

    Returns:
        Read-only bytes, which `from_buffer()` turns back into a view.

    Raises:
        TypeError: It is no view, or a view of a part; `share()` the part by itself.
    """
    image = _onecopy.image_of_view(view)
    if image is None:
        numpy_image = _image_of_array(view)
        if numpy_image is None or numpy_image.node != 0:
            raise TypeError(f"view: expected a view of a whole image, found {type(view).__qualname__}")
        image = numpy_image.image
    buffer: Any = image.buffer(0, image.nbytes, 0)
    return memoryview(buffer)


def _image_of_array(view: object) -> ImageBuffer | None:
    # Of whatever else says that it is an array, and before numpy is needed for it.
    if not hasattr(view, "__array_interface__"):
        return None
    import numpy as np

    from onecopy import _array

    return _array.image_of(view) if isinstance(view, np.ndarray) else None


def _check_validate(validate: str) -> None:
    if validate not in {"lazy", "full"}:
        raise ValueError(f'validate must be "lazy" or "full", not {validate!r}')
