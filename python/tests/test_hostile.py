"""Files and folders that others can reach: pipes that hang, links that lead away, rights that are too wide."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import onecopy

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
PATIENCE = 120

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files that belong to somebody else")


def python(code: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a program; one that hangs fails."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE, **options)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


SAVE = "import sys, onecopy; onecopy.save([1], sys.argv[1])"
OPEN = "import sys, onecopy; onecopy.open(sys.argv[1])"


def device(folder: Path) -> Path:
    """A device that no test can do harm to: root could replace the real one."""
    if os.geteuid() != 0:
        return Path("/dev/null")
    path = folder / "null"
    if not path.exists():
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    return path


@pytest.fixture
def kinds(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """What is no regular file, by the name that errors have for it."""
    found = {kind: tmp_path / kind.replace(" ", "-") for kind in ("named pipe", "socket", "folder", "character device")}
    os.mkfifo(found["named pipe"])
    found["folder"].mkdir()
    found["character device"].symlink_to(device(tmp_path.parent))
    with socket.socket(socket.AF_UNIX) as listener:
        # A path of a socket has 108 bytes at most.
        folder = os.open(tmp_path, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        yield found


@pytest.mark.parametrize("program", [SAVE, OPEN])
@pytest.mark.parametrize("kind", ["named pipe", "socket", "folder", "character device"])
def test_what_is_no_regular_file_is_refused_by_its_kind(kinds: dict[str, Path], kind: str, program: str) -> None:
    path = kinds[kind]
    before = path.lstat()
    run = python(program, path)
    error = run.stderr.splitlines()[-1]
    assert f"a {kind}" in error
    assert str(path) in error
    assert error.startswith("IsADirectoryError" if kind == "folder" else "OSError")
    after = path.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert names(path.parent) == sorted(each.name for each in kinds.values())


@pytest.mark.parametrize("kind", ["named pipe", "socket", "folder", "character device"])
def test_inspect_refuses_them_too(kinds: dict[str, Path], kind: str) -> None:
    command = [sys.executable, "-m", "onecopy", "inspect", str(kinds[kind])]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert (run.returncode, run.stdout) == (1, "")
    assert f"a {kind} is not an image file" in run.stderr


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(onecopy.CorruptImage, match=r"/empty is empty") as caught:
        onecopy.open(tmp_path / "empty")
    assert caught.value.offset == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(("before", "after"), [(0o600, 0o600), (0o640, 0o640), (0o4777, 0o777), (0o3711, 0o711)])
def test_a_file_keeps_its_rights_but_no_special_ones(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "data"
    onecopy.save([1], path)
    path.chmod(before)
    onecopy.save([2], path)
    assert rights(path) == after


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_what_the_umask_allows(tmp_path: Path, umask: int) -> None:
    run = python(SAVE, tmp_path / "data", umask=umask)
    assert run.returncode == 0, run.stderr
    assert rights(tmp_path / "data") == 0o666 & ~umask


def test_at_no_moment_has_anybody_more_rights_than_the_old_file_gave(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: the steps are seen from Rust alone (file/new/tests.rs)")
    path = tmp_path / "data"
    onecopy.save([1], path)
    path.chmod(0o600)
    trace = tmp_path / "trace"
    calls = (
        "open,openat,openat2,creat,chmod,fchmod,fchmodat,?fchmodat2,mknod,mknodat,link,linkat,rename,renameat,renameat2"
    )
    command = [strace, "-f", "-y", "-o", str(trace), "-e", f"trace={calls}", sys.executable, "-c", SAVE, str(path)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    if "ptrace" in run.stderr.lower():
        pytest.skip(f"strace may not trace here: {run.stderr.splitlines()[-1]}")
    assert run.returncode == 0, run.stderr
    lines = [line for line in trace.read_text().splitlines() if str(tmp_path) in line and "= -1" not in line]
    steps = [line for line in lines if re.search(r"O_CREAT|O_TMPFILE|chmod|link|rename", line)]
    given = [int(found, 8) for line in steps for found in re.findall(r"\b0[0-7]{3,4}\b", line)]
    assert [found for found in given if found & 0o7177] == [], steps
    assert any("chmod" in line and "0600" in line for line in steps), steps
    assert "rename" in steps[-1]
    assert rights(path) == 0o600


def test_own_links_stay_and_one_that_leads_to_nothing_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/data")
    for number in range(2):
        onecopy.save([number], tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert onecopy.open(tmp_path / "folder" / "data")[0] == number
    assert names(tmp_path / "folder") == ["data"]


@needs_root
def test_in_a_shared_folder_nobody_elses_link_or_file_is_followed_or_replaced(tmp_path: Path) -> None:
    shared, mine = tmp_path / "shared", tmp_path / "mine"
    shared.mkdir()
    shared.chmod(0o1777)
    mine.mkdir()
    onecopy.save(["old"], mine / "data")
    (shared / "file-link").symlink_to(mine / "data")
    (shared / "dangling").symlink_to(mine / "fresh")
    (shared / "folder-link").symlink_to(mine)
    (shared / "file").write_bytes(b"theirs")
    for path in shared.iterdir():
        os.lchown(path, NOBODY, NOBODY)
    for path in (shared / "file-link", shared / "dangling", shared / "folder-link" / "data", shared / "file"):
        with pytest.raises(PermissionError, match="user 65534") as caught:
            onecopy.save(["new"], path)
        assert caught.value.filename == str(path)
    assert names(mine) == ["data"]
    assert onecopy.open(mine / "data")[0] == "old"
    assert (shared / "file").read_bytes() == b"theirs"


@needs_root
def test_another_user_is_not_misled_either() -> None:
    # Not below pytest's own folder, which other users may not search.
    shared = Path(tempfile.mkdtemp(prefix="onecopy-hostile-"))
    try:
        shared.chmod(0o1777)
        mine = shared / "mine"
        mine.mkdir()
        os.chown(mine, NOBODY, NOBODY)
        (shared / "link").symlink_to(mine / "data")
        os.lchown(shared / "link", 65533, 65533)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
                onecopy.save(["old"], mine / "data")
                try:
                    onecopy.save(["new"], shared / "link")
                except PermissionError:
                    code = 0 if onecopy.open(mine / "data")[0] == "old" else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert names(mine) == ["data"]
    finally:
        shutil.rmtree(shared)


@needs_root
def test_somebody_elses_file_gives_no_rights(tmp_path: Path) -> None:
    for before, after in ((0o777, 0o644), (0o600, 0o600)):
        (tmp_path / "data").write_bytes(b"theirs")
        os.chown(tmp_path / "data", NOBODY, NOBODY)
        (tmp_path / "data").chmod(before)
        assert python(SAVE, tmp_path / "data", umask=0o022).returncode == 0
        assert rights(tmp_path / "data") == after


@needs_root
def test_a_folder_of_somebody_else_in_a_shared_one_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    shared = tmp_path / "shared"
    theirs = shared / "app"
    theirs.mkdir(parents=True)
    shared.chmod(0o1777)
    (theirs / "data").symlink_to(tmp_path / "victim")
    (theirs / "inner").symlink_to(tmp_path)
    for path in (theirs, theirs / "data", theirs / "inner"):
        os.lchown(path, NOBODY, NOBODY)
    for name in ("data", "inner/victim"):
        with pytest.raises(PermissionError, match=f"user {NOBODY}"):
            onecopy.save([1], theirs / name)
    assert (tmp_path / "victim").read_text() == "keep"
    # What has no trap in it can be written there.
    onecopy.save([1], theirs / "new")
    assert onecopy.open(theirs / "new") == [1]


def test_a_hard_link_gives_no_rights(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("keep")
    (tmp_path / "log").chmod(0o666)
    (tmp_path / "data").hardlink_to(tmp_path / "log")
    assert python(SAVE, tmp_path / "data", umask=0o022).returncode == 0
    assert rights(tmp_path / "data") == 0o644
    assert (tmp_path / "log").read_text() == "keep"


def test_what_is_named_like_an_abandoned_file_neither_hangs_nor_misleads(tmp_path: Path) -> None:
    path = tmp_path / "data"
    (tmp_path / "kept").write_text("kept")
    os.mkfifo(tmp_path / ".data.1-0.onecopy-tmp")
    (tmp_path / ".data.2-0.onecopy-tmp").mkdir()
    (tmp_path / ".data.3-0.onecopy-tmp").symlink_to("kept")
    (tmp_path / ".data.4-0.onecopy-tmp").touch()
    expected = {".data.1-0.onecopy-tmp", ".data.2-0.onecopy-tmp", ".data.3-0.onecopy-tmp", "kept", "data"}
    if os.geteuid() == 0:
        (tmp_path / ".data.5-0.onecopy-tmp").touch()
        os.chown(tmp_path / ".data.5-0.onecopy-tmp", NOBODY, NOBODY)
        expected.add(".data.5-0.onecopy-tmp")
    run = python(SAVE, path)
    assert run.returncode == 0, run.stderr
    assert set(names(tmp_path)) == expected


def test_the_name_of_a_file_or_of_what_is_in_it_is_no_command_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J\x9b31m"
    kind = make_dataclass("Plainly", [("numbers", int)])
    kind.__module__, kind.__qualname__ = __name__, "Plainly"
    globals()["Plainly"] = kind
    onecopy.save([kind(1), kind(2)], path)
    image = path.read_bytes()
    path.write_bytes(image.replace(b"Plainly", b"\x1b[31mRe").replace(b"numbers", b"\x1b[1m\x07\x07\x07"))
    view = onecopy.open(path)
    behind: Any = onecopy._onecopy._image_behind(view)
    texts = [repr(view[0]), repr(view), repr(behind)]
    other = onecopy.share([1])
    onecopy.save(other, path)
    with pytest.raises(ValueError, match="replaced or changed") as caught:
        onecopy._onecopy._file_image(str(path), (1, 2, 3), False)
    texts.append(str(caught.value))
    path.write_bytes(b"")
    with pytest.raises(onecopy.CorruptImage) as empty:
        onecopy.open(path)
    texts.append(str(empty.value))
    for text in texts:
        assert "\x1b" not in text
        assert "\x9b" not in text
        assert r"\u{1b}" in text


def test_a_report_is_its_owners_alone(tmp_path: Path) -> None:
    with onecopy.watch() as watched:
        pass
    watched.to_html(tmp_path / "page.html")
    assert rights(tmp_path / "page.html") == 0o600
    (tmp_path / "page.html").chmod(0o644)
    watched.to_html(tmp_path / "page.html")
    assert rights(tmp_path / "page.html") == 0o644
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="named pipe"):
        watched.to_html(tmp_path / "pipe")
    onecopy.write_objects(tmp_path)
    assert rights(tmp_path / f"objects-{os.getpid()}.bin") == rights(tmp_path / f"objects-{os.getpid()}.json") == 0o600


def test_objects_are_written_into_no_pipe_and_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    script = """
import os, sys, onecopy
os.chdir(sys.argv[1])
os.mkfifo(f"objects-{os.getpid()}.bin")
os.symlink("kept", f"objects-{os.getpid()}.json")
assert onecopy.write_objects(".") > 1000
assert os.path.isfile(f"objects-{os.getpid()}.bin")
assert not os.path.islink(f"objects-{os.getpid()}.json")
"""
    run = python(script, tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "kept").read_text() == "kept"


TAG = """
import os, sys, warnings
import onecopy
side = os.environ["ONECOPY_SIDE"]
trap = os.path.join(side, f"tags-{os.getpid()}.jsonl")
TRAP
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    onecopy.tag("data", bytearray(10_000))
    onecopy.mark("now")
    onecopy.tag("again", bytearray(10_000))
