"""Fitted models and sparse matrices: the same predictions, bit for bit, from one copy of their arrays."""

from __future__ import annotations

import copy
import functools
import pickle
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse
import threadpoolctl
from sklearn import ensemble, linear_model, neighbors, pipeline, preprocessing, tree
from sklearn.ensemble._gradient_boosting import predict_stages
from sklearn.tree._tree import NODE_DTYPE, Tree, ccp_pruning_path

import onecopy
from conftest import in_store, summed_pss_bytes
from onecopy import _models, _onecopy, _pickle, _reducers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing.context import BaseContext
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
MODELS: dict[str, Callable[[], Any]] = {
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
    "HistGradientBoostingClassifier": lambda: ensemble.HistGradientBoostingClassifier(max_iter=5).fit(GAPS, LABELS),
    "HistGradientBoostingRegressor": lambda: ensemble.HistGradientBoostingRegressor(max_iter=5).fit(X, NUMBERS),
    "categories": lambda: ensemble.HistGradientBoostingRegressor(categorical_features=[0]).fit(KINDS, NUMBERS),
    "kd_tree": lambda: neighbors.KNeighborsClassifier(algorithm="kd_tree").fit(X, LABELS),
    "ball_tree": lambda: neighbors.KNeighborsRegressor(algorithm="ball_tree").fit(X, NUMBERS),
    "brute": lambda: neighbors.KNeighborsRegressor(algorithm="brute").fit(X, NUMBERS),
    "LinearRegression": lambda: linear_model.LinearRegression().fit(X, NUMBERS),
    "LogisticRegression": lambda: scaled(linear_model.LogisticRegression()).fit(X, LABELS),
}
# Their trees are read by compiled code, or nobody knows by whom: copied as ever.
COPIED: dict[str, Callable[[], Any]] = {
    "GradientBoostingClassifier": lambda: ensemble.GradientBoostingClassifier(**SMALL).fit(X, LABELS),
    "GradientBoostingRegressor": lambda: ensemble.GradientBoostingRegressor(**SMALL).fit(X, NUMBERS),
    "a tree in a pipeline": lambda: pipeline.make_pipeline(tree.DecisionTreeRegressor(random_state=0)).fit(X, NUMBERS),
}
FORESTS = [name for name in MODELS if "Forest" in name or "ExtraTrees" in name]


@functools.cache
def fitted(name: str) -> Any:
    """The model of a name; workers that start afresh have no use for most of them."""
    return {**MODELS, **COPIED}[name]()


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


@pytest.mark.parametrize("name", MODELS)
def test_a_model_answers_as_the_original_from_shared_arrays(name: str, other_process: ProcessPoolExecutor) -> None:
    model = fitted(name)
    found, said, total, private = other_process.submit(look, onecopy.share(model)).result(120)
    assert found is type(model)
    assert said == answers(model)
    assert isinstance(said["transform" if hasattr(model, "transform") else "predict", "all"][0], list)
    assert (total > 0, private) == (True, 0)


@pytest.mark.parametrize("name", COPIED)
def test_other_trees_are_copied(name: str, other_process: ProcessPoolExecutor) -> None:
    model = fitted(name)
    found, said, _, private = other_process.submit(look, onecopy.share(model)).result(120)
    assert found is type(model)
    assert said == answers(model)
    assert private > 0


kept: list[Any] = []
meeting: Any = None


def join(barrier: Any) -> None:
    """Starts a worker."""
    global meeting  # noqa: PLW0603 - a worker has no other place
    meeting = barrier


def predict(view: Any) -> bytes:
    """Predicts in a worker that keeps the model; every worker takes one task."""
    kept.append(view)
    said = bytes(view.get().predict(X[:50]).tobytes())
    meeting.wait(120)
    return said


@pytest.fixture(scope="module")
def large_forest() -> Any:
    """A forest of tens of megabytes."""
    rows = np.random.default_rng(1).normal(size=(20_000, 8)).astype(np.float32)
    return ensemble.ExtraTreesRegressor(10, n_jobs=2, random_state=0).fit(rows, rows.sum(axis=1)).set_params(n_jobs=1)


