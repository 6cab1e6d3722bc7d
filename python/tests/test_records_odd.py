"""Instances of classes that are odd, and nested deeper than the stack is."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

import onecopy


class Base:
    """Has a slot."""

    __slots__ = ("first",)


class Again(Base):
    """Has the slot of its base once more."""

    __slots__ = ("first", "second")


class Link(NamedTuple):
    """A chain of these is nested as deep as it is long."""

    before: Any
    number: int


def test_a_slot_that_is_there_twice_is_no_trouble() -> None:
    one: Any = Again()
    one.first, one.second = 5, 6
    real: Any = onecopy.to_python(onecopy.share(one))
    assert (type(real), real.first, real.second) == (Again, 5, 6)


def test_a_deep_chain_of_namedtuples_ends_in_an_error() -> None:
    chain: Any = None
    for number in range(20_000):
        chain = Link(chain, number)
    view: Any = onecopy.share(chain)
    with pytest.raises(RecursionError):
        hash(view)
    with pytest.raises(RecursionError):
        assert view == onecopy.share(chain)
