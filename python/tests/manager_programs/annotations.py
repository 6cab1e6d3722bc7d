"""Proxies in annotations and checks."""

import multiprocessing
from multiprocessing.managers import DictProxy, ListProxy, SyncManager


def kind(thing: DictProxy | ListProxy) -> str:
    if isinstance(thing, DictProxy):
        return "a dict"
    return "a list" if isinstance(thing, ListProxy) else "something else"


def main():
    manager = multiprocessing.Manager()
    print(
        isinstance(manager, SyncManager), kind(manager.dict()), kind(manager.list()), isinstance(manager.dict(), dict)
    )


if __name__ == "__main__":
    main()
