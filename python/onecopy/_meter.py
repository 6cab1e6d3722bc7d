"""Watching memory from within: `watch`, `tag`, `assert_shared`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Self

from onecopy import _buffers, _kept, _ranges, _side
from onecopy._onecopy import Sampler, _fork_count, _measure_ranges, _note_forks, _relatives, _write_report

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import StrOrBytesPath

    from onecopy._onecopy import Report

__all__ = ["Watch", "assert_shared", "tag", "watch"]


def tag(name: str, obj: Any) -> None:
    """Gives the memory behind an object a name, under which reports show it.

    Call it in the parent, before the fork. Arrays and other buffers are one range; of lists, dicts, data frames and
    the like all that they refer to is walked once, and remembered for `assert_shared()`. What is added to them later
    has no name until they are tagged again. Where the name cannot be left for the report (the disk is full, say), the
    program goes on, and a RuntimeWarning says so once.

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


class Watch:
    """Samples this process and its children in a thread of its own; see `watch`."""

    def __init__(self, overhead: float, pid: int | None, *, earlier: bool = True) -> None:
        self._pid = pid
        self._earlier = earlier
        self._overhead = overhead
        self._owner = os.getpid()
        self._sampler: Sampler | None = None
        self._was_read = False

    def start(self) -> None:
        """Begins to sample.

        Raises:
            RuntimeError: It was started before.
            ValueError: The overhead is no part of one processor, or `pid` is below 1.
            ProcessLookupError, PermissionError: There is no process `pid`, or it is somebody else's.
        """
        if self._sampler is not None:
            raise RuntimeError("a watch can be used once")
        self._owner = os.getpid()
        self._sampler = Sampler(self._pid, self._overhead, _side.folder(), self._earlier)

    def read(self) -> Report:
        """Reads now, and returns when that is done, whatever the overhead may be.

        Call it in a test while the workers are alive and have done their work: what a watch sees of itself depends on
        when it looks.

        Returns:
            The report, of all processes of the tree.

        Raises:
            RuntimeError: The watch does not run, or belongs to the process that forked this one; or not all processes
                could be read.

        Example:
            >>> import onecopy
            >>> with onecopy.watch() as watched:
            ...     report = watched.read()
            >>> report.complete
            True
        """
        if self._sampler is None or not self._sampler.is_running():
            self._refuse_others()
            raise RuntimeError("the watch does not run")
        report = self._sampler.read()
        if report is None or not report.complete:
            limits = [] if report is None else report.limits
            raise RuntimeError("\n".join(["not all processes could be read", *limits]))
        self._was_read = True
        return report

    def stop(self) -> None:
        """Takes a last reading and ends; again is no error. In a child that was forked meanwhile nothing happens."""
        if self._sampler is None:
            raise RuntimeError("the watch was not started")
        self._sampler.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _stopped(self) -> Sampler:
        self.stop()
        self._refuse_others()
        assert self._sampler is not None  # noqa: S101 - stop() has looked
        return self._sampler

    def _refuse_others(self) -> None:
        if os.getpid() != self._owner:
            raise RuntimeError(f"the watch belongs to process {self._owner}, which started it")

    def _verdict(self) -> tuple[Report | None, str]:
        """For tests: the reading with the most copies, if any was shared, and what no reading has seen. Ends the watch.

        Who has asked for a reading has chosen its moment: other forks are no matter then.
        """
        sampler = self._stopped()
        forked, sharers = sampler.forks()
        unread = forked - sharers
        if unread <= 0 or (self._was_read and sharers > 0):
            return sampler.most_copied(), ""
        if sharers == 0:
            workers = "1 worker was" if forked == 1 else f"{forked} workers were"
            return sampler.most_copied(), f"{workers} forked, and none was there long enough to be read"
        return sampler.most_copied(), f"{unread} of {forked} workers that were forked were not read"

    @property
    def report(self) -> Report | None:
        """The reading with the most physical memory; None if there was none. Ends the watch."""
        return self._stopped().report()

    @property
    def max_copies(self) -> float | None:
        """The highest number of copies in any reading; None if nothing was ever shared. Ends the watch."""
        return self._stopped().max_copies()

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts and lists, in the form that `onecopy run --json` writes. Ends the watch."""
        found: dict[str, Any] = json.loads(self._stopped().json() or "null")
        return found

    def to_html(self, path: StrOrBytesPath) -> None:
        """Writes the report as a page that needs no network. Ends the watch.

        A new file is one that only this user can read, as command lines may hold secrets.

        Raises:
            OSError: The file cannot be written; the old one is left then.
        """
        _write_report(os.fsdecode(path), (self._stopped().html() or "").encode())


os.register_at_fork(before=_note_forks)


def watch(*, overhead: float = 0.01, pid: int | None = None) -> Watch:
    """Samples the memory of this process and its children while a block runs.

    A thread of the meter's own does it, which never takes the interpreter's lock. CPython 3.12 and later count it, and
    give a DeprecationWarning when such a process forks; this thread is no danger to children, which go on without it.
    The filter is `ignore:This process .* is multi-threaded:DeprecationWarning`.

    Just before each `os.fork()`, multiprocessing's included, the watch notes what the process has, which takes a
    millisecond or two and some five more per GiB, within the same budget. Only so can it tell what a child has copied
    from what both have allocated since.

    Args:
        overhead: The part of one processor that sampling may take.
        pid: Another process to watch instead of this one.

    Returns:
        The watch, to be used in a `with` statement, or with `start()` and `stop()`.

    Example:
        >>> import onecopy
        >>> with onecopy.watch() as watched:
        ...     data = bytearray(1_000_000)
        >>> watched.report.complete
        True
    """
    return Watch(overhead, pid)


def _must_be_quiet() -> bool:
    """Whether others share this process's pages, so that writing to them would copy some."""
    return _fork_count() > 0 or bool(_relatives(None))


