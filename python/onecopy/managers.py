"""`multiprocessing.managers` without a server process.

A `SyncManager` makes containers, queues and locks in shared memory. What only a server can do (types of your own, an
`address` that other programs connect to, `Pool`) is done by the standard library's manager, whose process is started
when the first of these is asked for.

    >>> import onecopy
    >>> with onecopy.Manager() as manager:
    ...     results = manager.dict()
    ...     results["a"] = 1
    >>> results
    onecopy.Dict({'a': 1})
"""

from __future__ import annotations

import multiprocessing
import weakref
from multiprocessing import managers as _standard
from typing import TYPE_CHECKING, Any, ClassVar

from onecopy import Dict, List, Set, Value
from onecopy._array_proxy import ManagedArray
from onecopy._managed_namespace import ManagedNamespace
from onecopy._stand_ins import STAND_INS
from onecopy.sync import Barrier, BoundedSemaphore, Condition, Event, Lock, Queue, RLock, Semaphore

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterable, Mapping
    from multiprocessing.context import BaseContext
    from typing import Self

__all__ = [
    "AcquirerProxy",
    "ArrayProxy",
    "BarrierProxy",
    "BaseListProxy",
    "BaseManager",
    "BaseProxy",
    "ConditionProxy",
    "DictProxy",
    "EventProxy",
    "ListProxy",
    "ManagedArray",
    "ManagedNamespace",
    "Manager",
    "NamespaceProxy",
    "SetProxy",
    "SyncManager",
    "Token",
    "ValueProxy",
]

BaseManager = _standard.BaseManager
BaseProxy = _standard.BaseProxy
Token = _standard.Token

if TYPE_CHECKING:
    AcquirerProxy = Lock
    ArrayProxy = ManagedArray
    BarrierProxy = Barrier
    BaseListProxy = List
    ConditionProxy = Condition
    DictProxy = Dict
    EventProxy = Event
    ListProxy = List
    NamespaceProxy = ManagedNamespace
    SetProxy = Set
    ValueProxy = Value
else:
    globals().update(STAND_INS)


class _ServerManager(_standard.SyncManager):
    """The standard library's manager, under a name by which spawned servers find it whatever is installed.

    For the same reason its own types are not sent to the server, which has them.
    """

    own_types: ClassVar[dict[str, tuple[Any, ...]]] = dict(_standard.SyncManager._registry)  # type: ignore[attr-defined]  # noqa: SLF001

    def add(self, registry: dict[str, tuple[Any, ...]]) -> None:
        """Adds types of the user's."""
        self._more = registry
        self._registry = {**self.own_types, **registry}

    def start(self, *args: Any) -> None:
        """Starts the server."""
        known, self._registry = self._registry, self._more
        try:
            super().start(*args)
        finally:
            self._registry = known

    @classmethod
    def _run_server(cls, registry: Any, *args: Any) -> None:
        super()._run_server({**cls.own_types, **registry}, *args)  # type: ignore[misc]


