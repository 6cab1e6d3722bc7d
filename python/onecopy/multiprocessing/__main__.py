"""`python -m onecopy.multiprocessing PROGRAM ARGS`: runs a program with the Manager that needs no server."""

from __future__ import annotations

import io
import os
import pkgutil
import runpy
import sys
import types
from typing import Any

from onecopy.multiprocessing import install

_USAGE = """usage: python -m onecopy.multiprocessing [-m MODULE | PROGRAM] [ARGS ...]

Runs a Python program with a multiprocessing.Manager() that needs no server process.

examples:
  python -m onecopy.multiprocessing train.py --epochs 3
  python -m onecopy.multiprocessing -m mypackage.train
"""


def main(arguments: list[str]) -> int:
    """Runs the program; returns 2 if there is none."""
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(_USAGE)
        return 0 if arguments else 2
    if arguments == ["-m"]:
        sys.stderr.write(_USAGE)
        return 2
    install()
    if arguments[0] == "-m":
        _run_module(arguments[1], arguments[1:], is_named=True)
        return 0
    return _run(arguments)


def _run(arguments: list[str]) -> int:
    """Runs a file, a folder or an archive as `python FILE` does: spawned processes import a file by its path."""
    path = os.path.abspath(arguments[0])  # noqa: PTH100 - as the interpreter does
    if pkgutil.get_importer(path) is not None:
        _set_folder(path)
        _run_module("__main__", arguments, is_named=False)
        return 0
    try:
        with io.open_code(path) as file:
            # Of a .pyc file; None for source.
            code = pkgutil.read_code(file)
        if code is None:
            with io.open_code(path) as file:
                code = compile(file.read(), path, "exec", dont_inherit=True)
    except OSError as error:
        text = f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}\n"
        sys.stderr.write(text)
        return 2
    sys.argv[:] = arguments
    if not sys.flags.safe_path:
        _set_folder(os.path.dirname(os.path.realpath(path)))  # noqa: PTH120 - as the interpreter does
    exec(code, _new_main(path).__dict__)  # noqa: S102 - the program that the user has named
    return 0


def _set_folder(folder: str) -> None:
    """Puts the program's folder where `-m` has put the current one."""
    if sys.flags.safe_path:
        sys.path.insert(0, folder)
    else:
        sys.path[0] = folder


def _new_main(path: str | None) -> types.ModuleType:
    module = types.ModuleType("__main__")
    if path is not None:
        module.__file__ = path
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    return module


def _run_module(name: str, arguments: list[str], *, is_named: bool) -> None:
    """Runs a module as `python -m` does, in a main module of its own."""
    sys.argv[:] = arguments
    _new_main(None)
    run: Any = runpy
    run._run_module_as_main(name, alter_argv=is_named)  # noqa: SLF001 - what the interpreter itself calls


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
