"""Runs in every Python program that `onecopy run --why` starts: installs the table of objects, then steps aside."""

from __future__ import annotations

import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib would be loaded into every program
_others = [entry for entry in sys.path if entry != _folder]
_side = os.environ.get("ONECOPY_SIDE")


def _is_untrusted() -> bool:
    """Whether somebody with fewer rights wrote the environment (AT_SECURE in getauxval(3)), without the extension."""
    try:
        with open("/proc/self/auxv", "rb") as file:  # noqa: PTH123 - see above
            words = memoryview(file.read()).cast("L")
    except OSError:
        return True
    return bool(dict(zip(words[::2], words[1::2], strict=True)).get(23, 1))


if _side and os.environ.get("ONECOPY_OBJECTS") and not _is_untrusted():
    import onecopy_objects  # type: ignore[import-not-found]

    onecopy_objects.install(_side)
# The program sees the path, and the sitecustomize, that it would have had.
sys.path[:] = _others
_own = sys.modules.pop("sitecustomize")
try:
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401 - imported for its effects
except ImportError:
    sys.modules["sitecustomize"] = _own
