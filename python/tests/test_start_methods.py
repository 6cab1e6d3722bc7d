"""A view reaches a worker in every way in which Python hands objects to processes, under every start method."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import onecopy
from conftest import summed_pss_bytes
from families import MIB, WATCHDOG_S, pss_at_rest, remember_barrier, stay, wait_until, while_all_stay

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

DATA: dict[str, Any] = {
    "ints": list(range(-500, 70_000)),
    "big ints": [3**n for n in range(200)],
    "floats": [n / 7 for n in range(10_000)],
    "bools": [n % 3 == 0 for n in range(10_000)],
    "strings": [f"name {n} é\ud800" for n in range(5_000)],
    "bytes": [bytes([n % 256]) * (n % 50) for n in range(5_000)],
    "mixture": [None, True, 1, 1.0, "eins", b"one", 2**70] * 500,
    "tuple": tuple(range(1000)),
    "empty": [],
}


def check(name: str, view: Any) -> str:
    """In a worker: the view's data are right, and they are not a copy."""
    assert type(view).__module__.startswith("onecopy"), type(view)
    assert onecopy.to_python(view) == DATA[name]
    return name


def check_all(views: dict[str, Any]) -> list[str]:
    return [check(name, view) for name, view in views.items()]


def shared() -> dict[str, Any]:
    return {name: onecopy.share(data) for name, data in DATA.items()}


def join(process: Any) -> None:
    process.join(WATCHDOG_S)
    assert process.exitcode == 0


# ── the ways ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def report_all(views: dict[str, Any], answers: Any) -> None:
    answers.put(check_all(views))


def test_arguments_of_a_process(context: BaseContext) -> None:
    answers = context.SimpleQueue()
    process = context.Process(target=report_all, args=(shared(), answers))  # type: ignore[attr-defined]
    process.start()
    assert answers.get() == list(DATA)
    join(process)


def test_pool_that_ran_before_the_data_existed(context: BaseContext) -> None:
    with context.Pool(2) as pool:
        pool.map(int, range(4))
        views = shared()
        assert pool.starmap(check, views.items(), chunksize=1) == list(DATA)
        assert pool.apply(check_all, (views,)) == list(DATA)


remembered: dict[str, Any] = {}


def remember(views: dict[str, Any]) -> None:
    remembered.update(views)


def check_remembered(name: str) -> str:
    return check(name, remembered[name])


def test_initializer_of_a_pool(context: BaseContext) -> None:
    with context.Pool(2, remember, (shared(),)) as pool:
        assert pool.map(check_remembered, DATA) == list(DATA)


def test_process_pool_executor(context: BaseContext) -> None:
    views = shared()
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(check, views, views.values())) == list(DATA)


def echo(incoming: Any, outgoing: Any) -> None:
    while (item := incoming.get()) is not None:
        name, view = item
        check(name, view)
        outgoing.put((name, view))


def test_queue_there_and_back(context: BaseContext) -> None:
    there, back = context.Queue(), context.Queue()
    process = context.Process(target=echo, args=(there, back))  # type: ignore[attr-defined]
    process.start()
    for name, view in shared().items():
        there.put((name, view))
        del view
        returned, again = back.get(timeout=WATCHDOG_S)
        assert returned == name
        check(name, again)
    there.put(None)
    join(process)


def echo_connection(connection: Any) -> None:
    while (item := connection.recv()) is not None:
        name, view = item
        check(name, view)
        connection.send((name, view))


def test_pipe_there_and_back(context: BaseContext) -> None:
    mine, theirs = context.Pipe()
    process = context.Process(target=echo_connection, args=(theirs,))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    for name, view in shared().items():
        mine.send((name, view))
        assert mine.poll(WATCHDOG_S)
        returned, again = mine.recv()
        assert returned == name
        check(name, again)
    mine.send(None)
    join(process)


def test_loky_of_joblib() -> None:
    joblib = pytest.importorskip("joblib")
    views = shared()
    names = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(check)(*item) for item in views.items())
    assert names == list(DATA)
    made = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(make)(name) for name in DATA)
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)
    for name, view in zip(DATA, made, strict=True):  # its makers are gone
        check(name, view)


# ── who makes, who reads, who is gone ────────────────────────────────────────────────────────────────────────────────


def make(name: str) -> Any:
    return onecopy.share(DATA[name])


def put_and_exit(name: str, answers: Any) -> None:
    answers.put(make(name))


def test_worker_makes_returns_and_exits(context: BaseContext) -> None:
    for name in DATA:
        answers = context.SimpleQueue()
        process = context.Process(target=put_and_exit, args=(name, answers))  # type: ignore[attr-defined]
        process.start()
        view = answers.get()
        join(process)
        check(name, view)


def test_results_outlive_their_pool(context: BaseContext) -> None:
    with context.Pool(2) as pool:
        views = pool.map(make, DATA)
        pool.close()
        pool.join()
    for name, view in zip(DATA, views, strict=True):
        check(name, view)


