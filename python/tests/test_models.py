"""Fitted models and sparse matrices: the same predictions, bit for bit, from one copy of their arrays, trees aside."""

from __future__ import annotations

import copy
import functools
import pickle
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse
import threadpoolctl
from sklearn import ensemble, linear_model, neighbors, pipeline, preprocessing, tree
from sklearn.tree._tree import Tree

import onecopy
from conftest import in_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import ProcessPoolExecutor
    from pathlib import Path

# The threads of GNU OpenMP do not survive a fork: a child that asks for them waits for ever.
threadpoolctl.threadpool_limits(1)

dice = np.random.default_rng(0)
X = dice.normal(size=(400, 8)).astype(np.float32)
NUMBERS = X[:, 0] * 2 + np.sin(X[:, 1]) + dice.normal(size=len(X))
LABELS = np.where(NUMBERS > 1, "high", np.where(NUMBERS < -1, "low", "middle"))
BOTH = np.column_stack([NUMBERS, X[:, 2]])
SPARSE = scipy.sparse.random(400, 8, 0.4, random_state=0, dtype=np.float32, format="csr")
GAPS = np.where(dice.random(X.shape) < 0.2, np.float32("nan"), X)

KINDS = np.column_stack([np.arange(len(X)) % 5, X[:, 1:]])


def scaled(model: Any) -> Any:
    """A pipeline."""
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)


SMALL: dict[str, Any] = {"n_estimators": 7, "random_state": 0}
# Their arrays pickle beside the stream.
SHARED: dict[str, Callable[[], Any]] = {
    "HistGradientBoostingClassifier": lambda: ensemble.HistGradientBoostingClassifier(max_iter=5).fit(GAPS, LABELS),
    "HistGradientBoostingRegressor": lambda: ensemble.HistGradientBoostingRegressor(max_iter=5).fit(X, NUMBERS),
    "categories": lambda: ensemble.HistGradientBoostingRegressor(categorical_features=[0]).fit(KINDS, NUMBERS),
    "kd_tree": lambda: neighbors.KNeighborsClassifier(algorithm="kd_tree").fit(X, LABELS),
    "ball_tree": lambda: neighbors.KNeighborsRegressor(algorithm="ball_tree").fit(X, NUMBERS),
    "brute": lambda: neighbors.KNeighborsRegressor(algorithm="brute").fit(X, NUMBERS),
    "LinearRegression": lambda: linear_model.LinearRegression().fit(X, NUMBERS),
    "LogisticRegression": lambda: scaled(linear_model.LogisticRegression()).fit(X, LABELS),
}
# scikit-learn's `Tree` copies its nodes and values into memory of its own.
TREES: dict[str, Callable[[], Any]] = {
    "RandomForestClassifier": lambda: ensemble.RandomForestClassifier(**SMALL).fit(GAPS, LABELS),
    "RandomForestRegressor": lambda: ensemble.RandomForestRegressor(**SMALL).fit(X, NUMBERS),
    "two outputs": lambda: ensemble.RandomForestRegressor(**SMALL).fit(X, BOTH),
    "ExtraTreesClassifier": lambda: ensemble.ExtraTreesClassifier(**SMALL).fit(X, LABELS),
    "ExtraTreesRegressor": lambda: ensemble.ExtraTreesRegressor(**SMALL).fit(GAPS, NUMBERS),
    "IsolationForest": lambda: ensemble.IsolationForest(**SMALL).fit(X),
    "BaggingClassifier": lambda: ensemble.BaggingClassifier(**SMALL).fit(X, LABELS),
    "AdaBoostRegressor": lambda: ensemble.AdaBoostRegressor(**SMALL).fit(X, NUMBERS),
    "AdaBoostClassifier": lambda: ensemble.AdaBoostClassifier(**SMALL).fit(X, LABELS),
    "RandomTreesEmbedding": lambda: ensemble.RandomTreesEmbedding(**SMALL).fit(X),
    "DecisionTreeClassifier": lambda: tree.DecisionTreeClassifier(random_state=0).fit(GAPS, LABELS),
    "DecisionTreeRegressor": lambda: tree.DecisionTreeRegressor(random_state=0, max_leaf_nodes=90).fit(X, NUMBERS),
    "ExtraTreeRegressor": lambda: tree.ExtraTreeRegressor(random_state=0).fit(X, NUMBERS),
    "pipeline": lambda: scaled(ensemble.RandomForestRegressor(**SMALL)).fit(X, NUMBERS),
    "GradientBoostingClassifier": lambda: ensemble.GradientBoostingClassifier(**SMALL).fit(X, LABELS),
    "GradientBoostingRegressor": lambda: ensemble.GradientBoostingRegressor(**SMALL).fit(X, NUMBERS),
    "a tree in a pipeline": lambda: pipeline.make_pipeline(tree.DecisionTreeRegressor(random_state=0)).fit(X, NUMBERS),
}
MODELS = {**SHARED, **TREES}


@functools.cache
def fitted(name: str) -> Any:
    """The model of a name; workers that start afresh have no use for most of them."""
    return MODELS[name]()


def answers(model: Any) -> dict[tuple[str, str], Any]:
    """All that a model says of some rows, as bytes."""
    found = {}
    for name in ("predict", "predict_proba", "decision_function", "transform", "apply", "kneighbors", "score_samples"):
        for kind, given in (
            ("all", X),
            ("one", X[:1]),
            ("gaps", GAPS),
            ("kinds", KINDS),
            ("odd", np.asfortranarray(X[1::2])),
        ):
            try:
                said = getattr(model, name)(given)
            except (AttributeError, ValueError) as error:  # no such method, or a model that wants no gaps
                said = type(error)
            if scipy.sparse.issparse(said):
                said = said.toarray()
            found[name, kind] = [np.asarray(part).tolist() for part in (said if isinstance(said, tuple) else (said,))]
    return found


