"""A process that imports its parent's main module makes its own of what the module makes. It is told so, once."""

from __future__ import annotations

import sys
import warnings
from typing import Final

__all__ = ["check"]

_has_warned = False


_PACKAGE: Final = f"{__file__.rpartition('/')[0]}/"


def check() -> None:
    """Warns, the first time, if this process has just been started and imports its main module.

    The warning names the line of the program, whatever of this package lies in between.
    """
    global _has_warned  # noqa: PLW0603 - once per process
    processes = sys.modules.get("multiprocessing.process")
    # Set from the start of a spawned process to the end of its imports, in a fork server while it imports.
    if _has_warned or processes is None or not getattr(processes.current_process(), "_inheriting", False):
        return
    _has_warned = True
    text = (
        "this is made while a new process imports the main module, so it is this process's own, and not its parent's; "
        'make it under `if __name__ == "__main__":` and pass it as an argument, or with '
        "Pool(initializer=..., initargs=(it,))"
    )
    level, frame = 1, sys._getframe()  # noqa: SLF001 - CPython's, and what `warnings` does itself
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, RuntimeWarning, stacklevel=level)
