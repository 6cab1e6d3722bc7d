"""Lists in dicts, and dicts in lists, that stay shared."""

import multiprocessing


def work(shared):
    shared["words"].append("from a worker")
    shared["deep"]["list"][0] = "changed"


def main():
    manager = multiprocessing.Manager()
    shared = manager.dict()
    shared["words"] = manager.list(["first"])
    shared["deep"] = manager.dict(list=manager.list([1, 2]))
    worker = multiprocessing.Process(target=work, args=(shared,))
    worker.start()
    worker.join()
    print(list(shared["words"]), list(shared["deep"]["list"]))
    grid = manager.list([manager.list([0, 0]) for _ in range(2)])
    grid[1][0] = 5
    print([list(row) for row in grid])


if __name__ == "__main__":
    main()
