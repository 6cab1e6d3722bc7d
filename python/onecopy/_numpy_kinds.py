"""How arrays of numpy's own subclasses are pickled so that their data stay outside the pickle.

numpy does so for plain arrays alone; of all others it writes the data into the pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy import _reducers

if TYPE_CHECKING:
    from collections.abc import Mapping


def register(modules: Mapping[str, Any]) -> None:
    """Looks whether the program has imported numpy."""
    numpy = modules.get("numpy")
    if numpy is None or not hasattr(numpy, "ma"):
        return
    _reducers.reducers.setdefault(numpy.ma.MaskedArray, _reduce_masked)
    for kind in (numpy.matrix, numpy.recarray):
        _reducers.reducers.setdefault(kind, _reduce_viewed)


def _plain(array: Any) -> Any:
    """The same elements as an ordinary array that lies together."""
    import numpy as np

    plain = array.view(np.ndarray)
    return plain if plain.flags.c_contiguous or plain.flags.f_contiguous else np.ascontiguousarray(plain)


def _reduce_viewed(array: Any) -> Any:
    if array.dtype.hasobject:
        return NotImplemented
    return _viewed, (_plain(array), type(array))


def _viewed(plain: Any, kind: type) -> Any:
    return plain.view(kind)


def _reduce_masked(array: Any) -> Any:
    import numpy as np

    if array.dtype.hasobject or array.baseclass is not np.ndarray:
        return NotImplemented
    mask = np.ma.getmask(array)
    parts = (_plain(array), None if mask is np.ma.nomask else _plain(mask))
    return _masked, (*parts, array._fill_value, bool(array.hardmask))  # noqa: SLF001 - as numpy pickles it


def _masked(data: Any, mask: Any, fill_value: Any, is_hard: bool) -> Any:
    import numpy as np

    made: Any = np.ma.MaskedArray(data, np.ma.nomask if mask is None else mask, hard_mask=is_hard)
    if fill_value is not None:
        made.fill_value = fill_value
    return made
