"""Views and containers while Python ends: in functions of atexit and in `__del__`, however late."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, builtins, dataclasses, os, pickle, sys
import onecopy

@dataclasses.dataclass
class Row:
    number: int

class Custom:
    pass

views = {
    "list": onecopy.share([1, "a", [2, 3]]),
    "dict": onecopy.share({"a": [1], "b": {"c": 2}}),
    "set": onecopy.share({1, 2, 3}),
    "table": onecopy.share([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
    "rows": onecopy.share([Row(1), Row(2)]),
    "object": onecopy.share([Custom(), 2**80]),
}
containers = [onecopy.List([1, {"x": 1}]), onecopy.Dict(a=1, b=[1]), onecopy.Counter(a=1), onecopy.Value({"a": 1})]
operations = {
    "index": lambda: (views["list"][2][1], views["dict"]["b"]["c"], views["table"][1]["b"], 1 in views["set"]),
    "loops": lambda: [list(view) for view in views.values()],
    "text": lambda: [repr(view) for view in views.values()],
    "rows": lambda: (views["rows"][1].number, views["rows"][0] == views["rows"][1]),
    "sets": lambda: (views["set"] | {9}, views["set"] == {1}),
    "dicts": lambda: (dict(views["dict"]), views["dict"] == {"a": 1}),
    "columns": lambda: (views["table"].column("a")[1], views["list"][2].index(3)),
    "objects": lambda: views["object"][0],
    "reduce": lambda: views["list"].__reduce__(),
    "containers": lambda: [repr(one) for one in containers],
    "list": lambda: (containers[0].append({"y": [1]}), containers[0][-1]),
    "dictionary": lambda: (containers[1].update(c={"y": 1}), list(containers[1].items())),
    "counter": lambda: (containers[2].add("a", 2), dict(containers[2])),
}

def try_all(phase, operations=operations, write=os.write):
    for name, operation in operations.items():
        try:
            operation()
        except BaseException as error:
            write(1, f"{phase}\\t{name}\\t{type(error).__name__}\\t{error}\\n".encode())
    write(1, f"{phase}\\tdone\\t\\t\\n".encode())

class Late:
    def __init__(self, phase, try_all):
        self.phase, self.try_all = phase, try_all
    def __del__(self):
        self.try_all(self.phase)

try_all("now")
atexit.register(try_all, "atexit")
%s = Late("end", try_all)
"""
# Whatever holds the object dies at another moment of the end: sys almost last, builtins after it.
PLACES = ["sys.late", "builtins.late", "pickle.late"]


@pytest.mark.parametrize("place", PLACES)
def test_what_needs_no_module_works_and_the_rest_says_why_not(place: str) -> None:
    command = [sys.executable, "-c", PROGRAM % place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [phase for phase, name, _, _ in lines if name == "done"] == ["now", "atexit", "end"]
    failed = [line for line in lines if line[1] != "done"]
    assert {phase for phase, *_ in failed} <= {"end"}
    assert "index" not in {name for _, name, *_ in failed}
    for _, name, kind, text in failed:
        # The second is Python's own, of what imports a module further down.
        clear = {"RuntimeError": "Python is ending", "ImportError": "Python is likely shutting down"}
        assert clear.get(kind, "?") in text, (name, kind, text)
