"""Values of 2 MiB and more, which lie outside the container that has them."""

import gc
import pickle
from multiprocessing.context import BaseContext
from typing import Any

import pytest

import onecopy

MIB = 1 << 20
# What a pickle is longer than the bytes that it holds.
PICKLED = len(pickle.dumps([bytes(2 * MIB)], pickle.HIGHEST_PROTOCOL)) - 2 * MIB
# Lengths, and whether they are large.
LONGEST = 2 * MIB - 64
LENGTHS = [(LONGEST - 1, False), (LONGEST, False), (LONGEST + 1, True)]


@pytest.fixture(autouse=True)
def settled() -> None:
    """What processes of earlier tests had when they died is given back before anything is counted."""
    gc.collect()
    onecopy.collect()


def figures() -> tuple[int, ...]:
    gc.collect()
    stats = onecopy.stats()
    return stats.references, stats.live_objects, stats.units, stats.allocated_bytes


def large_values() -> int:
    """Of all containers: what other tests have left is in them, too."""
    return sum(row.large_values for row in onecopy.store.containers())


def of_length(length: int) -> list[Any]:
    """A value of so many bytes of each kind."""
    return [
        b"b" * length,
        "a" * length,
        "\xe9" * length,
        "\u8a9e" * (length // 2),
        "\U0001f980" * (length // 4),
        [b"p" * (length - PICKLED)],
    ]


@pytest.mark.parametrize(("length", "is_large"), LENGTHS)
def test_every_kind_comes_back(length: int, *, is_large: bool) -> None:
    before = figures()
    values = [
        value for value in of_length(length) if not isinstance(value, str) or length % 4 == 0 or ord(value[0]) < 256
    ]
    large = large_values()
    held: Any = onecopy.List(values)
    assert large_values() - large == (len(values) if is_large else 0)
    assert list(held) == values == [held[index] for index in range(len(values))]
    by_name: Any = onecopy.Dict(zip("abcdef", values, strict=False))
    assert list(by_name.values()) == values
    assert by_name.pop("a") == held.pop(0) == values[0]
    assert held == values[1:]
    single: Any = onecopy.Value(values[-1])
    assert single.get() == values[-1]
    assert single.compare_exchange(values[-1], None)
    assert held.index(values[-1]) == len(values) - 2
    held.sort(key=len)
    assert sorted(map(len, values[1:])) == [len(value) for value in held]
    del held, by_name, single
    assert figures() == before


def exchange(held: Any, names: Any, single: Any, queue: Any, seen: Any) -> None:
    """What another process reads, and what it puts in its place."""
    seen.extend([len(held[0]), len(names["text"]), len(single.get()[0]), len(queue.get())])
    held[0] = held[0][:-1] + b"!"
    names["text"] += "!"
    single.update_with(lambda value: [value[0], 1])
    queue.put(held[0])


def test_another_process_reads_and_replaces_them(start_method: str, context: BaseContext) -> None:
    # Each kind is very long once.
    turn = ["fork", "forkserver", "spawn"].index(start_method)
    lengths = [2 * MIB, 2 * MIB, 2 * MIB, 2 * MIB]
    lengths[turn] = 64 * MIB
    of_bytes, of_text, of_pickle, of_item = lengths
    held: Any = onecopy.List([b"b" * of_bytes])
    names: Any = onecopy.Dict(text="\xe9" * of_text)
    single: Any = onecopy.Value([b"p" * of_pickle])
    queue: Any = onecopy.Queue()
    seen: Any = onecopy.List()
    queue.put(b"q" * of_item)
    before = figures()
    worker = context.Process(target=exchange, args=(held, names, single, queue, seen))  # type: ignore[attr-defined]
    worker.start()
    worker.join(120)
    assert worker.exitcode == 0
    onecopy.collect()
    assert list(seen) == lengths
    assert held[0] == b"b" * (of_bytes - 1) + b"!" == queue.get()
    assert names["text"] == "\xe9" * of_text + "!"
    assert single.get() == [b"p" * of_pickle, 1]
    held.clear()
    names.clear()
    single.set(None)
    after = figures()
    assert after[0] == before[0] - 4
    assert after[-1] <= before[-1] - sum(lengths)


def put(held: Any) -> None:
    held.append(b"b" * 2 * MIB)
    held[0] = "a" * 2 * MIB


def test_what_a_process_has_put_in_outlives_it(context: BaseContext) -> None:
    held: Any = onecopy.List([b"0" * 2 * MIB])
    worker = context.Process(target=put, args=(held,))  # type: ignore[attr-defined]
    worker.start()
    worker.join(120)
    assert worker.exitcode == 0
    onecopy.collect()
    assert list(held) == ["a" * 2 * MIB, b"b" * 2 * MIB]
    held.clear()


def test_a_replaced_value_gives_its_memory_back_at_once() -> None:
    held: Any = onecopy.List([b"0" * 8 * MIB])
    one = figures()
    for digit in range(10):
        held[0] = str(digit) * 8 * MIB
        assert figures() == one
    del held[0]
    assert figures()[:2] == (one[0] - 1, one[1] - 1)


def test_what_is_read_stays_when_it_is_replaced() -> None:
    held: Any = onecopy.List(["a" * 2 * MIB, [b"b" * 2 * MIB]])
    text, (content,) = held
    copy = held.copy()
    iterator = iter(held)
    first = next(iterator)
    held[:] = [None, None]
    assert text == first == copy[0] == "a" * 2 * MIB
    assert content == copy[1][0] == b"b" * 2 * MIB


def test_keys_are_kept_where_they_are() -> None:
    key = "k" * 2 * MIB
    before = figures()
    names: Any = onecopy.Dict({key: 1})
    assert names[key] == 1
    assert list(names) == [key]
    assert figures()[1] == before[1]