def test_four_workers_predict_with_one_copy_of_a_forest(large_forest: Any, context: BaseContext) -> None:
    size = sum(part.nbytes for part in arrays(large_forest, {}))
    assert size > 25 << 20
    expected = large_forest.predict(X[:50]).tobytes()
    small = onecopy.share(fitted("RandomForestRegressor"))
    with context.Pool(4, join, (context.Barrier(4),)) as pool:
        pool.map(predict, [small] * 4, chunksize=1)  # imports what is needed
        before = summed_pss_bytes()
        view = onecopy.share(large_forest)
        said = pool.map(predict, [view] * 4, chunksize=1)
        grown = summed_pss_bytes() - before
    assert said == [expected] * 4
    assert grown < 1.2 * size, f"{grown / size:.2f} copies"


# -- trees -----------------------------------------------------------------------------------------------------------


def shared(model: Any) -> Any:
    """The model over shared memory, in this process."""
    view: Any = onecopy.share(model)
    found = view.get()
    assert private_bytes(found) == 0
    return found


def trees(model: Any) -> list[Any]:
    """The trees of a forest."""
    return [member.tree_ for member in model.estimators_]


@pytest.mark.parametrize("name", FORESTS)
def test_rows_at_the_thresholds_end_in_the_same_leaves(name: str) -> None:
    model = fitted(name)
    for ours, theirs in zip(trees(shared(model)), trees(model), strict=True):
        edges = theirs.threshold[theirs.feature >= 0].astype(np.float32)
        edges = np.concatenate([edges, np.nextafter(edges, np.float32("inf")), np.nextafter(edges, np.float32("-inf"))])
        odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, np.finfo(np.float32).max, 1e-45], np.float32)
        rows = np.random.default_rng(2).choice(np.concatenate([edges, odd]), size=(501, 8))
        for given in (rows, np.asfortranarray(rows), rows[::-3], rows[:7], rows[:0], rows[:, ::-1]):
            assert np.array_equal(ours.apply(given), theirs.apply(given))
            assert ours.predict(given).tobytes() == theirs.predict(given).tobytes()
            assert ours.predict(given).shape == theirs.predict(given).shape
        assert ours.apply(rows).dtype == theirs.apply(rows).dtype


def test_sparse_rows_end_in_the_same_leaves() -> None:
    model = ensemble.RandomForestRegressor(**SMALL).fit(SPARSE, NUMBERS)
    doubled = scipy.sparse.csr_array(
        (np.array([1, -2, 3, np.nan], np.float32), np.array([0, 0, 3, 1], np.int32), np.array([0, 2, 2, 4], np.int32)),
        shape=(3, 8),
    )
    for ours, theirs in zip(trees(shared(model)), trees(model), strict=True):
        for given in (SPARSE, scipy.sparse.csr_array(SPARSE), SPARSE[:0], doubled):
            assert np.array_equal(ours.apply(given), theirs.apply(given))
            assert (ours.decision_path(given) != theirs.decision_path(given)).nnz == 0
    assert np.array_equal(shared(model).predict(SPARSE), model.predict(SPARSE))


def test_everything_else_is_asked_of_a_real_tree() -> None:
    from sklearn.inspection import partial_dependence

    model = fitted("RandomForestRegressor")
    ours = shared(model)
    assert np.array_equal(ours.feature_importances_, model.feature_importances_)
    assert (ours.decision_path(X)[0] != model.decision_path(X)[0]).nnz == 0
    assert tree.export_text(ours.estimators_[0]) == tree.export_text(model.estimators_[0])
    left, right = (partial_dependence(each, X, [0, 1], method="recursion") for each in (ours, model))
    assert np.array_equal(left["average"], right["average"])
    for mine, theirs in zip(trees(ours), trees(model), strict=True):
        for name in (name for name in dir(theirs) if not name.startswith("_")):
            found, expected = getattr(mine, name), getattr(theirs, name)
            if callable(expected):
                continue
            assert np.array_equal(found, expected), name
            assert np.asarray(found).dtype == np.asarray(expected).dtype, name
        assert np.array_equal(mine.compute_node_depths(), theirs.compute_node_depths())
    with pytest.raises(AttributeError):
        _ = trees(ours)[0].nothing
    ours.set_params(warm_start=True, n_estimators=9).fit(X, NUMBERS)
    assert len(ours.estimators_) == 9


