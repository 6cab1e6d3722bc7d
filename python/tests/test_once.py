"""What is imported at its first use may be needed again meanwhile: by a signal's handler, or by a finalizer."""

from __future__ import annotations

import subprocess
import sys

import pytest

WATCHDOG_S = 60

FINDER = """
import faulthandler, gc, signal, sys
import onecopy
faulthandler.dump_traceback_later({watchdog}, exit=True)

class Finder:
    hit = 0
    def find_spec(self, name, path, target=None):
        if name == {module!r} and not Finder.hit:
            Finder.hit += 1
            {moment}

sys.meta_path.insert(0, Finder())
"""

SIGNAL = """
numbers = onecopy.List([3, 1, 2])
signal.signal(signal.SIGALRM, lambda *_: numbers.sort(key=abs))
numbers.sort(key=abs)
assert numbers == [1, 2, 3]
"""

FINALIZER = """
queue = onecopy.Queue()
class Log:
    def __del__(self):
        queue.put(["closed"])
log = Log()
log.me = log
del log
queue.put(["first"])
assert sorted(queue.get() for _ in range(2)) == [["closed"], ["first"]]
"""

KEYS = """
import datetime
day = datetime.date(2020, 1, 1)
dates = onecopy.Dict()
signal.signal(signal.SIGALRM, lambda *_: dates.update({day: 1}))
dates[(day,)] = 2
assert dates == {day: 1, (day,): 2}
"""


@pytest.mark.parametrize(
    ("module", "moment", "program"),
    [
        ("onecopy._containers", "signal.raise_signal(signal.SIGALRM)", SIGNAL),
        ("onecopy._containers", "gc.collect()", FINALIZER),
        ("onecopy._keys", "signal.raise_signal(signal.SIGALRM)", KEYS),
    ],
)
def test_an_import_may_be_entered_again_by_its_own_thread(module: str, moment: str, program: str) -> None:
    text = FINDER.format(watchdog=WATCHDOG_S, module=module, moment=moment) + program + "assert Finder.hit == 1\n"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=2 * WATCHDOG_S
    )
    assert done.returncode == 0, done.stderr
