"""Kills at random, and an oracle outside: a short run of `tools/torture_containers.py`, and what its oracle finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

from containers_log import BEGUN, DONE, POPPED, Log, Step, record, step  # noqa: E402 - found there
from containers_oracle import Containers, Oracle, Worker  # noqa: E402
from torture_containers import SLOTS, Life  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 3
STEPS = 400


def test_nothing_is_lost_or_torn_when_workers_are_killed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    command = [sys.executable, str(TOOLS / "torture_containers.py"), "--kills=30", "--seed=1", "--json"]
    command.append(f"--record={page}")
    run = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    figures = json.loads(run.stdout)
    assert figures["kills"] == {"fork": 10, "forkserver": 10, "spawn": 10}
    assert figures["operations"] >= 30
    assert "| SIGKILLs | 30: 10 under fork, 10 under forkserver, 10 under spawn |" in page.read_text()


class World:
    """One worker that has done some steps, and the oracle."""

    def __init__(self, folder: Path) -> None:
        self.log, self.containers = Log(folder, SLOTS), Containers()
        self.oracle = Oracle(SEED, self.log, self.containers)
        self.life = Life(self.log, 1, 0, self.containers)
        for number in range(1, STEPS + 1):
            self.do(number)

    def do(self, number: int, is_in_flight: bool = False) -> Step:
        one = step(SEED, 1, number)
        self.life.header[BEGUN] = number
        self.life.steps[one.kind](one)
        self.life.header[DONE] = number - is_in_flight
        return one

    def settle(self) -> None:
        self.oracle.settle([Worker(1, 0)])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_was_done_is_right(world: World) -> None:
    world.settle()
    assert (world.oracle.tally.done, world.oracle.tally.in_flight) == (STEPS, 0)


@pytest.mark.parametrize("happened", [True, False])
def test_what_was_in_flight_has_happened_or_not(world: World, happened: bool) -> None:
    for number in range(STEPS + 1, STEPS + 30):
        if happened:
            world.do(number, is_in_flight=True)
        else:
            world.life.header[BEGUN] = number
        world.settle()
        assert world.oracle.tally.in_flight == 1
        break


def test_what_is_set_together_is_not_torn(world: World) -> None:
    number = next(n for n in range(STEPS + 1, STEPS + 100) if step(SEED, 1, n).kind == "update")
    world.life.header[DONE] = number - 1
    for nth in range(STEPS + 1, number):
        world.do(nth)
    world.life.header[BEGUN] = number
    some = list(step(SEED, 1, number).items.items())[:9]
    world.containers.table.update(some)
    with pytest.raises(SystemExit, match="set together"):
        world.settle()


def own_key(world: World) -> Any:
    return next(key for key in world.containers.table if str(key).startswith("a key"))


FAULTS: dict[str, Callable[[World], object]] = {
    "a sum too high": lambda world: world.containers.counts.add(1, 1),
    "a sum of the dict too low": lambda world: world.containers.table.add(1, -1),
    "an old value": lambda world: world.containers.table.update({own_key(world): record(1 << 24 | 1)}),
    "a key lost": lambda world: world.containers.table.pop(own_key(world)),
    "a key too many": lambda world: world.containers.table.update({"a key of nobody": 1}),
    "a member lost": lambda world: world.containers.members.pop(),
    "a member too many": lambda world: world.containers.members.add("nobody's"),
    "a record lost": lambda world: world.containers.queue.pop(),
    "a record twice": lambda world: world.containers.queue.append(world.containers.queue[0]),
    "a record that was not appended": lambda world: world.containers.queue.append(record(1 << 24 | 2)),
    "a record of the future": lambda world: world.containers.value.set(record(1 << 24 | STEPS + 1)),
    "a record of another place": lambda world: world.containers.board.__setitem__(0, world.containers.queue[0]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_oracle_finds(world: World, fault: str) -> None:
    FAULTS[fault](world)
    with pytest.raises(SystemExit, match="torture_containers: "):
        world.settle()


def test_a_torn_record_is_found_by_whoever_reads_it(world: World) -> None:
    world.containers.queue.append("17:1:~")
    with pytest.raises(Exception, match="never written"):
        world.settle()
    assert world.life.header[POPPED] > 0
