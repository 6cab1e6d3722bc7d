"""What `Manager().Namespace()` makes."""

from __future__ import annotations

from multiprocessing import managers as _standard
from typing import TYPE_CHECKING, Any

from onecopy import Namespace, _namespace

if TYPE_CHECKING:
    from onecopy.containers import Dict

__all__ = ["ManagedNamespace"]


class ManagedNamespace(Namespace):
    """A `Namespace` as a manager makes it: all names are the program's.

    Those that begin with an underscore stay this process's own. It has neither the `lock` nor the `update_with` of an
    `onecopy.Namespace`: programs call attributes so.
    """

    __module__ = "onecopy.managers"
    __slots__ = ("_own",)

    _own: dict[str, Any]
    _taken = ()
    _is_managed = True

    @property
    def lock(self) -> Any:
        """An attribute as any other."""
        return self.__getattr__("lock")

    @property
    def update_with(self) -> Any:
        """An attribute as any other."""
        return self.__getattr__("update_with")

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute, for all processes or for this one."""
        if name.startswith("_"):
            self._own_names()[name] = value
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """Reads an attribute."""
        if not name.startswith("_"):
            return super().__getattr__(name)
        try:
            return self._own_names()[name]
        except KeyError:
            raise self._missing(name) from None

    def __delattr__(self, name: str) -> None:
        """Takes an attribute away."""
        if name in self._own_names():
            del self._own_names()[name]
        else:
            super().__delattr__(name)

    def _own_names(self) -> dict[str, Any]:
        try:
            own: dict[str, Any] = object.__getattribute__(self, "_own")
        except AttributeError:
            own = {}
            object.__setattr__(self, "_own", own)
        return own

    def _getvalue(self) -> _standard.Namespace:
        return _standard.Namespace(**vars(self))

    def __str__(self) -> str:
        """Shows the attributes as the standard library's namespace does."""
        return repr(self._getvalue())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles to a token."""
        return over, (self._entries,)


def over(entries: Dict[str, Any]) -> ManagedNamespace:
    """Returns the namespace that shows a dict."""
    return _namespace.over(entries, ManagedNamespace)
