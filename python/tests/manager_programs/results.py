"""A dict and a list that processes and a pool fill with results."""

import multiprocessing


def fill(number, results, squares):
    results[number] = f"result {number}"
    squares.append(number**2)


def main():
    with multiprocessing.Manager() as manager:
        results, squares = manager.dict(), manager.list()
        workers = [multiprocessing.Process(target=fill, args=(n, results, squares)) for n in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        with multiprocessing.Pool(2) as pool:
            pool.starmap(fill, [(n, results, squares) for n in range(3, 6)])
            pool.apply_async(fill, (6, results, squares)).get()
        print(sorted(results.items()), sorted(squares), len(results), 3 in results, results.get(99))


if __name__ == "__main__":
    main()
