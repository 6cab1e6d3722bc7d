"""Is one object in memory once? `tag` and `assert_shared`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from onecopy import _buffers, _kept, _ranges, _rebuilt, _side
from onecopy._onecopy import _fork_count, _image_behind, _measure_ranges, _relatives

if TYPE_CHECKING:
    from typing import SupportsIndex

    from onecopy._onecopy import _Ranges

__all__ = ["assert_shared", "tag"]

_WAYS_OUT: Final = (
    "its workers have copies of their own, or they were started by another process, as by a parent or a server; then "
    "pid= names the top of the tree that has both (os.getppid(), say)"
)
_ASKED_FOR: Final = "the object in assert_shared()"


def tag(name: str, obj: object) -> None:
    """Gives the memory behind an object a name, under which reports show it.

    Call it in the parent, before the fork. Arrays and other buffers are one range; of lists, dicts, data frames and
    the like all that they refer to is walked once, and remembered for `assert_shared()`. What is added to them later
    has no name until they are tagged again. Where two tags cover the same memory, the later one counts: tag a part
    after the whole. Where the name cannot be left for the report (the disk is full, say), the program goes on, and a
    RuntimeWarning says so once.

    Args:
        name: What to call it. Giving a name again takes it from what had it before.
        obj: An array, a view, or any object with a page of its own.

    Raises:
        ValueError: The name is no printable text; or workers were forked already, and looking through the object
            would copy it.
        TypeError: It is code, or lies on a page with others: an int, None, a short text.

    Example:
        >>> import onecopy
        >>> data = bytearray(10_000)
        >>> onecopy.tag("data", data)
    """
    _side.check_text("a tag's name", name)
    place: _ranges.Place | None
    found = _buffers.own_buffer(obj)
    if found is not None:
        place = _ranges.Place(_ranges.merged(found))
    else:
        quiet = _must_be_quiet()
        place = _kept.recall(obj) if quiet else None
        if place is None:
            place = _ranges.walked(obj, quiet=quiet, changed=_kept.is_kept(obj))
            _kept.keep(obj, place)
    who = {"pid": os.getpid(), "start_time_ticks": _side.start_time_ticks(), "name": name}
    lines = [{**who, "start": 0, "len": 0}]
    lines += [{**who, "start": start, "len": length} for start, length in place.ranges]
    _side.leave_name(name, lines)


def _must_be_quiet() -> bool:
    """Whether others share this process's pages, so that writing to them would copy some."""
    return _fork_count() > 0 or bool(_relatives(None))


def assert_shared(obj: object, *, max_copies: float = 1.05, pid: SupportsIndex | None = None) -> None:
    """Fails unless an object is in memory once, and other processes have it, too.

    Call it while the workers are alive and have done their work. Without any other process that has pages of it in its
    page table it fails as well: workers that hold pickled copies of their own would otherwise look like one copy.

    Views of `share()` and `open()`, arrays and other buffers are judged as they are. Lists, dicts and other objects
    that refer to more have to be given to `tag()` before the fork, because looking through them afterwards would copy
    what is to be judged; unless `freeze()` has frozen them, or all that counts in them are arrays (a data frame), which
    are judged alone then.

    What processes have rebuilt from pickled parts of an image counts as copies, by the bytes of the pickles. Pickles
    below 16 KiB are left out, as is what has been dropped again.

    Args:
        obj: An array, a view, or any object of this process with a page of its own.
        max_copies: How many copies may exist.
        pid: The process whose tree is looked at; this one if not given. Where the workers are not below this process,
            as those of others under pytest-xdist, it is one above both: `os.getppid()`.

    Raises:
        ValueError: `max_copies` is below 1, or no number; or the object would have had to be tagged.
        TypeError: The object is code, or lies on a page with others: an int, None, a short text.
        ProcessLookupError, PermissionError: There is no process `pid`, or it is somebody else's.
        AssertionError: With the table of who has copied what, the level of evidence and the agreement.
    """
    __tracebackhide__ = True
    if not max_copies >= 1:
        raise ValueError(f"max_copies must be at least 1, not {max_copies!r}")
    name = type(obj).__qualname__
    buffer = _buffers.own_buffer(obj)
    place = _ranges.Place(_ranges.merged(buffer)) if buffer is not None else _kept.recall(obj)
    if place is None:
        quiet = _must_be_quiet() or bool(_relatives(pid))
        place = _ranges.walked(obj, quiet=quiet, changed=_kept.is_kept(obj))
    if not place.ranges:
        raise AssertionError(f"{name} has no memory of its own: there is nothing to share")
    found = _measure_ranges(pid, _ASKED_FOR, place.ranges)
    problem = _problem(found, max_copies, pid) or _of_rebuilt(obj, found, max_copies)
    if problem:
        raise AssertionError("\n".join([f"{name}{_size(place)}: {problem}", *_table(found, place)]))


