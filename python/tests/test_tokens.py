"""Tokens: small under every protocol, and good in every process and every way of sending."""

from __future__ import annotations

import contextlib
import copy
import gzip
import io
import os
import pickle
import shutil
import subprocess
import sys
import threading
import warnings
import zipfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onecopy

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

WATCHDOG_S = 120
LIMIT_BYTES = 200
ARRAY = np.arange(40_000, dtype=np.float64).reshape(200, 200)

PARTS: dict[str, Any] = {
    "whole": lambda a: a,
    "rows": lambda a: a[10:20],
    "row": lambda a: a[7],
    "element": lambda a: a[3:4, 5:6],
    "columns": lambda a: a[:, ::3],
    "backwards": lambda a: a[::-1, ::-2],
    "transposed": lambda a: a.T,
    "reshaped": lambda a: a.reshape(20, 10, 200),
    "four dimensions": lambda a: a.reshape(10, 20, 10, 20)[:, 1:, :, 2:],
    "diagonal": lambda a: a.diagonal(),
    "other dtype": lambda a: a.view(np.int64),
    "narrower dtype": lambda a: a.view(">u2"),
    "new axis": lambda a: a[:, np.newaxis, :],
    "empty": lambda a: a[5:5],
    "broadcast": lambda a: np.broadcast_to(a[0], (1000, 200), subok=True),
    "no dimensions": lambda a: a[3, 3, ...],
}


