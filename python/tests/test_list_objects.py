"""The objects that `onecopy.List` makes of its elements: whole lists, strs and numbers that are written once more."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable

LIST: Any = onecopy.List
GAPS: list[int] = []


def look_for_gaps() -> str:
    """Counts lists some of whose places are empty, which no code may ever find."""
    lists = [found for found in gc.get_objects() if type(found) is list]
    GAPS.append(sum(len(gc.get_referents(found)) != len(found) for found in lists))
    return "unpickled"


class Looks:
    """Unpickling it looks for lists with gaps."""

    def __reduce__(self) -> tuple[Callable[[], str], tuple[()]]:
        return look_for_gaps, ()


@pytest.mark.parametrize(
    "read",
    [
        lambda shared: shared.copy(),
        list,
        lambda shared: shared[:],
        lambda shared: shared[::-1][::-1],
        lambda shared: [*shared],
    ],
    ids=["copy", "list", "slice", "step", "loop"],
)
def test_code_that_runs_while_a_list_is_made_finds_none_with_gaps(read: Callable[[Any], list[Any]]) -> None:
    shared = LIST([2**40, "a str of some length", Looks(), 1.5, None, b"bytes", 2**90])
    GAPS.clear()
    assert read(shared) == [2**40, "a str of some length", "unpickled", 1.5, None, b"bytes", 2**90]
    assert GAPS == [0]


def some(kind: str) -> list[Any]:
    """600 elements: more than a page of a list."""
    make: dict[str, Callable[[int], Any]] = {
        "ascii": lambda number: f"{number:016x}",
        "lengths": lambda number: "x" * (number % 70) + str(number % 10),
        "latin": lambda number: f"{number:015x}é",
        "wide": lambda number: f"{number:015x}" + chr(0x20AC if number % 2 else 0x1F600),
        "ints": lambda number: number * 7**9 - 3 * 10**9,
        "floats": lambda number: number / 3,
        "mixed": lambda number: (f"{number:016x}", number * 7**9, number / 3, b"%d" % number, f"{number:015x}é")[
            number % 5
        ],
    }
    return [make[kind](number) for number in range(600)]


KINDS = ["ascii", "lengths", "latin", "wide", "ints", "floats", "mixed"]


@pytest.mark.parametrize("kind", KINDS)
def test_objects_that_are_kept_stay_as_they_are(kind: str) -> None:
    values = some(kind)
    shared = LIST(values)
    for step in (1, 2, 3, 7):
        # Every step-th object is kept, the others are looked at and let go.
        kept = {at: shared[at] for at in range(0, 600, step)}
        looked_at = [(len(str(shared[at])), hash(shared[at])) for at in range(600)]
        assert looked_at == [(len(str(value)), hash(value)) for value in values]
        assert kept == {at: values[at] for at in range(0, 600, step)}
        picked = [value for at, value in enumerate(shared) if at % step == 0]
        assert picked == values[::step]
    assert list(shared) == shared.copy() == list(reversed(list(reversed(shared)))) == values


@pytest.mark.parametrize("kind", KINDS)
def test_hashes_and_keys_are_those_of_the_text_that_is_there_now(kind: str) -> None:
    values = some(kind)
    shared = LIST(values)
    assert [hash(value) for value in shared] == [hash(value) for value in values]
    assert {shared[at]: at for at in range(600)} == {value: at for at, value in enumerate(values)}
    while shared:
        value = values.pop()
        assert hash(shared.pop()) == hash(value)
