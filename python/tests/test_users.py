"""A store belongs to one user, whatever a variable or a token says; a program with raised rights reads none."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import BaseContext

WATCHDOG_S = 120
NOBODY = 65_534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

KEEP = """
import ctypes, os, pickle, sys, numpy, onecopy
from onecopy import *  # another user may not be able to load it later
os.setgid(65534)
os.setuid(65534)
view = onecopy.share([1, 2, 3])
getenv = ctypes.CDLL(None).getenv  # os.environ does not show what C code has set
getenv.restype = ctypes.c_char_p
print(getenv(b"ONECOPY_STORE").decode(), pickle.dumps(view).hex(), flush=True)
sys.stdin.read()
"""


def store_of(view: Any) -> str:
    """The id of the store that a view is in, from its token."""
    found = re.search(b"OCT1(.{16})", pickle.dumps(view), re.DOTALL)
    assert found is not None
    return found[1].hex()


def without_store() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "ONECOPY_STORE"}


@pytest.fixture(scope="module")
def foreign() -> Iterator[tuple[str, bytes]]:
    """A living process of another user: its variable, and a token of its store."""
    # It begins as root, since other users may not be able to reach this interpreter.
    with subprocess.Popen(
        [sys.executable, "-c", KEEP], env=without_store(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        variable, token = process.stdout.readline().split()
        yield variable, bytes.fromhex(token)


def in_process(context: BaseContext, function: Callable[..., None], *arguments: Any) -> Any:
    """What the function sends from a process of its own."""
    mine, theirs = context.Pipe()
    process = context.Process(target=function, args=(theirs, *arguments))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    assert mine.poll(WATCHDOG_S)
    answer = mine.recv()
    process.join(WATCHDOG_S)
    return answer


def redeem(connection: Any, token: bytes) -> None:
    try:
        connection.send(list(pickle.loads(token)))
    except onecopy.errors.AttachDenied as error:
        facts = [getattr(error, name) for name in ("store", "owner_uid", "expected_uid")]
        connection.send((type(error).__name__, isinstance(error, onecopy.AttachError), str(error), facts))


def test_a_token_of_another_user_is_refused(context: BaseContext, foreign: tuple[str, bytes]) -> None:
    variable, token = foreign
    name, is_ours, text, facts = in_process(context, redeem, token)
    assert (name, is_ours) == ("AttachDenied", True)
    assert "belongs to user 65534" in text
    assert facts == [variable.rpartition(":")[2], NOBODY, 0]


def redeem_as_nobody(connection: Any, token: bytes) -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    redeem(connection, token)


def test_a_token_of_root_is_refused_in_the_same_way() -> None:
    program = "import pickle, sys, onecopy; print(pickle.dumps(onecopy.share([1])).hex(), flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", program], env=without_store(), stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdout is not None
        token = bytes.fromhex(process.stdout.readline())
        name, is_ours, text, facts = in_process(multiprocessing.get_context("fork"), redeem_as_nobody, token)
    assert (name, is_ours) == ("AttachDenied", True)
    assert f"process {process.pid}" in text
    assert "runs as user 0" in text
    assert facts[1:] == [0, NOBODY]


def test_the_variable_of_another_user_is_as_good_as_none(foreign: tuple[str, bytes]) -> None:
    variable, _ = foreign
    program = "import pickle, onecopy; print(pickle.dumps(onecopy.share([1])).hex())"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "ONECOPY_STORE": variable},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    assert variable.rpartition(":")[2] not in run.stdout


def share_as_nobody(connection: Any, view: Any) -> None:
    share = onecopy.share  # nobody may not be able to load it later
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    connection.send((list(view), share(["mine"])))
    connection.recv()


def test_a_worker_that_drops_its_privileges_stays_in_the_family(context: BaseContext) -> None:
    view = onecopy.share(["ours"])
    mine, theirs = context.Pipe()
    process = context.Process(target=share_as_nobody, args=(theirs, view))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    assert mine.poll(WATCHDOG_S)
    ours, returned = mine.recv()
    mine.send(None)
    process.join(WATCHDOG_S)
    assert ours == ["ours"]
    assert list(returned) == ["mine"]
    assert store_of(returned) == store_of(view)


def gain() -> None:
    os.seteuid(NOBODY)
    view = onecopy.share([1])
    token = pickle.dumps(view)
    os.seteuid(0)
    other = onecopy.share([2])
    try:
        pickle.loads(token)
    except onecopy.errors.AttachDenied as error:
        print((list(view), store_of(view) != store_of(other), type(error).__name__))


def test_a_process_that_gains_privileges_leaves_its_old_store() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_users; test_users.gain()"
    run = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        env=without_store(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == "([1], True, 'AttachDenied')", run.stderr


def test_a_set_user_id_interpreter_reads_no_variable(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("set-user-id")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    # A link to this interpreter would lose the bit, and a copy finds its library by the original's folder.
    program = Path(shutil.copy(Path(sys.executable).resolve(), folder / "python"))
    program.chmod(0o755 | stat.S_ISUID)
    code = (
        "import os, sys; sys.path[:0] = sys.argv[1:]\n"
        "import pathlib; from onecopy import _onecopy, _side as side\n"
        "head = pathlib.Path(side.__file__).with_name('_sitecustomize.py').read_text().partition('if _side')[0]\n"
        "__file__ = side.__file__; exec(head)\n"
        "print(os.getuid() != os.geteuid(), _onecopy._environment_is_untrusted, _is_untrusted(), side._given())"
    )
    environment = {"PYTHONHOME": sys.base_prefix, "ONECOPY_SIDE": "/somewhere"}
    paths = [str(Path(onecopy.__file__).parents[1]), *(path for path in sys.path if "site-packages" in path)]

    def run(executable: Path, user: int) -> str:
        command = [str(executable), "-c", code, *paths]
        done = subprocess.run(
            command, env=environment, user=user, group=user, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or done.stderr

    found = run(program, NOBODY)
    if not found.startswith("True "):
        pytest.skip(f"no set-user-id interpreter works here: {found[-300:]}")
    assert found == "True True True None"
    assert run(program, 0) == "False False False /somewhere"


SWITCHES = """
import os
from onecopy import *  # another user may not be able to load it later
descriptors = []
for turn in range(12):
    os.seteuid(1000 + turn % 2)
    view = share([turn])
    os.seteuid(0)
    descriptors.append(len(os.listdir("/proc/self/fd")))
print(descriptors[1:] == descriptors[1:2] * 11)
"""


def test_a_process_that_changes_its_user_again_and_again_has_one_store_for_each() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SWITCHES], env=without_store(), capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("True\n", "")