def dumps(thing: Any) -> list[bytes]:
    """The thing pickled in every way that matters."""
    cloudpickle = pytest.importorskip("cloudpickle")

    every = [pickle.dumps(thing, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    return [*every, bytes(ForkingPickler.dumps(thing)), cloudpickle.dumps(thing)]


@pytest.mark.parametrize("name", PARTS)
def test_every_part_of_an_array_pickles_to_a_token(name: str) -> None:
    part, expected = PARTS[name](onecopy.share(ARRAY)), PARTS[name](ARRAY)
    for pickled in dumps(part):
        assert len(pickled) <= LIMIT_BYTES
        again = pickle.loads(pickled)
        assert type(again).__name__ == "SharedArray"
        assert again.dtype == expected.dtype
        assert again.strides == part.strides
        assert not again.flags.writeable
        assert np.array_equal(again, expected)
        # The same memory: not one byte was copied.
        assert again.__array_interface__["data"][0] == part.__array_interface__["data"][0]


@pytest.mark.parametrize("data", [list(range(1000)), ("a", None, 2.5), []], ids=["list", "tuple", "empty"])
def test_views_of_sequences_pickle_to_a_token(data: Any) -> None:
    for view in (onecopy.share(data), onecopy.share(data)[::-2]):
        for pickled in dumps(view):
            assert len(pickled) <= LIMIT_BYTES
            assert pickle.loads(pickled) == view


def test_whatever_they_are_wrapped_in() -> None:
    view = onecopy.share(ARRAY)
    wrapped = pickle.loads(pickle.dumps({"a": [view, view[1:]], "b": (view,)}))
    assert np.array_equal(wrapped["a"][1], ARRAY[1:])
    assert wrapped["a"][0] is wrapped["b"][0]


def test_out_of_band_buffers_are_not_used() -> None:
    buffers: list[Any] = []
    pickled = pickle.dumps(onecopy.share(ARRAY), 5, buffer_callback=buffers.append)
    assert buffers == []
    assert np.array_equal(pickle.loads(pickled), ARRAY)


def test_an_array_that_asarray_made_plain_pickles_by_content() -> None:
    plain = np.asarray(onecopy.share(ARRAY))
    pickled = pickle.dumps(plain)
    assert len(pickled) > ARRAY.nbytes
    assert np.array_equal(pickle.loads(pickled), ARRAY)


def test_copies_make_no_token() -> None:
    array, sequence = onecopy.share(ARRAY), onecopy.share([1, 2])
    before = onecopy.stats().units
    assert copy.copy(array) is array
    assert copy.deepcopy([array, sequence])[1] is sequence
    assert onecopy.stats().units == before


# ── the life of a token ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_keeps_its_object_until_it_is_used() -> None:
    onecopy.collect(0)
    before = onecopy.stats()
    pickled = pickle.dumps(onecopy.share(ARRAY))  # the view is dropped at once
    waiting = onecopy.stats()
    assert (waiting.units, waiting.live_objects) == (before.units + 1, before.live_objects + 1)
    view = pickle.loads(pickled)
    assert onecopy.stats().units == before.units
    assert np.array_equal(pickle.loads(pickled), ARRAY)  # used before, but the object is still held
    del view
    with pytest.raises(onecopy.Gone, match="gone") as raised:
        pickle.loads(pickled)
    assert isinstance(raised.value, onecopy.AttachError)
    assert onecopy.stats() == before


def test_lost_tokens_are_collected_by_age() -> None:
    onecopy.collect(0)
    before = onecopy.stats()
    for _ in range(10):
        pickle.dumps(onecopy.share(ARRAY))
    assert onecopy.stats().live_objects == before.live_objects + 10
    assert onecopy.collect().units == 0
    assert onecopy.collect(max_age=3600).units == 0
    collected = onecopy.collect(max_age=0)
    assert (collected.units, collected.objects) == (10, 10)
    assert collected.bytes >= 10 * ARRAY.nbytes
    assert onecopy.stats() == before


@pytest.mark.parametrize("age", [-1, float("nan"), float("inf")])
def test_age_is_checked(age: float) -> None:
    with pytest.raises(ValueError, match="max_age must be a number of seconds"):
        onecopy.collect(max_age=age)


@pytest.mark.parametrize("position", [0, 5, 30, 45, 63])
def test_damaged_tokens_are_refused(position: int) -> None:
    from onecopy._onecopy import Image

    view: Any = onecopy.share(ARRAY)
    token = bytearray(view.base.image.token())
    token[position] ^= 1
    with pytest.raises(onecopy.AttachError, match="not a onecopy token"):
        Image.attach(bytes(token))
    with pytest.raises(onecopy.AttachError, match="64 bytes"):
        Image.attach(b"short")
    onecopy.collect(0)


def test_geometry_that_reaches_past_the_image_is_refused() -> None:
    from onecopy import _array

    view: Any = onecopy.share(ARRAY)
    for numbers in ([0, 1, 40_001, 8], [8, 1, 40_000, 8], [0, 2, 200, 201, 1600, 8], [-8, 1, 1, 8], [0, 1, 2, -8]):
        packed = view.base.image.token() + _array.pack_numbers(numbers)
        with pytest.raises((ValueError, TypeError)):
            _array._a(packed)
    sequence = onecopy.share([1, 2, 3])
    attach, (token, _, _, _) = sequence.__reduce__()
    with pytest.raises(IndexError, match="do not lie in 3 elements"):
        attach(token, 0, 1, 4)
    onecopy.collect(0)


@pytest.mark.parametrize("dtype", ["O", "O8,i4"])
def test_bytes_are_never_taken_for_pointers(dtype: str) -> None:
    from onecopy import _array

    array = onecopy.share(np.arange(10.0))
    token = array.__reduce_ex__(5)[1][0][:64]
    with pytest.raises(onecopy.CorruptImage, match="pointers"):
        _array._a(token + _array.pack_numbers([8, 1, 3, 8]), dtype)


def test_numbers_survive_packing() -> None:
    from onecopy import _array

    numbers = [0, 1, -1, 63, 64, -64, -65, 2**31, -(2**31), 2**63 - 1, -(2**63)]
    assert _array.unpack_numbers(_array.pack_numbers(numbers)) == numbers


@pytest.fixture(scope="module")
def dead_token() -> bytes:
    """A token of a store whose only process has ended."""
    program = "import pickle, sys, onecopy; sys.stdout.buffer.write(pickle.dumps(onecopy.share([1, 2])))"
    environment = {name: value for name, value in os.environ.items() if name != "ONECOPY_STORE"}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout


def stores_of_unseen_processes() -> set[int]:
    """Inodes of the stores that are used by processes which this one may not look into."""
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    used = {int(lock[5].rpartition(":")[2]) for lock in locks if lock[1] == "OFDLCK" and int(lock[6]) >= 2**47}
    seen = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            seen.add(link.stat().st_ino)
    return used - seen


def test_token_of_a_store_that_is_gone(dead_token: bytes) -> None:
    with pytest.raises(onecopy.AttachError, match="cannot find store") as raised:
        pickle.loads(dead_token)
    # The machine may have processes of this user that nobody may look into. They matter if they use a store.
    if not isinstance(raised.value, onecopy.Gone) and stores_of_unseen_processes():
        pytest.skip("NOT TESTED: processes that may not be looked into use stores here")
    assert isinstance(raised.value, onecopy.Gone)
    assert f"/proc/{raised.value.pid}/fd/{raised.value.fd}" in str(raised.value)  # type: ignore[attr-defined]
    assert len(raised.value.store) >= 32  # type: ignore[attr-defined]


LOADS = """
import pickle, sys, onecopy
try:
    pickle.loads(bytes.fromhex(sys.argv[1]))
except onecopy.AttachError as error:
    print(type(error).__name__, "no other process" in str(error))
"""


def test_data_are_gone_where_every_process_can_be_looked_into(dead_token: bytes) -> None:
    own_processes = ["unshare", "--pid", "--fork", "--mount-proc"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*own_processes, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("NOT TESTED: needs unshare(1) and the right to make a pid namespace, as root has")
    program = [*own_processes, sys.executable, "-c", LOADS, dead_token.hex()]
    run = subprocess.run(program, capture_output=True, text=True, timeout=WATCHDOG_S, check=True)
    assert run.stdout.split() == ["Gone", "True"]


def test_no_error_of_a_token_is_one_of_the_operating_system() -> None:
    # A worker of `multiprocessing.Pool` takes an OSError for the end of its queue.
    for error in (onecopy.AttachError, onecopy.errors.AttachDenied, onecopy.Gone):
        assert issubclass(error, onecopy.OnecopyError)
        assert not issubclass(error, (OSError, EOFError))


class Dead:
    """Pickles to a token that nobody can use, as a view does whose data are gone by the time it arrives."""

    def __init__(self, token: bytes) -> None:
        self.token = token

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.token,)


POOL = """
import multiprocessing, sys
sys.path.insert(0, sys.argv[1])
import test_tokens

if __name__ == "__main__":
    pool = multiprocessing.get_context("spawn").Pool(1)
    pool.apply_async(len, (test_tokens.Dead(bytes.fromhex(sys.argv[2])),))
    sys.stdin.read()
    pool.terminate()
"""


def test_a_worker_of_a_pool_says_why_it_ends(dead_token: bytes, tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    arguments = [sys.executable, str(tmp_path / "pool.py"), str(Path(__file__).parent), dead_token.hex()]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stderr=pipe, text=True) as program:
        assert program.stdin is not None
        assert program.stderr is not None
        watchdog = threading.Timer(WATCHDOG_S, program.kill)
        watchdog.start()
        said = next(
            (line for line in program.stderr if line.startswith("onecopy.") and "cannot find store" in line), None
        )
        watchdog.cancel()
        program.stdin.close()
        # The pool replaces workers that end, and no task reaches the new one.
        program.stderr.read()
    assert said is not None


def test_an_executor_raises_what_a_token_raises(context: BaseContext, dead_token: bytes) -> None:
    with ProcessPoolExecutor(1, mp_context=context) as executor, pytest.raises(BrokenProcessPool):
        executor.submit(len, Dead(dead_token)).result(WATCHDOG_S)  # type: ignore[arg-type]


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def total(part: Any) -> tuple[str, bool, float]:
    return type(part).__name__, bool(part.flags.writeable), float(part.sum())


def expected_total(name: str) -> tuple[str, bool, float]:
    return "SharedArray", False, float(PARTS[name](ARRAY).sum())


SENT = [name for name in PARTS if name != "no dimensions"]


def test_pool(context: BaseContext) -> None:
    with context.Pool(2) as pool:
        view = onecopy.share(ARRAY)
        assert pool.map(total, [PARTS[name](view) for name in SENT]) == [expected_total(name) for name in SENT]


def test_executor(context: BaseContext) -> None:
    view = onecopy.share(ARRAY)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        found = list(executor.map(total, [PARTS[name](view) for name in SENT]))
    assert found == [expected_total(name) for name in SENT]


def answer(arguments: tuple[Any, ...], queue: Any, connection: Any) -> None:
    connection.send([total(part) for part in arguments])
    while (part := queue.get()) is not None:
        connection.send(part[1:])


def test_arguments_queue_and_pipe(context: BaseContext) -> None:
    view = onecopy.share(ARRAY)
    queue, (mine, theirs) = context.Queue(), context.Pipe()
    parts = tuple(PARTS[name](view) for name in SENT)
    process = context.Process(target=answer, args=(parts, queue, theirs))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    assert mine.poll(WATCHDOG_S)
    assert mine.recv() == [expected_total(name) for name in SENT]
    for _ in range(3):
        queue.put(view)
        assert mine.poll(WATCHDOG_S)
        back = mine.recv()
        assert np.array_equal(back, ARRAY[1:])
        # There and back it is still this process's mapping of the same memory.
        assert back.__array_interface__["data"][0] == view[1:].__array_interface__["data"][0]
    queue.put(None)
    process.join(WATCHDOG_S)
    assert process.exitcode == 0


def test_loky() -> None:
    joblib = pytest.importorskip("joblib")
    from joblib.externals.loky import get_reusable_executor

    view = onecopy.share(ARRAY)
    found = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(total)(PARTS[name](view)) for name in SENT)
    assert found == [expected_total(name) for name in SENT]
    made = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(make)(n) for n in range(4))
    get_reusable_executor().shutdown(wait=True)
    assert [float(view[0]) for view in made] == [0, 1, 2, 3]


