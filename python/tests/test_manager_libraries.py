"""Libraries that use a Manager, with ours installed: joblib's own tests of it, and torch.multiprocessing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

JOBLIB = """
import sys
import multiprocessing
import onecopy.multiprocessing
onecopy.multiprocessing.install()
import pytest


class Watch:
    made = 0

    def pytest_runtest_setup(self):
        multiprocessing.Manager = self.manager

    def manager(self):
        Watch.made += 1
        return onecopy.Manager()


options = ["-q", "-x", "-p", "no:cacheprovider", "-c", "/dev/null", "-k", sys.argv[2]]
code = pytest.main([sys.argv[1], *options], plugins=[Watch()])
assert Watch.made > 0, "no test has asked for a Manager"
sys.exit(code)
"""


def ran(arguments: list[str]) -> str:
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    return run.stdout


def test_joblibs_own_tests_of_managers_pass() -> None:
    joblib = pytest.importorskip("joblib")
    suite = Path(joblib.__file__).parent / "test" / "test_parallel.py"
    if not suite.exists():
        pytest.skip("this joblib came without its tests")
    # Of those that ask for one, all under multiprocessing and one under loky, whose others take seconds each.
    wanted = "dispatch_multiprocessing or (initializer and multiprocessing)"
    out = ran(["-W", "ignore", "-c", JOBLIB, str(suite), wanted])
    assert "passed" in out.splitlines()[-1]


TORCH = """
import multiprocessing
import sys

if sys.argv[1] == "before":
    import torch.multiprocessing as mp
import onecopy.multiprocessing

onecopy.multiprocessing.install()
import torch.multiprocessing as mp


def work(rank, results, queue):
    results[rank] = rank * 10
    queue.put(rank)


if __name__ == "__main__":
    manager = mp.Manager()
    assert type(manager) is onecopy.managers.SyncManager, type(manager)
    results, queue = manager.dict(), manager.Queue()
    mp.spawn(work, args=(results, queue), nprocs=2)
    context = mp.get_context("spawn")
    assert type(context.Manager()) is onecopy.managers.SyncManager
    print(sorted(results.items()), sorted([queue.get(), queue.get()]))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_torch_multiprocessing_has_the_manager(when: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("needs torch")
    program = tmp_path / "program.py"
    program.write_text(TORCH)
    assert ran([str(program), when]).splitlines()[-1] == "[(0, 0), (1, 10)] [0, 1]"