def _sums(report: dict[str, Any]) -> tuple[dict[str, int], list[dict[str, int]]]:
    """The pages of the ranges in question, and how many bytes each process has of them."""
    total = {"pages": 0, "frames": 0, "new": 0}
    users: dict[int, dict[str, int]] = {}
    for row in report["mappings"]:
        if not row["tagged"] or row["label"] != _ASKED_FOR:
            continue
        for key in total:
            # Not known when a process could not be read, which the caller looks at first.
            total[key] += row[key] or 0
        for user in row["processes"]:
            sums = users.setdefault(user["pid"], {"pid": user["pid"], "shared": 0, "copied": 0, "new": 0})
            for key in ("shared", "copied", "new"):
                sums[key] += user["pages"][key]
    return total, sorted(users.values(), key=lambda user: user["pid"])


_ASKED_FOR = "the object in assert_shared()"


def assert_shared(obj: Any, *, max_copies: float = 1.05, pid: int | None = None) -> None:
    """Fails unless an object is in memory once, and other processes have it, too.

    Call it while the workers are alive and have done their work. Without any other process that has pages of it in its
    page table it fails as well: workers that hold pickled copies of their own would otherwise look like one copy.

    Views of `share()` and `open()`, arrays and other buffers are judged as they are. Lists, dicts and other objects
    that refer to more have to be given to `tag()` before the fork, because looking through them afterwards would copy
    what is to be judged; unless `freeze()` has frozen them, or all that counts in them are arrays (a data frame), which
    are judged alone then.

    Args:
        obj: An array, a view, or any object of this process with a page of its own.
        max_copies: How many copies may exist.
        pid: The process whose tree is looked at; this one if not given.

    Raises:
        ValueError: `max_copies` is below 1, or no number; or the object would have had to be tagged.
        TypeError: The object is code, or lies on a page with others: an int, None, a short text.
        ProcessLookupError, PermissionError: There is no process `pid`, or it is somebody else's.
        AssertionError: With the table of who has copied what, the level of evidence and the agreement.
    """
    if not max_copies >= 1:
        raise ValueError(f"max_copies must be at least 1, not {max_copies!r}")
    name = type(obj).__qualname__
    found = _buffers.own_buffer(obj)
    place = _ranges.Place(_ranges.merged(found)) if found is not None else _kept.recall(obj)
    if place is None:
        quiet = _must_be_quiet() or bool(_relatives(pid))
        place = _ranges.walked(obj, quiet=quiet, changed=_kept.is_kept(obj))
    if not place.ranges:
        raise AssertionError(f"{name} has no memory of its own: there is nothing to share")
    text, sharers = _measure_ranges(pid, _ASKED_FOR, place.ranges)
    report = json.loads(text)
    total, users = _sums(report)
    own = os.getpid()
    others = {*sharers, *(user["pid"] for user in users if user["shared"] or user["copied"])} - {own}
    copies = total["frames"] / total["pages"] if total["pages"] else None
    problem = ""
    if not report["complete"]:
        problem = "the processes could not be measured: " + "; ".join(report["limits"])
    elif own not in {row["pid"] for row in report["processes"]}:
        problem = f"this process is not in the tree below process {pid}: nothing can be said of its memory"
    elif not others:
        problem = "no other process has it: workers that use the data have copies of their own"
    elif copies is None and not sharers:
        problem = "it is younger than the other processes: nothing of it is shared"
    elif copies is not None and copies > max_copies:
        problem = f"{copies:.3f} copies of it exist, and {max_copies:.3f} are allowed"
    if problem:
        raise AssertionError("\n".join([f"{name}{_size(place)}: {problem}", *_table(report, users, place)]))


def _size(place: _ranges.Place) -> str:
    return f", {sum(length for _, length in place.ranges) / 2**20:.2f} MiB"


def _table(report: dict[str, Any], users: list[dict[str, int]], place: _ranges.Place) -> list[str]:
    """What a failed assertion rests on."""
    agreement = report["tree"]["copies"]["agreement"]
    known = "unknown" if agreement is None else f"{100 * agreement:.1f} %"
    lines = [f"  (level {report['level']}, agreement with PSS {known})"]
    names = {row["pid"]: row["name"] for row in report["processes"]}
    if users:
        lines.append(f"  {'process':<28}{'shared':>12}{'copied':>12}{'new':>12}")
    for user in users:
        who = f"process {user['pid']} ({'this one' if user['pid'] == os.getpid() else names.get(user['pid'], '?')})"
        sizes = "".join(f"{user[key] / 2**20:>8.2f} MiB" for key in ("shared", "copied", "new"))
        lines.append(f"  {who:<28}{sizes}")
    if place.left_out:
        lines.append(
            f"  {place.left_out} objects around the arrays are not judged: tag() before the fork would include them"
        )
    return lines
