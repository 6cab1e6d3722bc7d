"""What a fork server preloads for the row about it: data, frozen before the first worker starts."""

from __future__ import annotations

import os

import freezing
import onecopy

DATA = freezing.MAKERS["dataclass"](int(os.environ["FREEZING_SIZE"]))
onecopy.freeze(DATA)
