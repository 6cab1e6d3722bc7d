"""Classes of attrs, for tests that share their instances: a module of its own, as attrs may not be there."""

from __future__ import annotations

import attrs


@attrs.define
class Defined:
    x: int
    y: list[int] = attrs.field(factory=list)


@attrs.frozen
class Frozen:
    x: int


@attrs.define(slots=False)
class WithDict:
    x: int