def test_odd_rows_are_refused_as_the_original_does() -> None:
    model = fitted("RandomForestRegressor")
    mine, theirs = trees(shared(model))[0], trees(model)[0]
    for rows in (X.tolist(), X.astype(np.float64), X[0], SPARSE.tocsc(), SPARSE.astype(np.float64)):
        with pytest.raises(ValueError) as expected:  # noqa: PT011 - compared below
            theirs.apply(rows)
        with pytest.raises(type(expected.value)) as found:
            mine.apply(rows)
        assert str(found.value) == str(expected.value)
    for narrow in (X[:, :3], SPARSE[:, :3]):
        with pytest.raises(ValueError, match="has 3 features"):  # scikit-learn reads past the end
            mine.apply(narrow)


def test_copies_and_pickles_are_real_trees() -> None:
    model = fitted("RandomForestClassifier")
    ours = shared(model)
    pickled = pickle.dumps(ours)
    assert b"onecopy" not in pickled
    view: Any = onecopy.share(model)
    for real in (pickle.loads(pickled), copy.deepcopy(ours), onecopy.to_python(view)):
        assert {type(each) for each in trees(real)} == {Tree}
        assert private_bytes(real) >= sum(each.value.nbytes + 64 * each.node_count for each in trees(model))
        assert answers(real) == answers(model)
        trees(real)[0].value[0] = 1.0
    single = trees(ours)[0]
    assert {type(copy.copy(single)), type(copy.deepcopy(single))} == {Tree}
    assert isinstance(single, Tree)


def test_a_shared_model_can_be_shared_again() -> None:
    again = shared(shared(fitted("RandomForestRegressor")))
    assert {type(each) for each in trees(again)} == {_models.SharedTree}
    assert answers(again) == answers(fitted("RandomForestRegressor"))
    real = onecopy.to_python(onecopy.share([again]))[0]
    assert {type(each) for each in trees(real)} == {Tree}


def test_models_inside_other_data_and_in_files(tmp_path: Path) -> None:
    data = {"forest": fitted("RandomForestRegressor"), "boosted": fitted("GradientBoostingRegressor"), "n": [1, 2]}
    onecopy.save(data, tmp_path / "models")
    for view in (onecopy.share(data), onecopy.open(tmp_path / "models", allow_pickle=True)):
        assert {type(each) for each in trees(view["forest"])} == {_models.SharedTree}
        assert answers(view["forest"]) == answers(data["forest"])
        assert answers(view["boosted"]) == answers(data["boosted"])


def test_shared_arrays_cannot_be_written_to() -> None:
    mine = trees(shared(fitted("RandomForestRegressor")))[0]
    for name in ("value", "threshold", "children_left"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(mine, name)[0] = 1


def test_compiled_code_refuses_shared_trees() -> None:
    model = shared(fitted("DecisionTreeRegressor"))
    with pytest.raises(TypeError, match="got SharedTree"):
        ccp_pruning_path(model.tree_)
    with pytest.raises(TypeError, match="Cannot convert SharedTree"):
        predict_stages(np.array([[model]], dtype=object), X, 1.0, np.zeros((len(X), 1)))


class Subclass(ensemble.RandomForestRegressor):
    pass


def test_forests_of_unknown_classes_are_copied() -> None:
    model = Subclass(**SMALL).fit(X, NUMBERS)
    view: Any = onecopy.share(model)
    assert {type(each) for each in trees(view.get())} == {Tree}
    assert answers(view.get()) == answers(model)


def test_an_unknown_layout_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted("RandomForestRegressor")
    pickled = _pickle.dumps(model)
    monkeypatch.setattr(_models, "_layout_is_known", lambda: False)
    assert {type(each) for each in trees(_pickle.loads(*pickled))} == {Tree}
    monkeypatch.setattr(_models, "_complete", set())
    monkeypatch.setattr(_reducers, "reducers", {})
    view: Any = onecopy.share(model)
    assert not {Tree, _models.SharedTree} & set(_reducers.reducers)
    assert {type(each) for each in trees(view.get())} == {Tree}


def test_threads_share_a_forest() -> None:
    model = fitted("RandomForestClassifier")
    ours = shared(model)
    expected = model.predict_proba(GAPS)
    assert np.allclose(ours.set_params(n_jobs=2).predict_proba(GAPS), expected)  # threads add up in any order
    rows, said = np.tile(GAPS, (50, 1)), dict[int, Any]()
    single, theirs = trees(ours)[0], trees(model)[0]

    def work(place: int) -> None:
        said[place] = single.apply(rows)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(each, theirs.apply(rows)) for each in said.values())
    assert len(said) == 4


