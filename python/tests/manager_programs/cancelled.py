"""A cancel flag for the processes of concurrent.futures."""

import concurrent.futures
import multiprocessing


def until(cancelled, started):
    started.put(1)
    return cancelled.wait(60)


def main():
    manager = multiprocessing.Manager()
    cancelled, started = manager.Event(), manager.Queue()
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        futures = [executor.submit(until, cancelled, started) for _ in range(2)]
        started.get(timeout=60)
        cancelled.set()
        print([future.result() for future in futures])


if __name__ == "__main__":
    main()
