"""The `onecopy` command, also as `python -m onecopy`."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line and returns its exit code.

    Example:
        >>> from onecopy.__main__ import main
        >>> callable(main)
        True
    """
    from onecopy._onecopy import _cli_main

    return _cli_main(["onecopy", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
