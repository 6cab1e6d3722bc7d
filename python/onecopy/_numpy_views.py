"""What numpy is told of a view whose object is an array of another class, or does arithmetic with arrays by itself."""

from __future__ import annotations

import functools
import sys
from typing import Any


def attribute(obj: Any, name: str) -> Any:
    """Returns `__array__`, `__array_interface__` or `__array_struct__` of the object of a view.

    The two interfaces speak of elements alone. By them a masked array would lose its mask and a matrix its class, which
    numpy keeps if `__array__` gives the array itself.

    Raises:
        AttributeError: The object has none, or none that says all.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(obj, numpy.ndarray) or type(obj) is numpy.ndarray:
        return getattr(obj, name)
    if name != "__array__":
        raise AttributeError(f"{type(obj).__name__!r} object is more than {name!r} would say")
    return functools.partial(_itself, obj)


def _itself(array: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    made = array if dtype is None else array.astype(dtype, copy=False)
    return made.copy() if copy and made is array else made


def check_operands(obj: Any, operands: tuple[Any, ...]) -> None:
    """Refuses a ufunc that numpy would not run on the object itself, but leave to its operators.

    Raises:
        TypeError: It is a matrix, or sparse, and another operand is an array.
    """
    numpy: Any = sys.modules["numpy"]
    kind = type(obj)
    is_left_alone = isinstance(obj, numpy.matrix) or not hasattr(kind, "__array_ufunc__")
    if not is_left_alone or not hasattr(kind, "__array_priority__"):
        return
    if any(isinstance(operand, numpy.ndarray) for operand in operands):
        raise TypeError(
            f"numpy cannot tell an operator from a ufunc beside the view of a {kind.__name__}: put view.get() there"
        )
