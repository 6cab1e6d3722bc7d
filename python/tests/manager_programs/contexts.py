"""Managers of contexts, and of pools."""

import multiprocessing


def work(shared, name):
    shared[name] = multiprocessing.get_start_method()


def main():
    for method in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(method)
        with context.Manager() as manager, context.Pool(1) as pool:
            shared = manager.dict()
            pool.apply(work, (shared, method))
            with pool._ctx.Manager() as other:
                print(list(shared), len(other.list([1])))


if __name__ == "__main__":
    main()
