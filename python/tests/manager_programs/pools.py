"""Initializers, partials, and blocking calls in an executor of asyncio."""

import asyncio
import functools
import multiprocessing

_shared = None


def keep(shared):
    global _shared
    _shared = shared


def by_initializer(number):
    _shared[number] = number * 10


def by_partial(shared, number):
    shared[number] = number * 100


async def waits(items):
    return await asyncio.get_running_loop().run_in_executor(None, items.get)


async def both(items):
    got = asyncio.create_task(waits(items))
    await asyncio.sleep(0)
    items.put("from the loop")
    return await got


def main():
    manager = multiprocessing.Manager()
    shared = manager.dict()
    with multiprocessing.Pool(2, initializer=keep, initargs=(shared,)) as pool:
        pool.map(by_initializer, range(3))
    with multiprocessing.Pool(2) as pool:
        pool.map(functools.partial(by_partial, shared), range(3, 5))
    print(sorted(shared.items()))
    print(asyncio.run(both(manager.Queue())))


if __name__ == "__main__":
    main()
