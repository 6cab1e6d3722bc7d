"""Proxies of a server of the program's own, which go to other processes and into other proxies."""

import multiprocessing
from multiprocessing.managers import DictProxy, SyncManager


def work(results, number):
    results[number] = number * 10


def main():
    multiprocessing.current_process().authkey = b"secret"
    manager = SyncManager(address=("127.0.0.1", 0), authkey=b"secret")
    manager.start()
    results, boxes, lock = manager.dict(), manager.list(), manager.Lock()
    boxes.append(results)
    boxes[0]["nested"] = True
    for method in ("spawn", "fork", "forkserver"):
        worker = multiprocessing.get_context(method).Process(target=work, args=(results, method))
        worker.start()
        worker.join()
    with lock:
        print(results.copy(), isinstance(boxes[0], DictProxy))
    manager.shutdown()


if __name__ == "__main__":
    main()