print(*(warning.message for warning in caught), sep="\\n")
"""


@pytest.fixture
def side(tmp_path: Path) -> Path:
    (tmp_path / "side").mkdir(mode=0o700)
    return tmp_path / "side"


def tagging(side: Path, trap: str = "") -> str:
    """What a program is warned of that tags something."""
    run = python(TAG.replace("TRAP", trap), env={**os.environ, "ONECOPY_SIDE": str(side)})
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize("trap", ["os.mkfifo(trap)", "os.symlink('kept', trap)", "os.symlink('/dev/zero', trap)"])
def test_tags_go_into_regular_files_only(side: Path, trap: str) -> None:
    (side / "kept").write_text("kept")
    said = tagging(side, trap)
    assert said.count("reports will not show the name 'data'") == 1
    assert (side / "kept").read_text() == "kept"


@needs_root
def test_tags_go_into_files_of_this_user_only(side: Path) -> None:
    said = tagging(side, "open(trap, 'w').close(); os.chmod(trap, 0o666); os.chown(trap, 65534, 65534)")
    assert said.count("reports will not show the name 'data'") == 1
    assert all(path.stat().st_size == 0 for path in side.glob("tags-*"))


def test_tags_are_private_and_come_into_the_folder_of_the_run(side: Path) -> None:
    assert tagging(side) == ""
    (tags,) = side.glob("tags-*.jsonl")
    (marks,) = side.glob("marks-*.jsonl")
    assert rights(tags) == rights(marks) == 0o600
    assert {json.loads(line)["name"] for line in tags.read_text().splitlines()} == {"data", "again"}


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_a_side_folder_that_others_can_write_to_is_ignored_with_a_warning(side: Path, mode: int) -> None:
    side.chmod(mode)
    said = tagging(side)
    assert said.count("ONECOPY_SIDE is ignored") == 1
    assert "others can write to the folder; chmod go-w makes it private" in said
    assert "unset it, or name a private folder" in said
    assert names(side) == []


@needs_root
def test_a_side_folder_of_somebody_else_is_ignored_with_a_warning(side: Path) -> None:
    os.chown(side, NOBODY, NOBODY)
    said = tagging(side)
    assert said.count("ONECOPY_SIDE is ignored") == 1
    assert f"the folder belongs to user {NOBODY}, and this process is user {os.geteuid()}'s" in said
    assert names(side) == []


def test_a_side_folder_that_is_a_link_is_ignored_with_a_warning(side: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(side)
    assert tagging(tmp_path / "link").count("ONECOPY_SIDE is ignored") == 1
    assert names(side) == []


def test_a_side_folder_that_has_gone_is_no_matter(tmp_path: Path) -> None:
    assert tagging(tmp_path / "gone") == ""


FAMILY = """
import os, sys, time
import onecopy
{parent}
ready = os.pipe()
child = os.fork()
if child == 0:
    {child}
    os.write(ready[1], b"x")
    time.sleep(1000)
    os._exit(0)