def make(number: int) -> Any:
    array = onecopy.full(100_000, float(number)) if number % 2 else np.full(100_000, float(number))
    return onecopy.share(array)


def make_and_send(connection: Any) -> None:
    connection.send([make(0), make(1)[10:20]])


def test_worker_creates_returns_and_exits(context: BaseContext) -> None:
    mine, theirs = context.Pipe()
    process = context.Process(target=make_and_send, args=(theirs,))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    process.join(WATCHDOG_S)  # gone before anything is received
    assert process.exitcode == 0
    copied, born = mine.recv()
    assert float(copied.sum()) == 0
    assert float(born.sum()) == 10
    with context.Pool(1) as pool:
        results = pool.map(make, range(4))
    assert [float(view.max()) for view in results] == [0, 1, 2, 3]


def private_of(view: Any) -> Any:
    mine = onecopy.private(view)
    mine[0] = -1
    return mine


def test_private_arrays_travel_by_content(context: BaseContext) -> None:
    view = onecopy.share(np.ones(1000))
    with context.Pool(1) as pool:
        back = pool.apply(private_of, (view,))
    assert type(back) is np.ndarray
    assert back[0] == -1
    assert view[0] == 1


def test_unrelated_program_attaches_by_token(tmp_path: Path) -> None:
    # No common parent that knows of the store, no variable: only the bytes of the token.
    view = onecopy.share(ARRAY)
    token = tmp_path / "token"
    token.write_bytes(pickle.dumps(view))
    program = f"import pickle, pathlib; print(float(pickle.loads(pathlib.Path({str(token)!r}).read_bytes()).sum()))"
    environment = {name: value for name, value in os.environ.items() if name != "ONECOPY_STORE"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    assert float(run.stdout) == float(ARRAY.sum())


# ── into a file ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_library_that_pickles_a_view_into_a_file_is_warned_about(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    cloudpickle = pytest.importorskip("cloudpickle")
    pandas = pytest.importorskip("pandas")
    for view in (onecopy.share([1, 2]), onecopy.share(ARRAY)):
        for held in (view, {"it": [view]}):
            with pytest.warns(RuntimeWarning, match=r"a token, not data.*onecopy\.save\(view, path\)"):
                joblib.dump(held, tmp_path / "joblib")
            with pytest.warns(RuntimeWarning, match="a token, not data"), (tmp_path / "cloudpickle").open("wb") as file:
                cloudpickle.dump(held, file)
            with pytest.warns(RuntimeWarning, match="a token, not data"):
                pandas.to_pickle(held, tmp_path / "pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Nothing but memory, and what names a file anyway.
        joblib.dump(onecopy.share([1, 2]), io.BytesIO())
        cloudpickle.dumps(onecopy.share(ARRAY))
        onecopy.save([1, 2], tmp_path / "image")
        joblib.dump(onecopy.open(tmp_path / "image"), tmp_path / "joblib")
    assert joblib.load(tmp_path / "joblib") == [1, 2]


def test_the_warning_names_whoever_called_the_library(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    pandas = pytest.importorskip("pandas")
    for view in (onecopy.share([1, 2]), onecopy.share(ARRAY), onecopy.share({"it": ARRAY})["it"]):
        for save in (joblib.dump, pandas.to_pickle):
            with pytest.warns(RuntimeWarning, match="a token, not data") as warned:
                save([view], tmp_path / "file")
            assert {warning.filename for warning in warned} == {__file__}


class Nameless(io.BytesIO):
    """A file whose name cannot be asked for."""

    @property
    def name(self) -> str:
        raise RuntimeError("no name")


def test_pipes_and_memory_with_a_name_are_no_files(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    view = onecopy.share([1, 2])
    os.mkfifo(tmp_path / "fifo")
    reader, writer = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, reader)
        pipe = stack.enter_context(os.fdopen(writer, "wb", 0))
        fifo = stack.enter_context(os.fdopen(os.open(tmp_path / "fifo", os.O_RDWR), "wb", 0))
        by_path = stack.enter_context((tmp_path / "fifo").open("wb"))
        standard = stack.enter_context(Path("/dev/fd", str(writer)).open("wb"))
        packed = stack.enter_context(gzip.GzipFile(fileobj=io.BytesIO(), mode="wb"))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
        for target in (pipe, fifo, by_path, standard, packed, Nameless()):
            cloudpickle.dump(view, target)


def test_packed_files_are_files(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    with gzip.open(tmp_path / "packed", "wb") as file, pytest.warns(RuntimeWarning, match="a token, not data"):
        cloudpickle.dump(onecopy.share([1, 2]), file)


def test_archives_are_files(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    archive = zipfile.ZipFile(tmp_path / "archive", "w")
    with archive, archive.open("member", "w") as member:
        if not hasattr(member, "name"):  # which it has from Python 3.13 on
            cloudpickle.dump(onecopy.share([1, 2]), member)
            return
        with pytest.warns(RuntimeWarning, match="a token, not data"):
            cloudpickle.dump(onecopy.share([1, 2]), member)


def test_a_token_in_a_file_says_that_it_is_no_data_when_they_are_gone(dead_token: bytes) -> None:
    with pytest.raises(onecopy.AttachError, match=r"is a token, not data: onecopy\.save\(\) writes"):
        pickle.loads(dead_token)
    view = onecopy.share([1])
    pickled = pickle.dumps(view)
    pickle.loads(pickled)
    del view
    with pytest.raises(onecopy.Gone, match=r"is a token, not data: onecopy\.save\(\) writes"):
        pickle.loads(pickled)
