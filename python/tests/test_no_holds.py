"""Containers in a fork child that could be given no holds: nothing keeps their memory there, so no way in is left."""

from __future__ import annotations

from test_container_limits import run_program

# A fork without a free descriptor gives the child no holds.
FORK = """
import collections, os, pickle, resource, sys
import onecopy

def without_holds(work):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sys.stdout.flush()
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    child = os.fork()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if child == 0:
        status = 1
        try:
            work()
            sys.stdout.flush()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def refused(way, *arguments):
    try:
        way(*arguments)
    except onecopy.OnecopyError as error:
        return "cannot be used in this process" in str(error)
    except Exception as error:
        print("another error:", repr(error))
    return False
"""

WAYS = (
    FORK
    + """
made = {
    "List": onecopy.List([1, 2.5, 10**30]),
    "Dict": onecopy.Dict({"a": 1, "b": "a text that is a block"}),
    "Set": onecopy.Set(["a", "b"]),
    "Counter": onecopy.Counter({"a": 3, "b": 1}),
    "Value": onecopy.Value(1),
    "Namespace": onecopy.Namespace(a=1),
}
lock = made["List"].lock
iterator, views = iter(made["List"]), [getattr(made["Dict"], name)() for name in ("keys", "values", "items")]
next(iterator)

# What the methods are given, those of all classes but where a class is named.
GIVEN = {
    "add": ("a",), "List.add": (0,), "Value.add": (), "Set.add": ("z",),
    "append": (4,), "extend": ([4],), "insert": (0, 4), "remove": ("a",), "List.remove": (1,), "List.pop": (),
    "pop": ("a",), "Set.pop": (), "index": (1,), "count": (1,), "compare_exchange": ("a", 1, 2),
    "List.compare_exchange": (0, 1, 2),
    "Value.compare_exchange": (1, 2), "update_with": ("a", lambda x: x), "List.update_with": (0, lambda x: x),
    "Value.update_with": (lambda x: x,), "set": (2,), "get": ("a",), "Value.get": (), "setdefault": ("a", 1),
    "update": ({"a": 1},), "Set.update": (["a"],), "subtract": ({"a": 1},), "move_to_end": ("a",), "discard": ("a",),
    "fromkeys": (["a"],), "__getitem__": ("a",), "List.__getitem__": (0,), "__setitem__": ("a", 1),
    "List.__setitem__": (0, 1), "__delitem__": ("a",), "List.__delitem__": (0,), "__contains__": ("a",),
    "__or__": ({"z": 1},), "__ror__": ({"z": 1},), "__ior__": ({"z": 1},), "__iadd__": ([1],),
    "Counter.__iadd__": ({"a": 1},),
    "__imul__": (2,), "__mul__": (2,), "__rmul__": (2,), "__reduce_ex__": (4,), "__getattr__": ("a",),
    "__deepcopy__": ({},), "__setattr__": ("a", 2), "__delattr__": ("a",), "__init__": (), "Dict.__init__": ({"a": 1},),
}
OPERAND = {
    "List": [1], "Dict": {"a": 1}, "Set": {"a"}, "Counter": collections.Counter("ab"),
    "Namespace": onecopy.Namespace(a=1),
}
OPERATORS = set('''
    __add__ __radd__ __sub__ __rsub__ __and__ __rand__ __or__ __ror__ __xor__ __rxor__ __iand__ __isub__ __ior__
    __ixor__ __lt__ __le__ __gt__ __ge__ __eq__ __ne__ union intersection difference symmetric_difference
    isdisjoint issubset issuperset intersection_update difference_update symmetric_difference_update
'''.split())
# They do not look into the container: what they give is tried below, or they are the class's.
SPECIAL = set('''
    lock keys values items __class_getitem__ __hash__ __doc__ __module__ __new__ __slots__ __weakref__ __class__
    __dir__ __format__ __getattribute__ __getstate__ __init_subclass__ __sizeof__ __str__ __subclasshook__
    __bool__ _entries __static_attributes__ __firstlineno__ __annotations__ __annotations_cache__
    __annotate_func__ __annotate__ __type_params__ __abstractmethods__
'''.split())
PLAIN = set('''
    List.__iter__ Namespace.__init__ Value.__eq__ Value.__ne__ Value.__lt__ Value.__le__ Value.__gt__
    Value.__ge__ Value.__setattr__ Value.__delattr__ Value.__init__ Namespace.__lt__ Namespace.__le__
    Namespace.__gt__ Namespace.__ge__ Counter.fromkeys Namespace._missing Namespace._check Namespace._taken
    Namespace._is_managed Namespace.__reduce__
    Namespace.__reduce_ex__ Dict.__lt__ Dict.__le__ Dict.__gt__ Dict.__ge__ Namespace.update_with
'''.split())

def ways(name, held):
    for method in dir(type(held)):
        full = f"{name}.{method}"
        inherited = getattr(type(held), method, None) is getattr(object, method, None)
        if method in SPECIAL or full in PLAIN or inherited and method not in ("__reduce_ex__", "__ne__"):
            continue
        if full == "Value.value":
            yield full, lambda: held.value
        elif full == "Namespace.__dict__":
            yield full, lambda: vars(held)
        else:
            plain = (OPERAND[name],) if method in OPERATORS else GIVEN.get(method, ())
            given = GIVEN.get(full, plain)
            yield full, lambda method=method, given=given: getattr(held, method)(*given)

def tried():
    count = 0
    for name, held in made.items():
        for full, way in ways(name, held):
            count += 1
            if not refused(lambda: str(way())):
                print("a way in:", full)
        if not refused(pickle.dumps, held):
            print("a way in: pickle of", name)
    others = {
        "next": lambda: next(iterator), "locked": lock.locked, "deaths": lambda: lock.deaths, "acquire": lock.acquire,
        "release": lock.release, "enter": lock.__enter__, "repr": lambda: repr(lock),
        "vars": lambda: vars(made["Namespace"]),
        "list": lambda: list(made["List"]), "dict": lambda: dict(made["Dict"]), "in": lambda: 1 in made["List"],
        **{f"view {at}": lambda at=at: list(views[at]) for at in range(3)},
        **{f"view {at} len": lambda at=at: len(views[at]) for at in range(3)},
    }
    for name, way in others.items():
        if not refused(way):
            print("a way in:", name)
    print("tried", count > 120)

without_holds(tried)
for name, held in made.items():
    if name != "Namespace":
        held.verify()
assert list(made["List"]) == [1, 2.5, 10**30] and dict(made["Counter"]) == {"a": 3, "b": 1}
"""
)