os.read(ready[0], 1)
print(child, flush=True)
time.sleep(1000)
"""
TAGS = "onecopy.tag('data', bytearray(10_000))"


@pytest.mark.parametrize("tagging", ["parent", "child"])
def test_a_side_folder_lives_as_long_as_somebody_of_the_family_and_is_cleaned_up_by_others(
    tmp_path: Path, tagging: str
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ONECOPY_SIDE", None)
    script = FAMILY.format(**{"parent": "", "child": "", tagging: TAGS})
    command = [sys.executable, "-c", script]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())

        def look() -> list[str]:
            """Who comes next cleans up, and takes its own folder away at its end."""
            run = python(f"import onecopy; {TAGS}", env=environment)
            assert run.returncode == 0, run.stderr
            return [path.name for path in tmp_path.glob("onecopy-tags-*")]

        assert len(look()) == 1
        # The one that has not made the folder may go; so may its maker, if it has children.
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert len(look()) == 1
        wait_for_end(child)
        assert look() == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()


def wait_for_end(pid: int) -> None:
    """Waits for a process that is nobody's child here any more."""
    os.kill(pid, signal.SIGKILL)
    patience = time.monotonic() + PATIENCE
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state in "ZX":
            return
        assert time.monotonic() < patience
        time.sleep(0.01)


def test_run_cleans_up_the_folders_of_killed_programs(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ONECOPY_SIDE", None)
    run = python(f"import os, signal, onecopy; {TAGS}; os.kill(os.getpid(), signal.SIGKILL)", env=environment)
    assert run.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1
    command = [sys.executable, "-m", "onecopy", "run", "-q", "--", "true"]
    subprocess.run(command, check=True, env=environment, timeout=PATIENCE)
    assert names(tmp_path) == []
