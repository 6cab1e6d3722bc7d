"""Value, Array and Namespace."""

import multiprocessing


def work(value, numbers, namespace):
    value.value += 1.5
    numbers[0] = 10.0
    namespace.n += 1
    namespace.words = [*namespace.words, "more"]


def main():
    with multiprocessing.Manager() as manager:
        value, numbers = manager.Value("d", 0.0), manager.Array("d", [1.0, 2.0, 3.0])
        namespace = manager.Namespace(n=1, words=["first"])
        worker = multiprocessing.Process(target=work, args=(value, numbers, namespace))
        worker.start()
        worker.join()
        print(value.value, value.get(), numbers[0], len(numbers), list(numbers), numbers[1:])
        value.set(7)
        print(value.value, namespace.n, namespace.words, namespace)
        print(numbers)


if __name__ == "__main__":
    main()