def walk(nodes: Any, rows: Any) -> Any:
    leaves = np.empty(len(rows), np.int64)
    _onecopy.tree_apply(nodes.view(np.uint8), rows, leaves)
    return leaves


@pytest.mark.parametrize(
    "change",
    [
        {"left_child": 0},
        {"left_child": 3},
        {"left_child": -2},
        {"left_child": 2**63 - 1},
        {"left_child": 2**57 + 1},
        {"feature": 8},
        {"feature": -2},
        {"feature": 2**62},
    ],
)
def test_corrupt_nodes_are_an_error(change: dict[str, int]) -> None:
    nodes = np.zeros(3, NODE_DTYPE)
    nodes["left_child"], nodes["right_child"], nodes["threshold"] = [1, -1, -1], [2, -1, -1], 100.0
    rows = np.zeros((10, 8), np.float32)
    assert walk(nodes, rows).tolist() == [1] * 10
    matrix = scipy.sparse.csr_array(np.eye(8, dtype=np.float32))
    parts = (matrix.data, matrix.indices, matrix.indptr)
    leaves = np.empty(8, np.int64)
    _onecopy.tree_apply_csr(nodes.view(np.uint8), *parts, 8, leaves)
    assert leaves.tolist() == [1] * 8
    for name, number in change.items():
        nodes[name][0] = number
    with pytest.raises(onecopy.CorruptImage, match="no tree"):
        walk(nodes, rows)
    with pytest.raises(onecopy.CorruptImage, match="no tree"):
        _onecopy.tree_apply_csr(nodes.view(np.uint8), *parts, 8, leaves)


def test_corrupt_rows_are_an_error() -> None:
    nodes = np.zeros(1, NODE_DTYPE)
    nodes["left_child"] = -1
    data, leaves = np.ones(3, np.float32), np.empty(2, np.int64)
    read_only = leaves.copy()
    read_only.flags.writeable = False
    for indices, indptr in (
        ([0, 8, 1], [0, 2, 3]),
        ([0, -1, 1], [0, 2, 3]),
        ([0, 1, 1], [0, 2, 4]),
        ([0, 1, 1], [-1, 2, 3]),
        ([0, 1, 1], [0, 2]),
    ):
        parts = (data, np.array(indices, np.int32), np.array(indptr, np.int32))
        with pytest.raises(ValueError, match="outside"):
            _onecopy.tree_apply_csr(nodes.view(np.uint8), *parts, 8, leaves)
    for rows, target in ((X[:3], leaves), (X[:2], read_only), (X[0], leaves)):
        with pytest.raises(ValueError, match=r"rows|read-only"):
            _onecopy.tree_apply(nodes.view(np.uint8), rows, target)
    with pytest.raises(ValueError, match="64 bytes"):
        _onecopy.tree_apply(np.zeros(65, np.uint8), X[:2], leaves)
    with pytest.raises(onecopy.CorruptImage):
        _onecopy.tree_apply(np.zeros(0, np.uint8), X[:2], leaves)


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
