"""A process that imports its parent's main module makes its own of what the module makes. It is told so, once."""

from __future__ import annotations

import sys
import warnings

__all__ = ["check"]

_has_warned = False


def check(level: int = 2) -> None:
    """Warns, the first time, if this process has just been started and imports its main module.

    Args:
        level: Which caller the warning names, as of `warnings.warn`.
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
    warnings.warn(text, RuntimeWarning, stacklevel=level + 1)