def read_after(name: str, incoming: Any, outgoing: Any) -> None:
    view = incoming.get()
    outgoing.put(check(name, view))


def test_sender_may_drop_its_view_before_it_is_received(context: BaseContext) -> None:
    there, back = context.SimpleQueue(), context.SimpleQueue()
    there.put(onecopy.share(DATA["mixture"]))  # nobody holds it now but the token in the pipe
    process = context.Process(target=read_after, args=("mixture", there, back))  # type: ignore[attr-defined]
    process.start()
    assert back.get() == "mixture"
    join(process)


def hand_down(name: str, view: Any, method: str, depth: int) -> str:
    """Passes the view to a child of this worker, down to the given depth."""
    if depth == 0:
        return check(name, view)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        return pool.submit(hand_down, name, view, method, depth - 1).result(WATCHDOG_S)


def test_worker_of_a_worker_of_a_worker(start_method: str) -> None:
    assert hand_down("strings", onecopy.share(DATA["strings"]), start_method, 3) == "strings"


def send_to_sibling(connection: Any, name: str) -> None:
    connection.send((name, make(name)))


def check_from_sibling(connection: Any, answers: Any) -> None:
    answers.put(check(*connection.recv()))


def test_siblings_share_without_their_parent(context: BaseContext) -> None:
    reading, writing = context.Pipe(duplex=False)
    answers = context.SimpleQueue()
    maker = context.Process(target=send_to_sibling, args=(writing, "ints"))  # type: ignore[attr-defined]
    reader = context.Process(target=check_from_sibling, args=(reading, answers))  # type: ignore[attr-defined]
    maker.start()
    join(maker)
    reader.start()
    assert answers.get() == "ints"
    join(reader)


def hold_until_killed(view: Any, ready: Any) -> None:
    assert len(view) > 0
    ready.send(os.getpid())
    signal.pause()


def test_killed_reader_does_not_disturb_the_others(context: BaseContext) -> None:
    view = onecopy.share(DATA["ints"])
    mine, theirs = context.Pipe()
    process = context.Process(target=hold_until_killed, args=(view, theirs))  # type: ignore[attr-defined]
    process.start()
    assert mine.poll(WATCHDOG_S)
    os.kill(mine.recv(), signal.SIGKILL)
    process.join(WATCHDOG_S)
    assert process.exitcode == -signal.SIGKILL
    check("ints", view)
    with context.Pool(1) as pool:
        assert pool.apply(check, ("ints", view)) == "ints"


def test_fork_without_multiprocessing() -> None:
    view = onecopy.share(DATA["strings"])
    token = pickle.dumps(onecopy.share(DATA["ints"]))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            check("strings", view)
            check("ints", pickle.loads(token))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    check("strings", view)


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────

READERS = 8


def read_everything(view: Any) -> int:
    """Reads every element; holds the view until all have read."""
    total = sum(len(one) if isinstance(one, str) else int(one) for one in view)
    stay()
    return total


def many_ints() -> list[int]:
    return list(range(1_500_000))


def many_strings() -> list[str]:
    return [f"{n:016d}" for n in range(300_000)]


def many_floats() -> list[float]:
    return [n / 3 for n in range(1_000_000)]


# What reading a kind leaves behind does not depend on how the reader was started, so one kind stands for all of them.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("start_method", "make_data", "lower_bound"),
    [
        ("fork", many_ints, 4 * 1_500_000),
        ("fork", many_strings, 16 * 300_000),
        ("fork", many_floats, 8_000_000),
        ("forkserver", many_ints, 4 * 1_500_000),
        ("spawn", many_ints, 4 * 1_500_000),
    ],
)
def test_eight_readers_hold_one_copy(context: BaseContext, make_data: Callable[[], Any], lower_bound: int) -> None:
    barrier = context.Barrier(READERS + 1)
    before = onecopy.stats().live_objects
    with context.Pool(READERS, remember_barrier, (barrier,)) as pool:

        def growth() -> tuple[int, int]:
            """Bytes of the image, and growth of the family with eight workers that have read it."""
            data = make_data()
            # A worker lets its view go after it has sent the result.
            wait_until(lambda: onecopy.stats().live_objects <= before)
            start = pss_at_rest(pool, barrier)
            allocated = onecopy.stats().allocated_bytes
            view = onecopy.share(data)
            image = onecopy.stats().allocated_bytes - allocated
            working = pool.map_async(read_everything, [view] * READERS, chunksize=1)
            grown = while_all_stay(barrier, summed_pss_bytes) - start
            assert len(set(working.get(WATCHDOG_S))) == 1
            return image, grown

        growth()  # brings every heap to its working size
        image, grown = growth()
    assert grown >= 0.99 * image >= 0.99 * lower_bound  # all of it was really read
    assert grown <= 1.01 * image + READERS * MIB / 2