def arrays(found: Any, seen: dict[int, Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Every array that an object consists of; `seen` keeps what was met, as ids of dead objects are used again."""
    if id(found) in seen or isinstance(found, (str, bytes, int, float, type, np.dtype, np.random.RandomState)):
        return
    seen[id(found)] = found
    if isinstance(found, (Tree, neighbors.KDTree, neighbors.BallTree)):
        parts = found.__getstate__()
    elif isinstance(found, np.ndarray) and not found.dtype.hasobject:
        if found.nbytes > 0:
            yield found
        return
    elif isinstance(found, (np.ndarray, list, tuple, dict)):
        parts = found
    else:
        parts = getattr(found, "__dict__", {})
    seen[id(parts)] = parts
    for part in (
        parts.values() if isinstance(parts, dict) else parts.ravel() if isinstance(parts, np.ndarray) else parts
    ):
        yield from arrays(part, seen)


def private_bytes(found: Any) -> int:
    """Bytes of its arrays that lie outside of the store."""
    return sum(part.nbytes for part in arrays(found, {}) if not in_store(part.ctypes.data))


def look(view: Any) -> tuple[type, dict[tuple[str, str], Any], int, int]:
    """Uses a model in a worker."""
    model = view.get()
    total = sum(part.nbytes for part in arrays(model, {}))
    return type(model), answers(model), total, private_bytes(model)


@pytest.mark.parametrize("name", SHARED)
def test_a_model_answers_as_the_original_from_shared_arrays(name: str, other_process: ProcessPoolExecutor) -> None:
    model = fitted(name)
    found, said, total, private = other_process.submit(look, onecopy.share(model)).result(120)
    assert found is type(model)
    assert said == answers(model)
    assert isinstance(said["transform" if hasattr(model, "transform") else "predict", "all"][0], list)
    assert (total > 0, private) == (True, 0)


def trees(found: Any) -> list[Any]:
    """The trees of an estimator, be it one, an ensemble or a pipeline."""
    if hasattr(found, "steps"):
        return trees(found.steps[-1][1])
    members = getattr(found, "estimators_", None)
    if members is None:
        return [found.tree_]
    return [member.tree_ for member in np.ravel(np.asarray(members, object))]


@pytest.mark.parametrize("name", TREES)
def test_only_the_trees_of_a_forest_are_copied(name: str, other_process: ProcessPoolExecutor) -> None:
    model = fitted(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        view = onecopy.share(model)
    found, said, _, private = other_process.submit(look, view).result(120)
    assert found is type(model)
    assert said == answers(model)
    assert private == sum(part.nbytes for each in trees(model) for part in arrays(each, {}))


def test_copies_and_pickles_of_a_shared_model_are_ordinary_ones() -> None:
    model = fitted("RandomForestClassifier")
    view: Any = onecopy.share(model)
    ours = view.get()
    pickled = pickle.dumps(ours)
    assert b"onecopy" not in pickled
    for real in (pickle.loads(pickled), copy.deepcopy(ours), onecopy.to_python(view)):
        assert {type(each) for each in trees(real)} == {Tree}
        assert answers(real) == answers(model)
        trees(real)[0].value[0] = 1.0
    again: Any = onecopy.share(ours)
    assert answers(again.get()) == answers(model)


def test_models_inside_other_data_and_in_files(tmp_path: Path) -> None:
    data = {"forest": fitted("RandomForestRegressor"), "boosted": fitted("GradientBoostingRegressor"), "n": [1, 2]}
    onecopy.save(data, tmp_path / "models")
    for view in (onecopy.share(data), onecopy.open(tmp_path / "models", allow_pickle=True)):
        assert answers(view["forest"]) == answers(data["forest"])
        assert answers(view["boosted"]) == answers(data["boosted"])


# -- sparse matrices -------------------------------------------------------------------------------------------------

FORMATS = "csr_matrix csr_array csc_matrix csc_array coo_matrix coo_array bsr_array dia_array".split()


def look_at_matrix(view: Any) -> tuple[type, Any, int]:
    matrix = view.get()
    return type(matrix), (matrix @ np.ones(matrix.shape[1])).tolist(), private_bytes(matrix)


@pytest.mark.parametrize("name", FORMATS)
def test_a_sparse_matrix_is_read_in_place(name: str, other_process: ProcessPoolExecutor) -> None:
    matrix = getattr(scipy.sparse, name)(np.where(X > 1, X, 0)[:40])
    found, product, private = other_process.submit(look_at_matrix, onecopy.share(matrix)).result(120)
    assert (found, private) == (type(matrix), 0)
    assert product == (matrix @ np.ones(8)).tolist()
    real: Any = onecopy.to_python(onecopy.share(matrix))
    real *= 2
    assert abs(real - 2 * matrix).sum() == 0


def test_a_shared_sparse_matrix_cannot_be_changed() -> None:
    matrix = scipy.sparse.csr_array((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 0]), np.array([0, 2, 3])), shape=(2, 3))
    view: Any = onecopy.share(matrix)
    for change in ("sort_indices", "sum_duplicates", "eliminate_zeros"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(view.get(), change)()
    assert (view.get() @ view.get().T).toarray().tolist() == [[5.0, 6.0], [6.0, 9.0]]
    assert view.get().tocsc().toarray().tolist() == matrix.toarray().tolist()
