"""`multiprocessing.managers` without a server process; `onecopy.managers` by the name that programs import."""

from onecopy.managers import *  # noqa: F403
from onecopy.managers import __all__ as __all__  # noqa: PLC0414
