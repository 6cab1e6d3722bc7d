"""`write_objects()`: the table of objects is written before the fork, so it must leave the parent as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import onecopy

MIB = 2**20

# In an interpreter of its own: what other tests have freed may be used again, and then nothing grows.
MEMORY = """
import pathlib, re, sys
import onecopy
data = [{"number": number, "name": f"customer {number}"} for number in range(400_000)]
def sizes():
    rollup = pathlib.Path("/proc/self/smaps_rollup").read_text()
    heap = re.search(r"\\[heap\\]\\n(?:.*\\n)*?Rss: +(\\d+)", pathlib.Path("/proc/self/smaps").read_text())
    anonymous = re.search(r"^Pss_Anon: +(\\d+)", rollup, re.M)
    peak = re.search(r"^VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text(), re.M)
    return [int(found[1]) if found else 0 for found in (anonymous, heap, peak)]
sizes()
onecopy.write_objects(sys.argv[1])  # whatever the first call loads
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = sizes()
count = onecopy.write_objects(sys.argv[1])
assert count > 2 * len(data)
print(*(1024 * (now - then) for now, then in zip(sizes(), before)))
"""


def test_the_parent_is_as_large_as_before(tmp_path: Path) -> None:
    # Twice, as the first call may leave what the second one uses again.
    first = MEMORY.replace("onecopy.write_objects(sys.argv[1])  # whatever the first call loads\n", "")
    for program in (first, MEMORY):
        run = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=240
        )
        assert run.returncode == 0, run.stderr
        anonymous, heap, peak = map(int, run.stdout.split())
        assert anonymous < 4 * MIB
        assert heap < 4 * MIB
        assert peak < 40 * MIB


def test_an_older_head_does_not_vouch_for_a_table_that_could_not_be_written(tmp_path: Path) -> None:
    assert onecopy.write_objects(tmp_path) > 1_000
    head = tmp_path / f"objects-{os.getpid()}.json"
    assert json.loads(head.read_text())["pid"] == os.getpid()
    rows = tmp_path / f"objects-{os.getpid()}.bin"
    rows.unlink()
    rows.mkdir()
    with pytest.raises(IsADirectoryError):
        onecopy.write_objects(tmp_path)
    assert not head.exists()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        onecopy.write_objects(tmp_path / "nowhere")


class Strange:
    """Its size is an error."""

    def __sizeof__(self) -> int:
        raise RuntimeError("no size")


def test_objects_without_a_size_are_left_out_and_what_they_hold_is_not(tmp_path: Path) -> None:
    strange = Strange()
    strange.held = held = [1, 2, 3]  # type: ignore[attr-defined]
    onecopy.write_objects(tmp_path)
    rows = (tmp_path / f"objects-{os.getpid()}.bin").read_bytes()
    addresses = [int.from_bytes(rows[at : at + 8], "little") for at in range(0, len(rows), 16)]
    starts = set(addresses)
    assert not {id(strange), id(strange) - 16} & starts
    assert id(held) - 16 in starts
    # Each object once, and the items of the list beside it.
    assert addresses.count(id(held) - 16) == 1


STRANGE = """
import sys, onecopy
class Unhashable: pass
Unhashable.__module__ = []
class ndarray:
    __array_interface__ = {"data": (1, False)}
class Meta(type):
    @property
    def __module__(cls): raise RuntimeError("no module")
    @property
    def __basicsize__(cls): raise RuntimeError("no size")
class Raises(metaclass=Meta): pass
class Exits:
    def __sizeof__(self): sys.exit("from __sizeof__")
kept = [Unhashable(), ndarray(), Raises(), Exits()]
assert onecopy.write_objects(sys.argv[1]) > 1_000
"""


def test_strange_classes_do_not_lose_the_table(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", STRANGE, str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert (run.returncode, run.stderr) == (0, "")
    assert list(tmp_path.glob("objects-*.json"))


# As the command hands the files to programs, which may have the package or not.
ALONE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import onecopy_objects
if sys.argv[3] == "imported":
    import onecopy
kept = [{number: str(number)} for number in range(1_000)]
assert onecopy_objects.write_objects(sys.argv[2]) > 2_000
assert "onecopy" in sys.modules or sys.argv[3] == "alone"
with open(f"{sys.argv[2]}/objects-{os.getpid()}.json") as file:
    head = json.load(file)
print(json.dumps({"names": [kind["name"] for kind in head["types"]], "limits": head["limits"]}))
"""


@pytest.mark.parametrize("how", ["alone", "imported"])
def test_lists_and_dicts_are_seen_through_with_the_extension_and_without(how: str, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    package = Path(onecopy.__file__).parent
    for name in ("objects", "handlers", "left", "samples"):
        shutil.copy(package / f"_{name}.py", tmp_path / f"site/onecopy_{name}.py")
    command = [sys.executable, "-c", ALONE, str(tmp_path / "site"), str(tmp_path), how]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert (run.returncode, run.stderr) == (0, "")
    head = json.loads(run.stdout)
    elsewhere = {"list items", "dict keys"}
    assert elsewhere <= set(head["names"])
    assert head["limits"] == []
    assert {"dict", "list", "str"} <= set(head["names"])
