"""What comes out as real dicts and lists."""

import json
import multiprocessing


def main():
    manager = multiprocessing.Manager()
    shared = manager.dict({"a": 1, "b": [1, 2]})
    numbers = manager.list([3, 1, 2])
    numbers.sort()
    numbers.extend([7])
    print(json.dumps(shared.copy(), sort_keys=True), dict(shared) == {"a": 1, "b": [1, 2]})
    print(sorted(shared.keys()), sorted(map(str, shared.values())), sorted(map(str, shared.items())))
    print(list(numbers), numbers[:2], numbers + [9], numbers * 2, numbers.index(2), numbers.count(7), numbers.pop())
    print(shared, numbers, str(numbers), f"{numbers}")
    print(type(shared.copy()).__name__, type(shared._getvalue()).__name__, shared._getvalue(), numbers._getvalue())
    shared.update(c=3)
    print(shared.pop("a"), shared.setdefault("d", 4), "b" in shared, len(shared))
    del shared["d"]
    plain = shared["b"]
    plain.append(3)
    print("a plain value is a copy", shared["b"])
    shared["b"] = plain
    print("put back", shared["b"])
    numbers += [8]
    numbers[0] = "zero"
    numbers.reverse()
    print(list(numbers))
    shared.clear()
    print(len(shared))


if __name__ == "__main__":
    main()
