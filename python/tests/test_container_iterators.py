"""Iterators of containers that are asked for something while they are in use; keys that could not be made again."""

from __future__ import annotations

import datetime as dt
import operator
from typing import Any

import pytest

import onecopy

LIST: Any = onecopy.List
DICT: Any = onecopy.Dict
ITERATORS: list[Any] = []


def ask() -> tuple[int, Any]:
    """What an element does that looks at the iterator which is just reading it."""
    return operator.length_hint(ITERATORS[-1]), next(ITERATORS[-1], None)


class Asking:
    """Is unpickled as what `ask` answers."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ask, ()


@pytest.mark.parametrize(
    "over",
    [
        lambda: LIST([Asking(), 5, 6]),
        lambda: DICT({1: Asking(), 2: 5, 3: 6}).values(),
    ],
)
def test_an_element_that_asks_its_own_iterator_gets_the_next_one(over: Any) -> None:
    container = over()
    ITERATORS.append(iter(container))
    assert list(ITERATORS[-1]) == [(2, 5), 6]
    ITERATORS.append(iter(container))
    kind, (left,) = ITERATORS[-1].__reduce__()
    assert kind is iter
    assert [left[1], left[2]] == [5, 6]


def test_a_time_that_is_outside_all_years_in_utc_is_no_key() -> None:
    shared = DICT()
    for zone, time in ((14, dt.datetime(1, 1, 1)), (-12, dt.datetime(9999, 12, 31, 23))):  # noqa: DTZ001 - below
        key = time.replace(tzinfo=dt.timezone(dt.timedelta(hours=zone)))
        with pytest.raises(TypeError, match="outside the years"):
            shared[key] = 1
    assert list(shared) == []


def test_a_comparison_that_changes_the_list_ends_a_removal() -> None:
    shared = LIST([1, 2, 3])

    class Changing:
        def __eq__(self, other: object) -> bool:
            shared.append(0)
            return other == 3

        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(ValueError, match="list modified during remove"):
        shared.remove(Changing())
    assert shared.to_python()[:3] == [1, 2, 3]
    shared.remove(2)
    assert shared.to_python()[:2] == [1, 3]
