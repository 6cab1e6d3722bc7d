"""A dict whose Manager nobody keeps: the proxy alone is passed on."""

import multiprocessing


def made():
    manager = multiprocessing.Manager()
    return manager, manager.dict(a=1)


def work(shared):
    shared["b"] = 2


def main():
    manager, shared = made()
    worker = multiprocessing.Process(target=work, args=(shared,))
    worker.start()
    worker.join()
    print(dict(shared), len(shared))
    manager.shutdown()


if __name__ == "__main__":
    main()