class SyncManager:
    """A manager as `multiprocessing.managers.SyncManager`, for which no process is started.

    Its objects live in shared memory as long as some process has them; neither the manager nor `shutdown()` matters to
    them. Types that are registered, `Pool()`, `connect()`, `get_server()` and a manager with an `address` use the
    standard library's server, which is started when it is first needed.

    Args:
        address: Where a server is to be reached; then all objects are the server's.
        authkey: The secret that its clients know.
        serializer: How messages to it are written.
        ctx: The context that starts it.
        shutdown_timeout: Seconds that it may take to end.
    """

    _registry: ClassVar[dict[str, tuple[Any, ...]]] = {}

    def __init__(
        self,
        address: Any = None,
        authkey: bytes | None = None,
        serializer: str = "pickle",
        ctx: BaseContext | None = None,
        *,
        shutdown_timeout: float = 1.0,
    ) -> None:
        self._server_arguments = (address, authkey, serializer, ctx)
        self._shutdown_timeout = shutdown_timeout
        self._is_remote = address is not None
        self._initializer: tuple[Callable[..., object] | None, Iterable[Any]] = (None, ())
        self._real: _ServerManager | None = None
        self._has_started = False
        # By identity: containers have no hash.
        self._made: builtins.dict[int, weakref.ref[Any]] = {}

    # What a server does.

    def _standard_manager(self) -> _ServerManager:
        """The standard library's manager, not started yet."""
        if self._real is None:
            address, authkey, serializer, ctx = self._server_arguments
            real = _ServerManager(address, authkey, serializer, ctx, shutdown_timeout=self._shutdown_timeout)
            real.add(self._registry)
            self._real = real
        return self._real

    def _server(self) -> Any:
        """The standard library's manager with its server running."""
        is_new = self._real is None
        real = self._standard_manager()
        if is_new or not self._is_running(real):
            initializer, initargs = self._initializer
            real.start(initializer, initargs)
        return real

    @staticmethod
    def _is_running(real: Any) -> bool:
        return bool(real._state.value == _standard.State.STARTED)  # type: ignore[attr-defined]  # noqa: SLF001

    @classmethod
    def register(  # noqa: PLR0917 - as the standard library's
        cls,
        typeid: str,
        callable: Callable[..., Any] | None = None,  # noqa: A002 - the name of the standard library
        proxytype: Any = None,
        exposed: Iterable[str] | None = None,
        method_to_typeid: Mapping[str, str] | None = None,
        create_method: bool = True,
    ) -> None:
        """Registers a type whose objects live in the standard library's server.

        Args:
            typeid: The name of the method that makes one.
            callable: Makes the object, in the server.
            proxytype: The proxy's class.
            exposed: Methods that proxies may call.
            method_to_typeid: Methods that return proxies, and of which type.
            create_method: Whether the manager gets a method of this name.
        """
        maker: Any = type("Maker", (_standard.BaseManager,), {})
        maker.register(typeid, callable, proxytype, exposed, method_to_typeid, create_method)
        if "_registry" not in cls.__dict__:
            cls._registry = dict(cls._registry)
        cls._registry[typeid] = maker._registry[typeid]  # noqa: SLF001 - a class of ours
        if create_method:

            def make(self: SyncManager, /, *args: Any, **kwds: Any) -> Any:
                return getattr(maker, typeid)(self._server(), *args, **kwds)

            make.__name__ = typeid
            setattr(cls, typeid, make)

    def connect(self) -> None:
        """Connects to a server that runs elsewhere. From then on all objects are the server's."""
        self._standard_manager().connect()
        self._is_remote = True

    def get_server(self) -> Any:
        """Returns a server for this process to run, with `serve_forever()`."""
        return self._standard_manager().get_server()

    @property
    def address(self) -> Any:
        """Where the server is to be reached; it is started for that."""
        return (self._standard_manager() if self._is_remote else self._server()).address

    def Pool(self, *args: Any, **kwds: Any) -> Any:  # noqa: N802 - the name of the standard library
        """Makes a pool that lives in the server."""
        return self._server().Pool(*args, **kwds)

    # Its life.

    def start(self, initializer: Callable[..., object] | None = None, initargs: Iterable[Any] = ()) -> None:
        """Begins. A server is started later, if something needs one; the initializer runs there then.

        Raises:
            TypeError: The initializer cannot be called.
            multiprocessing.ProcessError: The manager has begun before.
        """
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if self._has_started:
            raise multiprocessing.ProcessError("Already started server")
        self._initializer = (initializer, initargs)
        self._has_started = True
        if self._is_remote:
            self._server()

    def shutdown(self) -> None:
        """Ends the server, if there is one. Objects in shared memory stay for whoever has them."""
        if self._real is not None and self._is_running(self._real):
            self._real.shutdown()

    def join(self, timeout: float | None = None) -> None:
        """Waits until the server has ended, if there was one."""
        if self._real is not None:
            self._real.join(timeout)

    def __enter__(self) -> Self:
        if not self._has_started:
            self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()

    def _number_of_objects(self) -> int:
        """How many of the objects that this made are still known to this process."""
        return len(self._made)

    def _debug_info(self) -> str:
        return "\n".join(repr(made) for made in [ref() for ref in self._made.values()] if made is not None)

    # What it makes.

    def _make(self, name: str, maker: Callable[..., Any], *args: Any, **kwds: Any) -> Any:
        if self._is_remote:
            return getattr(self._server_in_use(), name)(*args, **kwds)
        made = maker(*args, **kwds)
        key, made_here = id(made), self._made
        made_here[key] = weakref.ref(made, lambda _: made_here.pop(key, None))
        return made

    def _server_in_use(self) -> Any:
        real = self._standard_manager()
        return real if self._is_running(real) else self._server()

    def dict(self, *args: Any, **kwds: Any) -> Any:
        """Makes a `Dict`."""
        return self._make("dict", Dict, *args, **kwds)

    def list(self, *args: Any) -> Any:
        """Makes a `List`."""
        return self._make("list", List, *args)

    def set(self, *args: Any) -> Any:
        """Makes a `Set`."""
        return self._make("set", Set, *args)

    def Value(self, typecode: Any, value: Any, lock: Any = True) -> Any:  # noqa: N802
        """Makes a `Value`. As in the standard library's, `typecode` and `lock` mean nothing here."""
        if self._is_remote:
            return self._server_in_use().Value(typecode, value, lock)
        return self._make("Value", Value, value)

    def Array(self, typecode: str, sequence: Iterable[Any], lock: Any = True) -> Any:  # noqa: N802
        """Makes an array of numbers, as `array.array(typecode, sequence)`."""
        if self._is_remote:
            return self._server_in_use().Array(typecode, sequence, lock)
        return self._make("Array", ManagedArray, typecode, sequence)

    def Namespace(self, **kwds: Any) -> Any:  # noqa: N802
        """Makes a `Namespace`."""
        return self._make("Namespace", ManagedNamespace, **kwds)

    def Queue(self, maxsize: int = 0) -> Any:  # noqa: N802
        """Makes a `Queue`."""
        return self._make("Queue", Queue, maxsize)

    def JoinableQueue(self, maxsize: int = 0) -> Any:  # noqa: N802
        """Makes a `Queue`."""
        return self._make("JoinableQueue", Queue, maxsize)

    def Lock(self) -> Any:  # noqa: N802
        """Makes a `Lock`."""
        return self._make("Lock", Lock)

    def RLock(self) -> Any:  # noqa: N802
        """Makes an `RLock`."""
        return self._make("RLock", RLock)

    def Semaphore(self, value: int = 1) -> Any:  # noqa: N802
        """Makes a `Semaphore`."""
        return self._make("Semaphore", Semaphore, value)

    def BoundedSemaphore(self, value: int = 1) -> Any:  # noqa: N802
        """Makes a `BoundedSemaphore`."""
        return self._make("BoundedSemaphore", BoundedSemaphore, value)

    def Event(self) -> Any:  # noqa: N802
        """Makes an `Event`."""
        return self._make("Event", Event)

    def Condition(self, lock: Any = None) -> Any:  # noqa: N802
        """Makes a `Condition`."""
        return self._make("Condition", Condition, lock)

    def Barrier(self, parties: int, action: Any = None, timeout: float | None = None) -> Any:  # noqa: N802
        """Makes a `Barrier`."""
        return self._make("Barrier", Barrier, parties, action, timeout)


def Manager() -> SyncManager:  # noqa: N802 - the name of the standard library
    """Makes a manager, as `multiprocessing.Manager()`, for which no process is started.

    Example:
        >>> import onecopy
        >>> manager = onecopy.Manager()
        >>> numbers = manager.list([1, 2])
        >>> numbers.append(3)
        >>> sum(numbers)
        6
    """
    manager = SyncManager()
    manager.start()
    return manager
