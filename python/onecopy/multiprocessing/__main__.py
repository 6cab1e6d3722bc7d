"""`python -m onecopy.multiprocessing PROGRAM ARGS`: runs a program with the Manager that needs no server."""

from __future__ import annotations

import io
import os
import runpy
import sys
import types

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
    install()
    if arguments[0] == "-m":
        if len(arguments) == 1:
            sys.stderr.write(_USAGE)
            return 2
        sys.argv[:] = arguments[1:]
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as the interpreter does
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    _run(arguments)
    return 0


def _run(arguments: list[str]) -> None:
    """Runs a file as `python FILE` does: spawned processes import it by its path."""
    path = arguments[0]
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec")
    sys.argv[:] = arguments
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120 - as the interpreter does
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # noqa: S102 - the program that the user has named


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
