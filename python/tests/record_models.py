"""Models of pydantic, for tests that share their instances: a module of its own, as pydantic may not be there."""

from __future__ import annotations

import pydantic


class Model(pydantic.BaseModel):
    name: str
    tags: list[int] = []
    _private: int = pydantic.PrivateAttr(default=4)

    def total(self) -> int:
        return sum(self.tags)


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str
