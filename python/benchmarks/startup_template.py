"""The question asked of workers that have never imported onecopy; prints what each round took, as JSON.

Each round starts a pool of four workers, waits until all are there, and asks twice: the first time every worker that
gets the list has to import onecopy. The plain list has the same start, in a pool of its own.

    python startup_template.py forkserver 25000 9
"""

from __future__ import annotations

import json
import multiprocessing
import random
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

THRESHOLDS = (200, 400, 600, 800)
_barrier: Any = None


def count_below(l: Sequence[int], t: int) -> int:  # noqa: E741 - as in the question
    """The calculation of the question."""
    return sum(x < t for x in l)


def remember(barrier: Any) -> None:
    """Initializer of the workers."""
    global _barrier  # noqa: PLW0603 - a pool hands barriers over only when a worker starts
    _barrier = barrier


def meet(_: int) -> bool:
    """Returns when all workers are there; tells whether one has imported onecopy."""
    _barrier.wait(120)
    return "onecopy" in sys.modules


def ask(pool: Any, hand_over: Callable[[list[int]], Any], data: list[int], expected: list[int]) -> float:
    """Seconds for handing the list over and counting."""
    started = time.perf_counter()
    handed = hand_over(data)
    results = pool.starmap(count_below, [(handed, t) for t in THRESHOLDS], chunksize=1)
    taken = time.perf_counter() - started
    if results != expected:
        raise SystemExit(f"counted {results}, expected {expected}")
    return taken


def play(method: str, hand_over: Callable[[list[int]], Any], data: list[int], expected: list[int]) -> list[float]:
    """Seconds of the first and of the second time that a new pool is asked."""
    context = multiprocessing.get_context(method)
    barrier = context.Barrier(len(THRESHOLDS) + 1)
    with context.Pool(len(THRESHOLDS), remember, (barrier,)) as pool:
        ready = pool.map_async(meet, THRESHOLDS, chunksize=1)
        barrier.wait(120)
        if any(ready.get()):
            raise SystemExit("a worker had imported onecopy before it was asked")
        return [ask(pool, hand_over, data, expected) for _ in range(2)]


def main() -> None:
    """All rounds, the plain list and onecopy turn by turn."""
    # Not at the top, where every worker would import it.
    import onecopy

    def plain(data: list[int]) -> list[int]:
        return data

    method, n, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    data = random.Random(20_260_101).choices(range(1, 1001), k=n)
    expected = [count_below(data, t) for t in THRESHOLDS]
    onecopy.share(data)
    pairs = []
    for number in range(rounds):
        ways: list[Callable[[list[int]], Any]] = [plain, onecopy.share]
        order = reversed(ways) if number % 2 else ways
        taken = {way is plain: play(method, way, data, expected) for way in order}
        pairs.append((taken[False], taken[True]))
    print(json.dumps(pairs))


if __name__ == "__main__":
    main()