def test_every_way_into_a_container_is_closed() -> None:
    assert run_program(WAYS).splitlines() == ["tried True"]


ARRAYS = (
    FORK
    + """
array = onecopy.Array(1000, "i8")
part = array[10:20]
memory = array.base
while not hasattr(memory, "address"):
    memory = memory.base

def tried():
    import numpy as np
    for name, way in {
        "add": lambda: array.add(0, 1), "pickle": lambda: pickle.dumps(array), "part": lambda: pickle.dumps(part),
        "address": lambda: memory.address, "buffer": lambda: memoryview(memory),
        "numpy": lambda: np.frombuffer(memory, "u1"),
        "lock": lambda: array.lock.acquire(), "replace": lambda: memory.replace(0, 8, 0, 1), "token": memory.token,
        "offset": lambda: memory.offset(array, (0,)), "new": lambda: onecopy.Array(3),
    }.items():
        if not refused(way):
            print("a way in:", name)
    # What has an address already writes to pages of its own.
    array[:] = 7
    print(int(array.sum()))
    print(list(onecopy.share([1, 2, 3])))

without_holds(tried)
assert not array.any()
assert array.add(3, 4) == 4
"""
)


def test_an_array_that_a_child_has_already_is_its_own_copy() -> None:
    assert run_program(ARRAYS).splitlines() == ["7000", "[1, 2, 3]"]


REUSED = (
    FORK.replace("    assert os.wait", "    meanwhile()\n    assert os.wait")
    + """
import numpy as np
array = onecopy.Array(1 << 20, "u1")
ours, theirs = os.pipe(), os.pipe()

def meanwhile():
    global array
    os.read(ours[0], 1)
    del array
    onecopy.collect()
    os.write(theirs[1], b"x")

def build():
    address = array.ctypes.data
    array[:] = 1  # private pages
    os.write(ours[1], b"x")
    os.read(theirs[0], 1)
    # What is built where the array was is seen by all who read it.
    made = [onecopy.share(np.full(1 << 19, 3, "u1")) for _ in range(4)]
    print(all(int(part.sum()) == 3 << 19 for part in made), address > 0)

without_holds(build)
"""
)


def test_what_such_a_child_builds_where_a_container_was_is_whole() -> None:
    assert run_program(REUSED).splitlines() == ["True True"]
