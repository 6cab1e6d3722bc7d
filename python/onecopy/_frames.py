"""How data frames are pickled so that their data stay outside the pickle.

pandas and pyarrow objects pickle that way by themselves with protocol 5. polars writes all of its data into the pickle;
here it goes by way of Arrow, which does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy import _reducers

if TYPE_CHECKING:
    from collections.abc import Mapping


def register(modules: Mapping[str, Any]) -> None:
    """Looks which of the libraries the program has imported: no others can have made the data."""
    polars = modules.get("polars")
    if polars is not None and "pyarrow" in modules and hasattr(polars, "DataFrame"):
        _reducers.reducers.setdefault(polars.DataFrame, _reduce_polars_frame)
        _reducers.reducers.setdefault(polars.Series, _reduce_polars_series)


def _reduce_polars_frame(frame: Any) -> Any:
    import polars as pl

    # The newest layout has strings as views, as polars itself does, so neither way copies them.
    table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
    return _polars_frame, (table,)


def _polars_frame(table: Any) -> Any:
    import polars as pl

    return pl.from_arrow(table, rechunk=False)


def _reduce_polars_series(series: Any) -> Any:
    import polars as pl

    array = series.to_arrow(compat_level=pl.CompatLevel.newest())
    return _polars_series, (series.name, array)


def _polars_series(name: str, array: Any) -> Any:
    import polars as pl

    made: Any = pl.from_arrow(array, rechunk=False)
    return made.alias(name)
