"""`onecopy.Namespace`: attributes that every process sees, kept in a `Dict`."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

from onecopy._onecopy import _guarded_text, _namespace_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from onecopy.containers import Dict, WriterLock

__all__ = ["Namespace"]


_ABSENT: Final = object()


class Namespace:
    """Attributes that every process sees: `ns.x = 1`, `ns.x`, `del ns.x`.

    Values are kept as in a `Dict`: None, bools, numbers, strs and bytes as such, others pickled, so that each read
    makes a new object. Reading and setting are one step each; `ns.x += 1` is two: `update_with` is one. It pickles to a
    token.

    Names that begin with an underscore are refused, and so are `lock` and `update_with`.

    Args:
        kw: The first attributes.

    Example:
        >>> import onecopy
        >>> ns = onecopy.Namespace(best=0.5)
        >>> ns.best = 0.7
        >>> ns.update_with("best", lambda best: max(best, 0.6))
        0.7
        >>> ns
        onecopy.Namespace(best=0.7)
    """

    __module__ = "onecopy"
    __slots__ = ("__weakref__", "_entries")

    _entries: Dict[str, Any]
    _taken: ClassVar[tuple[str, ...]] = ("lock", "update_with")
    _is_managed: ClassVar = False

    def __init__(self, /, **kw: Any) -> None:
        for name in kw:
            self._check(name)
        if not hasattr(self, "_entries"):
            object.__setattr__(self, "_entries", _namespace_entries(self._is_managed))
        self._entries.update(kw)

    def __getattr__(self, name: str) -> Any:
        """Reads an attribute."""
        # What Python itself asks for, of copies that are not made yet for instance.
        if name.startswith("_"):
            raise self._missing(name)
        try:
            return self._entries[name]
        except KeyError:
            raise self._missing(name) from None

    def _missing(self, name: str) -> AttributeError:
        return AttributeError(f"'Namespace' object has no attribute {name!r}", name=name, obj=self)

    def _check(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(f"a Namespace keeps no names that begin with an underscore: {name!r}", name=name)
        if name in self._taken:
            text = f"{name!r} is a method of every Namespace; call the attribute something else"
            raise AttributeError(text, name=name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute, for all processes."""
        self._check(name)
        self._entries[name] = value

    def __delattr__(self, name: str) -> None:
        """Takes an attribute away, for all processes."""
        self._check(name)
        try:
            del self._entries[name]
        except KeyError:
            raise self._missing(name) from None

    @property
    def lock(self) -> WriterLock:
        """The writers' lock, for `with`: others wait before they change an attribute, and readers go on.

        Examples:
            >>> import onecopy
            >>> ns = onecopy.Namespace(a=1, b=2)
            >>> with ns.lock:
            ...     ns.a, ns.b = ns.b, ns.a
            >>> ns
            onecopy.Namespace(a=2, b=1)
        """
        return self._entries.lock

    def update_with(self, name: str, function: Callable[[Any], Any], /, default: Any = _ABSENT) -> Any:
        """Replaces an attribute by what a function makes of it, in one step, and returns the new value.

        The function runs without the lock, and again if somebody was faster: it may run more than once.

        Args:
            name: Which attribute.
            function: Gets the value, returns the next one.
            default: What it gets if there is no such attribute.

        Raises:
            AttributeError: There is no such attribute, and no default.
            RuntimeError: The function sets the attribute itself.
            TimeoutError: Others have set it during each try, for ten seconds. `with ns.lock:` keeps them out.

        Examples:
            >>> import onecopy
            >>> ns = onecopy.Namespace(best=0.5)
            >>> ns.update_with("best", lambda best: max(best, 0.6))
            0.6
        """
        self._check(name)

        def step(value: Any) -> Any:
            if value is _ABSENT:
                raise self._missing(name)
            return function(value)

        return self._entries.update_with(name, step, default)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # `vars()` asks for it
        """The attributes of one moment, a copy."""
        return self._entries.to_python()

    def __dir__(self) -> list[str]:
        """The attributes and the methods."""
        return sorted([*self._entries, *self._taken])

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names, in the order in which they were first set."""
        return iter(list(self._entries))

    def __len__(self) -> int:
        """How many attributes there are."""
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether there is an attribute of this name."""
        return isinstance(name, str) and name in self._entries

    def __eq__(self, other: object) -> bool:
        """Whether both have equal attributes, as in `types.SimpleNamespace`."""
        if not isinstance(other, Namespace):
            return NotImplemented
        return bool(self._entries == other._entries)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __bool__(self) -> bool:
        """Always true, however few attributes there are."""
        return True

    def __repr__(self) -> str:
        """Shows the attributes of one moment."""
        return _guarded_text(self._entries, "onecopy.Namespace(...)", self._text)

    def _text(self) -> str:
        return f"onecopy.Namespace({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __init_subclass__(cls, **kw: Any) -> None:
        """Refuses: workers would get a Namespace."""
        super().__init_subclass__(**kw)
        if cls.__module__ != "onecopy.managers":
            raise TypeError(
                "onecopy.Namespace cannot be derived from: workers would get the Namespace without it. Keep one as an "
                "attribute of your class"
            )

    def __copy__(self) -> SimpleNamespace:
        """Returns the attributes of one moment."""
        return SimpleNamespace(**vars(self))

    def __deepcopy__(self, memo: dict[Any, Any], /) -> SimpleNamespace:
        """Returns copies of the attributes of one moment."""
        entries: Any = copy.deepcopy(self._entries, memo)
        known: Any = ("onecopy", id(entries))
        # It may be inside itself, and then its copy is there already.
        copied = memo.setdefault(known, SimpleNamespace())
        vars(copied).update(entries)
        return cast("SimpleNamespace", copied)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles to a token."""
        return over, (self._entries,)


_N = TypeVar("_N", bound=Namespace)


def entries(namespace: Namespace) -> Dict[str, Any]:
    """Returns the dict that a namespace shows."""
    return namespace._entries  # noqa: SLF001 - of this file


def over(shown: Dict[str, Any] | Namespace, kind: type[_N] = Namespace) -> _N:  # type: ignore[assignment]
    """Returns the namespace that shows a dict. In data inside a container, what shows it comes instead of the dict."""
    new = kind.__new__(kind)
    object.__setattr__(new, "_entries", entries(shown) if isinstance(shown, Namespace) else shown)
    return new
