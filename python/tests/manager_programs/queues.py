"""A queue in a pool: exceptions, timeouts, a bound, sentinels."""

import multiprocessing
import queue


def produce(items, count):
    for number in range(count):
        items.put(number)
    items.put(None)


def consume(items):
    total = 0
    while (item := items.get(timeout=60)) is not None:
        total += item
    return total


def main():
    manager = multiprocessing.Manager()
    items = manager.Queue(maxsize=2)
    with multiprocessing.Pool(2) as pool:
        total = pool.apply_async(consume, (items,))
        pool.apply_async(produce, (items, 50)).get()
        print("total", total.get())
    print(items.empty(), items.full(), items.qsize())
    for get in (items.get_nowait, lambda: items.get(timeout=0.01), lambda: items.get(False)):
        try:
            get()
        except queue.Empty:
            print("empty")
    items.put("a")
    items.put_nowait("b")
    for put in (items.put_nowait, lambda item: items.put(item, timeout=0.01), lambda item: items.put(item, False)):
        try:
            put("c")
        except queue.Full:
            print("full", items.full())
    print(items.get(), items.get())
    items.task_done()


if __name__ == "__main__":
    main()
