"""Types of the program's own with the standard proxy classes, and with classes derived from them."""

from collections import OrderedDict, defaultdict, deque
from multiprocessing.managers import BaseManager, DictProxy, ListProxy, NamespaceProxy, SyncManager, ValueProxy


class Account:
    def __init__(self):
        self.balance = 1

    def double(self):
        self.balance *= 2
        return self.balance


class AccountProxy(NamespaceProxy):
    _exposed_ = ("__getattribute__", "__setattr__", "__delattr__", "double")

    def double(self):
        return object.__getattribute__(self, "_callmethod")("double")


class Rows(ListProxy):
    def first(self):
        return self[0]


class Boxed(ValueProxy):
    pass


class Plain(BaseManager):
    pass


class Synced(SyncManager):
    pass


for manager_class in (Plain, Synced):
    manager_class.register("defaultdict", defaultdict, DictProxy)
    manager_class.register("OrderedDict", OrderedDict, proxytype=DictProxy)
    manager_class.register("rows", deque, Rows)
    manager_class.register("Account", Account, AccountProxy)


def main():
    for manager_class in (Plain, Synced):
        with manager_class() as manager:
            counts, rows, account = manager.defaultdict(list), manager.rows([3, 4]), manager.Account()
            print(counts["a"], counts.copy(), isinstance(counts, DictProxy), isinstance(rows, DictProxy))
            print(manager.OrderedDict(a=1).copy(), rows.first(), isinstance(rows, ListProxy), isinstance(rows, Rows))
            account.balance = 5
            print(account.double(), account.balance, issubclass(Rows, ListProxy), issubclass(Boxed, Rows))


if __name__ == "__main__":
    main()
