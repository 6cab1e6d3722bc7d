"""`install()` in the processes of a program, and `python -m onecopy.multiprocessing` beside `python`."""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import onecopy
import onecopy.multiprocessing

PACKAGE = Path(onecopy.__file__).parent.parent

ABOUT = """
import dataclasses, sys
__all__ = []

def typed(number: int) -> str: ...

@dataclasses.dataclass
class Row:
    number: int

if __name__ == "__main__":
    print(typed.__annotations__, [field.type for field in dataclasses.fields(Row)])
    print(sys.argv, sys.path, __file__, __spec__ and __spec__.name, __package__, __name__)
    print(sorted(vars(sys.modules["__main__"])).index("typed") > 0, "main" in globals(), "install" in globals())
"""


def ran(*command: str, at: Path) -> tuple[int, str, str]:
    run = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120, cwd=at)
    return run.returncode, run.stdout, run.stderr


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A file, a folder, an archive and a package, and a current folder elsewhere."""
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    (home / "package").mkdir()
    (home / "nothing").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for place in ("file.py", "folder/__main__.py", "package/__main__.py", "package/part.py", "package/__init__.py"):
        (home / place).write_text(ABOUT)
    with zipfile.ZipFile(home / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", ABOUT)
    (home / "broken.py").write_text("import this is not Python")
    return home


@pytest.mark.parametrize(
    ("program", "flags"),
    [
        ("file.py", ()),
        ("folder", ()),
        ("archive.zip", ()),
        ("missing.py", ()),
        ("nothing", ()),
        ("file.py", ("-P",)),
        ("folder", ("-P",)),
    ],
)
def test_a_program_runs_as_python_runs_it(programs: Path, program: str, flags: tuple[str, ...]) -> None:
    command = (f"{programs / program}", "--epochs", "3")
    at = programs.parent / "elsewhere"
    assert ran(*flags, "-m", "onecopy.multiprocessing", *command, at=at) == ran(*flags, *command, at=at)


@pytest.mark.parametrize("program", ["file.py", "folder"])
def test_a_program_of_the_current_folder_runs_as_python_runs_it(programs: Path, program: str) -> None:
    assert ran("-m", "onecopy.multiprocessing", program, at=programs) == ran(program, at=programs)


@pytest.mark.parametrize("module", ["file", "package", "package.part", "package.missing", "missing"])
def test_a_module_runs_as_python_runs_it(programs: Path, module: str) -> None:
    command = ("-m", module, "--epochs", "3")
    assert ran("-m", "onecopy.multiprocessing", *command, at=programs) == ran(*command, at=programs)


def test_a_program_that_is_no_python_says_where(programs: Path) -> None:
    code, said, error = ran("-m", "onecopy.multiprocessing", f"{programs / 'broken.py'}", at=programs)
    assert (code, said) == (1, "")
    assert "import this is not Python" in error
    assert "SyntaxError" in error


CHILDREN = f"""
import sys
sys.path.insert(0, {str(PACKAGE)!r})
import multiprocessing
import onecopy.multiprocessing
onecopy.multiprocessing.install()
{{before}}
from multiprocessing import Manager

def work():
    print(type(Manager()).__module__, type(multiprocessing.get_context("spawn").Manager()).__module__, flush=True)

if __name__ == "__main__":
    {{after}}
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    worker.start()
    worker.join()
    print(worker.exitcode)
"""


@pytest.mark.parametrize("after", ["", "multiprocessing.set_forkserver_preload([])"])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_of_a_program_that_finds_the_package_by_its_own_path(tmp_path: Path, method: str, after: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(CHILDREN.format(before="", after=after or "pass"))
    # Without `site` nothing but the program's own path leads to the package.
    assert ran("-S", "-c", "import onecopy", at=tmp_path)[0] == 1
    assert ran("-S", str(program), method, at=tmp_path) == (0, "onecopy.managers onecopy.managers\n0\n", "")


UNEDITED = """
import multiprocessing, sys
from multiprocessing import Manager
from multiprocessing.managers import DictProxy

{preload}

def work(method):
    print(type(Manager()).__module__, isinstance(Manager().dict(), DictProxy), flush=True)

if __name__ == "__main__":
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(sys.argv[1],))
    worker.start()
    worker.join()
"""


@pytest.mark.parametrize("preload", ["", "multiprocessing.set_forkserver_preload(['json', '__main__'])"])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_program_nobody_edits_has_the_manager_in_its_children(tmp_path: Path, method: str, preload: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(UNEDITED.format(preload=preload))
    run = ran("-m", "onecopy.multiprocessing", str(program), method, at=tmp_path)
    assert run == (0, "onecopy.managers True\n", "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_nothing_confuses_bytes_and_text(tmp_path: Path, method: str) -> None:
    """`-bb` makes an error of it, also in the processes that a program starts."""
    program = tmp_path / "program.py"
    program.write_text(UNEDITED.format(preload=""))
    run = ran("-bb", "-m", "onecopy.multiprocessing", str(program), method, at=tmp_path)
    assert run == (0, "onecopy.managers True\n", "")


LEFT_BEHIND = f"""
import multiprocessing, sys

def work():
    print(sorted(name for name in sys.modules if name.startswith("onecopy")), flush=True)

if __name__ == "__main__":
    sys.path.insert(0, {str(PACKAGE)!r})
    import onecopy.multiprocessing
    onecopy.multiprocessing.install()
    sys.path.pop(0)
    worker = multiprocessing.get_context("spawn").Process(target=work)
    worker.start()
    worker.join()
    print(worker.exitcode)
"""


def test_a_child_that_does_not_find_the_package_works_without(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(LEFT_BEHIND)
    assert ran("-S", str(program), at=tmp_path) == (0, "[]\n0\n", "")


def submodules(package: Any) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, "")
    return [one.name for one in found if "win32" not in one.name and one.name != "managers"]


@pytest.mark.parametrize("name", submodules(multiprocessing))
def test_every_submodule_of_the_standard_package_is_had(name: str) -> None:
    real = importlib.import_module(f"multiprocessing.{name}")
    spec = real.__spec__
    assert importlib.import_module(f"onecopy.multiprocessing.{name}") is real
    assert (real.__name__, real.__spec__) == (f"multiprocessing.{name}", spec)


def test_what_the_standard_package_does_not_have_is_missing() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"onecopy\.multiprocessing\.nothing"):
        importlib.import_module("onecopy.multiprocessing.nothing")


def test_every_name_of_the_standard_managers_is_had() -> None:
    ours: Any = importlib.import_module("onecopy.multiprocessing.managers")
    standard: Any = importlib.import_module("multiprocessing.managers")
    missing = [name for name in dir(standard) if not name.startswith("__") and not hasattr(ours, name)]
    assert missing == []
    assert set(standard.__all__) <= set(ours.__all__)
    assert ours.Namespace is standard.Namespace
