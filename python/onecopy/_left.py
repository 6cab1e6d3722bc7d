"""Files that a program leaves for whoever measures it: only its own ones, in folders that are its own.

This file stands alone, as `_objects.py`, `_handlers.py` and `_samples.py` do: the command hands them to interpreters
that do not have the package.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

__all__ = ["append", "create", "open_folder", "remove"]

_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC
"""No link leads elsewhere, and no other program gets it."""
_WRITE = _OPEN | os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
"""Nor is the other end of a pipe waited for."""
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def open_folder(path: str) -> int:
    """Opens a folder of this user that nobody else can write to, as a place for names.

    Raises:
        PermissionError: It is somebody else's, or others can write to it; the text says which.
        OSError: It is none, or cannot be opened.
    """
    folder = os.open(path, _OPEN | os.O_PATH | os.O_DIRECTORY)
    about = os.fstat(folder)
    user = os.geteuid()
    if about.st_uid == user and not about.st_mode & _OTHERS:
        return folder
    os.close(folder)
    if about.st_uid == user:
        raise PermissionError(errno.EACCES, "others can write to the folder; chmod go-w makes it private", path)
    raise PermissionError(
        errno.EACCES, f"the folder belongs to user {about.st_uid}, and this process is user {user}'s", path
    )


def append(folder: str, name: str, data: bytes) -> None:
    """Appends to a file of this user in such a folder, in one write.

    Raises:
        PermissionError: The folder or the file is somebody else's, or the file no regular one.
        OSError: The data cannot be written, or only a part of it.
    """
    place = open_folder(folder)
    try:
        file = os.open(name, _WRITE | os.O_APPEND, 0o600, dir_fd=place)
    finally:
        os.close(place)
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid():
            raise PermissionError(errno.EACCES, "not a regular file of this user", os.path.join(folder, name))  # noqa: PTH118
        if os.write(file, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.path.join(folder, name))  # noqa: PTH118
    finally:
        os.close(file)


def create(place: int, name: str) -> int:
    """Opens a new file for writing, in the place of what has the name in an open folder; nobody else can read it."""
    remove(place, name)
    return os.open(name, _WRITE | os.O_EXCL, 0o600, dir_fd=place)


def remove(place: int, name: str) -> None:
    """Takes a name in an open folder away, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=place)