def _problem(found: _Ranges, max_copies: float, pid: SupportsIndex | None) -> str:
    """Why the object does not pass; nothing if it does."""
    report, own = found["report"], os.getpid()
    sharers = (found["sharers"] | {user for user, sizes in found["users"].items() if sizes["shared"]}) - {own}
    others = sharers | {user for user, sizes in found["users"].items() if sizes["copied"]} - {own}
    copies = found["frames"] / found["pages"] if found["pages"] else None
    if not report.complete:
        return "the processes could not be measured: " + "; ".join(report.limits)
    if own not in {row.pid for row in report.processes}:
        return f"this process is not in the tree below process {pid}: nothing can be said of its memory"
    nobody = f"no other process {_looked_at(pid)} has it: "
    if not others:
        return nobody + _WAYS_OUT
    if copies is None and not found["sharers"]:
        return "it is younger than the other processes: nothing of it is shared"
    if copies is not None and copies > max_copies:
        return f"{copies:.3f} copies of it exist, and {max_copies:.3f} are allowed"
    # What counts as copied may be something of theirs that lies at the same addresses.
    return "" if sharers else f"{nobody}what they have at its addresses is their own. {_WAYS_OUT}"


def _looked_at(pid: SupportsIndex | None) -> str:
    """Whose processes count."""
    if pid is not None:
        return f"below process {pid}"
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    who = f"pytest-xdist's worker {worker}, which " if worker else ""
    return f"of the tree that was looked at ({who}process {os.getpid()} and what it has started)"


def _of_rebuilt(obj: object, found: _Ranges, max_copies: float) -> str:
    """What an image's shared pages do not show: objects that processes have made of its pickled parts."""
    image = _image_behind(obj)
    if image is None:
        return ""
    by_process = _rebuilt.by_process(row.pid for row in found["report"].processes)
    sizes = {pid: sums[image.place] for pid, sums in by_process.items() if image.place in sums}
    copies = found["frames"] / found["pages"] if found["pages"] else 1.0
    copies += sum(sizes.values()) / image.nbytes
    if copies <= max_copies:
        return ""
    each = ", ".join(f"process {pid} {size / 2**20:.2f} MiB" for pid, size in sorted(sizes.items()))
    return (
        f"{copies:.3f} copies of it exist, and {max_copies:.3f} are allowed: its pages are shared, but parts that are "
        f"pickled were rebuilt ({each}, as pickles; objects take more). onecopy.share_check() names the parts"
    )


def _size(place: _ranges.Place) -> str:
    return f", {sum(length for _, length in place.ranges) / 2**20:.2f} MiB"


def _table(found: _Ranges, place: _ranges.Place) -> list[str]:
    """What a failed assertion rests on."""
    report, users = found["report"], found["users"]
    known = "unknown" if report.agreement is None else f"{100 * report.agreement:.1f} %"
    lines = [f"  (level {report.level}, agreement with PSS {known})"]
    names = {row.pid: row.name for row in report.processes}
    if users:
        lines.append(f"  {'process':<28}{'shared':>12}{'copied':>12}{'new':>12}")
    for user, use in sorted(users.items()):
        who = f"process {user} ({'this one' if user == os.getpid() else names.get(user, '?')})"
        sizes = "".join(f"{size / 2**20:>8.2f} MiB" for size in (use["shared"], use["copied"], use["new"]))
        lines.append(f"  {who:<28}{sizes}")
    if place.left_out:
        lines.append(
            f"  {place.left_out} objects around the arrays are not judged: tag() before the fork would include them"
        )
    return lines
