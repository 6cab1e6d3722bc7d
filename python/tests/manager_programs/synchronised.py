"""Lock, RLock, Event, Semaphore, Condition, Barrier between processes."""

import multiprocessing


def count(value, lock, rounds):
    for _ in range(rounds):
        with lock:
            value.value += 1


def wait_for(event, done):
    event.wait(60)
    done.append("cancelled" if event.is_set() else "timeout")


def meet(barrier, places):
    places.append(barrier.wait(60))


def notified(condition, woken):
    with condition:
        woken.append("waits")
        woken.append(condition.wait(60))


def main():
    manager = multiprocessing.Manager()
    for lock in (manager.Lock(), manager.RLock()):
        value = manager.Value("i", 0)
        workers = [multiprocessing.Process(target=count, args=(value, lock, 50)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print("counted", value.value)
    event, done = manager.Event(), manager.list()
    worker = multiprocessing.Process(target=wait_for, args=(event, done))
    worker.start()
    event.set()
    worker.join()
    print(list(done))
    barrier, places = manager.Barrier(2), manager.list()
    workers = [multiprocessing.Process(target=meet, args=(barrier, places)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sorted(places), barrier.parties, barrier.broken)
    semaphore = manager.Semaphore(1)
    print(semaphore.acquire(), semaphore.acquire(False))
    semaphore.release()
    bounded = manager.BoundedSemaphore(1)
    try:
        bounded.release()
    except ValueError:
        print("released too often")
    condition, woken = manager.Condition(), manager.list()
    worker = multiprocessing.Process(target=notified, args=(condition, woken))
    worker.start()
    while not len(woken):
        pass
    with condition:
        condition.notify_all()
    worker.join()
    print(list(woken))


if __name__ == "__main__":
    main()
