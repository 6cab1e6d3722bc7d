"""The way from one object to another, as an expression for people."""

from __future__ import annotations

import itertools
import types
from collections import deque
from typing import Any, Final

_SHOWN_STEPS: Final = 24
_SHOWN_KEY: Final = 40
_PLAIN_KEYS: Final = (str, int, float, bytes, bool, type(None))


def name(kind: type) -> str:
    """What a class is called."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def path(way: list[Any]) -> str:
    """The way from the root to its last object as an expression, as far as there is one."""
    steps: list[str] = []
    for holder, held in itertools.pairwise(way):
        step = _step(holder, held)
        if steps and steps[-1] == ".__dict__" and step.startswith("['"):
            steps[-1] = "." + step[2:-2]
        else:
            steps.append(step)
    if len(steps) > _SHOWN_STEPS:
        steps = [*steps[: _SHOWN_STEPS // 2], " … ", *steps[-_SHOWN_STEPS // 2 :]]
    return "obj" + "".join(steps)


def _step(holder: Any, held: Any) -> str:
    """How `holder` refers to `held`."""
    found: str | None = None
    if isinstance(holder, dict):
        found = _step_in_dict(holder, held)
    elif isinstance(holder, (list, tuple, deque)):
        found = _step_in_sequence(holder, held)
    elif isinstance(holder, (set, frozenset)) and any(one is held for one in holder):
        found = "{…}"
    return found or _step_in_attributes(holder, held) or " → "


def _step_in_dict(holder: dict[Any, Any], held: Any) -> str | None:
    for key, value in dict.items(holder):
        if value is held:
            return f"[{_key_text(key)}]"
        if key is held:
            return ".keys(){…}"
    return None


def _step_in_sequence(holder: list[Any] | tuple[Any, ...] | deque[Any], held: Any) -> str | None:
    for index, value in enumerate(holder):
        if value is held:
            fields = getattr(type(holder), "_fields", None)
            return f".{fields[index]}" if isinstance(fields, tuple) and index < len(fields) else f"[{index}]"
    return None


def _step_in_attributes(holder: Any, held: Any) -> str | None:
    for kind in type(holder).__mro__:
        for name, member in vars(kind).items():
            if isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType)):
                try:
                    value = member.__get__(holder)
                except Exception:  # noqa: BLE001, S112 - an empty slot
                    continue
                if value is held:
                    return f".{name}"
                if name == "__dict__" and isinstance(value, dict):
                    found = _step_in_dict(value, held)
                    if found:
                        return f".{found[2:-2]}" if found.startswith("['") else f".__dict__{found}"
    return None


def _key_text(key: Any) -> str:
    """A key for people. No class of the user's writes it."""
    if type(key) not in _PLAIN_KEYS:
        return f"<{name(type(key))}>"
    text = repr(key)
    return text if len(text) <= _SHOWN_KEY else text[: _SHOWN_KEY - 1] + "…"
