"""Types of the program's own, which need a server; and a manager that others connect to."""

from multiprocessing.managers import BaseManager, SyncManager


class Counter:
    def __init__(self, start=0):
        self._count = start

    def next(self):
        self._count += 1
        return self._count


class Mine(SyncManager):
    pass


class Plain(BaseManager):
    pass


Mine.register("Counter", Counter)
Plain.register("Counter", Counter)


def main():
    with Mine() as manager:
        counter = manager.Counter(5)
        shared = manager.dict(a=1)
        print(counter.next(), counter.next(), dict(shared))
    with Plain() as manager:
        print(manager.Counter().next())
    server = SyncManager(address=("127.0.0.1", 0), authkey=b"secret")
    server.start()
    client = SyncManager(address=server.address, authkey=b"secret")
    client.connect()
    numbers = client.list([1, 2])
    numbers.append(3)
    print(numbers._getvalue())
    del numbers
    server.shutdown()


if __name__ == "__main__":
    main()
