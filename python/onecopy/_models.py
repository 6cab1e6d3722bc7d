"""scikit-learn's decision trees over shared memory.

scikit-learn's `Tree` copies its nodes into memory of its own when it is unpickled, so a forest that went through a
pickle is a copy in every process. A `SharedTree` takes its place in shared forests. It is no `Tree` underneath, on
purpose: compiled code of scikit-learn that follows a `Tree`'s pointers (`predict_stages` of the gradient boosting
models, pruning) refuses it with a `TypeError`, where a `Tree` without nodes would crash. Hence only trees in estimators
that are known to ask their trees in Python are replaced, and all others are copied as ever.
"""

from __future__ import annotations

import functools
import pickle
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from onecopy import _reducers
from onecopy._onecopy import ImageBuffer, tree_apply, tree_apply_csr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onecopy._pickle import Pickler

    Array = np.ndarray[Any, np.dtype[Any]]

_TREES: Final = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
# They call methods of their estimators, and those methods of their trees. GradientBoostingClassifier and -Regressor do
# not: `predict_stages` reads the nodes of each `tree_` in C.
_ENSEMBLES: Final = (
    "AdaBoostClassifier",
    "AdaBoostRegressor",
    "BaggingClassifier",
    "BaggingRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "IsolationForest",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "RandomTreesEmbedding",
)
# The layout that the extension reads.
_NODE: Final = np.dtype(
    {
        "names": [
            "left_child",
            "right_child",
            "feature",
            "threshold",
            "impurity",
            "n_node_samples",
            "weighted_n_node_samples",
            "missing_go_to_left",
        ],
        "formats": ["<i8", "<i8", "<i8", "<f8", "<f8", "<i8", "<f8", "u1"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
_STATE: Final = {"max_depth", "node_count", "nodes", "values"}


_complete: Final = set[str]()


def register(modules: Mapping[str, Any]) -> None:
    """Looks which of scikit-learn's classes the program can have made instances of."""
    for name, classes, note in (
        ("sklearn.tree", _TREES, _note_estimator),
        ("sklearn.ensemble", _ENSEMBLES, _note_ensemble),
    ):
        if name in _complete or name not in modules or "sklearn.tree._tree" not in modules or not _layout_is_known():
            continue
        found = [getattr(modules[name], each) for each in classes if hasattr(modules[name], each)]
        _reducers.reducers.update(dict.fromkeys(found, note))
        _reducers.reducers[modules["sklearn.tree._tree"].Tree] = _reducers.reducers[SharedTree] = _reduce_tree
        if len(found) == len(classes):  # another thread may be importing it
            _complete.add(name)


@functools.cache
def _layout_is_known() -> bool:
    """Whether this version of scikit-learn has nodes as `_NODE` describes them."""
    native = sys.modules["sklearn.tree._tree"]
    return bool(np.intp().itemsize == np.int64().itemsize and getattr(native, "NODE_DTYPE", None) == _NODE)


def _note_estimator(estimator: Any, pickler: Pickler) -> Any:
    """Allows the tree of an estimator that is pickled by itself to be shared: who else uses it is not known."""
    if estimator is pickler.root and hasattr(estimator, "tree_"):
        pickler.trees.add(id(estimator.tree_))
    return NotImplemented


def _note_ensemble(ensemble: Any, pickler: Pickler) -> Any:
    """Allows the trees of an ensemble to be shared; the ensemble itself is pickled as ever."""
    for member in getattr(ensemble, "estimators_", ()):
        if _reducers.reducers.get(type(member)) is _note_estimator and hasattr(member, "tree_"):
            pickler.trees.add(id(member.tree_))
    return NotImplemented


def _reduce_tree(tree: Any, pickler: Pickler) -> Any:
    if id(tree) not in pickler.trees:
        return NotImplemented
    _, (n_features, n_classes, n_outputs), state = tree.__reduce__()
    if set(state) != _STATE:
        return NotImplemented
    nodes, values, count = state["nodes"], state["values"], state["node_count"]
    shape = (count, n_outputs, max(n_classes, default=0))
    if nodes.dtype != _NODE or nodes.shape != (count,) or not nodes.flags.c_contiguous or count == 0:
        return NotImplemented
    if values.dtype != np.dtype("<f8") or values.shape != shape or not values.flags.c_contiguous:
        return NotImplemented
    layout = (int(n_features), tuple(map(int, n_classes)), int(n_outputs), int(state["max_depth"]))
    return _tree, (layout, pickle.PickleBuffer(nodes.view(np.uint8)), pickle.PickleBuffer(values))


def _tree(layout: tuple[int, tuple[int, ...], int, int], nodes: Any, values: Any) -> Any:
    """Rebuilds a tree: over memory of an image, or else as scikit-learn's own."""
    tree = SharedTree(layout, nodes, values)
    __import__("sklearn.tree._tree")
    in_place = isinstance(memoryview(nodes).obj, ImageBuffer) and _layout_is_known()
    return tree if in_place else tree.real()


class SharedTree:
    """Stands in for a `sklearn.tree._tree.Tree`: its nodes and values are read-only views of shared memory.

    `apply` and `predict` work on them in place. Everything else is asked of a real `Tree`, which is made for the call
    and dropped afterwards. Copies and pickles are real `Tree`s.
    """

    __slots__ = (
        "__weakref__",
        "_bytes",
        "_n_classes",
        "_nodes",
        "max_depth",
        "max_n_classes",
        "n_features",
        "n_outputs",
        "node_count",
        "value",
    )

    def __init__(self, layout: tuple[int, tuple[int, ...], int, int], nodes: Any, values: Any) -> None:
        self.n_features, self._n_classes, self.n_outputs, self.max_depth = layout
        self._bytes = np.frombuffer(nodes, np.uint8)
        self._nodes = self._bytes.view(_NODE)
        self.node_count = len(self._nodes)
        self.max_n_classes = max(self._n_classes)
        self.value: Array = np.frombuffer(values, "<f8").reshape(self.node_count, self.n_outputs, self.max_n_classes)

    @property  # type: ignore[misc] # a class is usually not asked of each instance
    def __class__(self) -> Any:
        """What `isinstance` is told: it behaves like one, and code that explains models asks."""
        return sys.modules["sklearn.tree._tree"].Tree

    def real(self) -> Any:
        """Returns an ordinary tree with the same content in memory of its own."""
        constructor, arguments, state = self.__reduce__()
        tree = constructor(*arguments)
        tree.__setstate__(state)
        return tree

    def __reduce__(self) -> Any:
        """Pickles as the ordinary tree does."""
        tree = sys.modules["sklearn.tree._tree"].Tree
        return tree, (self.n_features, self.n_classes, self.n_outputs), self.__getstate__()

    def __getstate__(self) -> dict[str, Any]:
        """Returns what the ordinary tree returns, over shared memory."""
        return {
            "max_depth": self.max_depth,
            "node_count": self.node_count,
            "nodes": self._nodes,
            "values": self.value,
        }

    def __getattr__(self, name: str) -> Any:
        """Asks a real tree."""
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.real(), name)

    def apply(self, X: Any) -> Array:  # noqa: N803 - scikit-learn's name
        """Finds the leaf in which each row of `X` ends."""
        if isinstance(X, np.ndarray):
            if X.dtype == np.float32 and X.ndim == 2:  # noqa: PLR2004 - rows and columns
                leaves = np.empty(X.shape[0], np.intp)
                self._check_columns(X)
                tree_apply(self._bytes, X, leaves)
                return leaves
        elif getattr(X, "format", None) == "csr" and X.dtype == np.float32 and X.indices.dtype == np.int32:
            leaves = np.empty(X.shape[0], np.intp)
            self._check_columns(X)
            tree_apply_csr(self._bytes, X.data, X.indices, X.indptr, X.shape[1], leaves)
            return leaves
        # Its error, or whatever else it knows.
        found: Array = self.real().apply(X)
        return found

    def _check_columns(self, X: Any) -> None:  # noqa: N803
        if X.shape[1] < self.n_features:
            raise ValueError(f"X has {X.shape[1]} features, but the tree was fitted with {self.n_features}")

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Predicts the values of each row of `X`."""
        found = self.value.take(self.apply(X), axis=0, mode="clip")
        return found.reshape(X.shape[0], self.max_n_classes) if self.n_outputs == 1 else found

    @property
    def n_classes(self) -> Array:
        """Number of classes of each output."""
        return np.array(self._n_classes, np.intp)

    @property
    def capacity(self) -> int:
        """Nodes that there is room for."""
        return self.node_count

    @property
    def n_leaves(self) -> Any:
        """Number of leaves."""
        return np.sum(np.logical_and(self.children_left == -1, self.children_right == -1))

    @property
    def children_left(self) -> Array:
        """Index of each node's left child."""
        return self._nodes["left_child"]

    @property
    def children_right(self) -> Array:
        """Index of each node's right child."""
        return self._nodes["right_child"]

    @property
    def feature(self) -> Array:
        """The feature that decides at each node."""
        return self._nodes["feature"]

    @property
    def threshold(self) -> Array:
        """The threshold at each node."""
        return self._nodes["threshold"]

    @property
    def impurity(self) -> Array:
        """The impurity of each node."""
        return self._nodes["impurity"]

    @property
    def n_node_samples(self) -> Array:
        """Number of samples at each node."""
        return self._nodes["n_node_samples"]

    @property
    def weighted_n_node_samples(self) -> Array:
        """Weight of the samples at each node."""
        return self._nodes["weighted_n_node_samples"]

    @property
    def missing_go_to_left(self) -> Array:
        """Whether missing values go left at each node."""
        return self._nodes["missing_go_to_left"]
