"""torch's tensors: the same content, dtype and strides, over memory of the store until they are written to."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import onecopy
from conftest import in_store

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor
    from pathlib import Path

torch: Any = pytest.importorskip("torch", reason="TENSORS ARE NOT TESTED: torch is not installed (pip install torch)")

# The threads of GNU OpenMP do not survive a fork: a child that asks for them waits for ever.
torch.set_num_threads(1)

MANY = 40_000
# Takes the tensors themselves into a module, from torch 2.1 on; before, they are copied there.
ASSIGN = {"assign": True} if "assign" in inspect.signature(torch.nn.Module.load_state_dict).parameters else {}


def numbers() -> Any:
    """Numbers from 0 to MANY."""
    return torch.arange(float(MANY))


def net() -> Any:
    """A network with parameters and a buffer that training writes to."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(200, 300), torch.nn.BatchNorm1d(300), torch.nn.Linear(300, 1))


TENSORS: dict[str, Any] = {
    "float32": numbers(),
    "float64": numbers().double(),
    "bfloat16": numbers().bfloat16(),
    "float16": numbers().half(),
    "int8": torch.arange(100_000).to(torch.int8),
    "bool": torch.arange(100_000) % 3 == 0,
    "complex64": torch.complex(numbers(), numbers() + 1),
    "conjugate": torch.complex(numbers(), numbers() + 1).conj(),
    "negative part": torch.complex(numbers(), numbers() + 1).conj().imag,
    "transposed": numbers().view(100, 400).t(),
    "channels last": numbers().view(10, 10, 20, 20).to(memory_format=torch.channels_last),
    "every second": torch.arange(2.0 * MANY)[::2],
    "a part of each row": torch.arange(2.0 * MANY).view(100, 800)[:, 100:500],
    "requires grad": numbers().requires_grad_(),
    "parameter": torch.nn.Parameter(numbers()),
    "frozen parameter": torch.nn.Parameter(numbers(), requires_grad=False),
}
# Small, or of a kind that torch has to pickle itself.
COPIED: dict[str, Any] = {
    "small": torch.ones(3, 4).t(),
    "scalar": torch.tensor(3.5),
    "empty": torch.empty(0, 3),
    "repeated": torch.ones(1).expand(MANY),
    "sparse": torch.eye(300).to_sparse(),
}


def private_bytes(found: Any) -> int:
    """Bytes of a tensor that lie outside of the store's mappings."""
    return 0 if in_store(found.data_ptr()) else found.numel() * found.element_size()


def look(view: Any) -> tuple[Any, ...]:
    """Describes a tensor in a worker, writes to it, and shows that the shared one is as it was."""
    tensor = view.get()
    told = facts(tensor)
    private = 0 if tensor.layout is not torch.strided else private_bytes(tensor)
    if tensor.is_floating_point() and tensor.layout is torch.strided and tensor.is_contiguous():
        with torch.no_grad():
            tensor += 1
    return told, private


def facts(tensor: Any) -> tuple[Any, ...]:
    """All that can be compared."""
    dense = tensor.detach().to_dense() if tensor.layout is not torch.strided else tensor.detach()
    return type(tensor), tensor.dtype, tensor.shape, tensor.requires_grad, tensor.is_leaf, dense.resolve_conj().tolist()


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_is_read_in_place(name: str, other_process: ProcessPoolExecutor) -> None:
    tensor = TENSORS[name]
    view: Any = onecopy.share(tensor)
    for _ in range(2):  # what the worker writes stays there
        told, private = other_process.submit(look, view).result(120)
        assert told == facts(tensor)
        assert private == 0
    mine = view.get()
    if "every" not in name and "part" not in name:
        assert mine.stride() == tensor.stride()
    real: Any = onecopy.to_python(view)
    assert facts(real) == facts(tensor)
    assert private_bytes(real) > 0


@pytest.mark.parametrize("name", COPIED)
def test_other_tensors_are_copied(name: str, other_process: ProcessPoolExecutor) -> None:
    tensor = COPIED[name]
    told, _ = other_process.submit(look, onecopy.share(tensor)).result(120)
    assert told == facts(tensor)


def test_writing_stays_in_this_object() -> None:
    view: Any = onecopy.share(numbers())
    mine = view.get()
    mine += 1
    assert mine[0] == 1.0
    again: Any = pickle.loads(pickle.dumps(view))
    del view
    real: Any = onecopy.to_python(again)
    assert real[0] == 0.0
    assert torch.equal(copy.deepcopy(mine), mine)
    assert torch.equal(pickle.loads(pickle.dumps(mine)), mine)


def train(view: Any) -> tuple[int, float, float]:
    """Takes a step of training in a worker."""
    model = view[0]
    large = [each for each in model.parameters() if each.numel() > 1000]
    private = sum(map(private_bytes, large))
    rows = torch.ones(8, 200)
    before = float(model.eval()(rows).detach().sum())
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(rows).sum().backward()
    optimizer.step()
    return private, before, float(model.eval()(rows).detach().sum())


def test_a_shared_network_can_be_trained(other_process: ProcessPoolExecutor) -> None:
    model = net()
    view = onecopy.share([model])
    expected = float(model.eval()(torch.ones(8, 200)).detach().sum())
    for _ in range(2):
        private, before, after = other_process.submit(train, view).result(120)
        assert private == 0
        assert before == pytest.approx(expected, rel=1e-5)
        assert after != before


def test_states_and_files(tmp_path: Path) -> None:
    model = net()
    state = dict(model.state_dict())
    onecopy.save(state, tmp_path / "state")
    for view in (onecopy.share(state), onecopy.open(tmp_path / "state", allow_pickle=True)):
        other = net()
        other.load_state_dict({name: view[name] for name in view}, **ASSIGN)
        assert all(torch.equal(left, right) for left, right in zip(other.parameters(), model.parameters(), strict=True))
    image = onecopy.from_buffer(onecopy.image_of(onecopy.share(state)), allow_pickle=True)
    assert torch.equal(image["0.weight"], state["0.weight"])
    tied: Any = onecopy.share([[numbers()] * 2])
    assert tied[0][0].equal(tied[0][1])


def test_hooks_and_attributes_are_kept() -> None:
    marked = numbers()
    marked.name_of_mine = "kept"
    view: Any = onecopy.share(marked)
    # Older torches leave attributes out of every pickle.
    expected = vars(pickle.loads(pickle.dumps(marked)))
    assert vars(view.get()) == expected
    computed = numbers().requires_grad_() * 2
    again: Any = onecopy.share(computed)
    assert torch.equal(again.get(), computed)


def as_tensors(row: Any) -> Any:
    """What the guide says for loaders without batches."""
    return torch.utils.data.default_convert(onecopy.to_python(row))


def test_a_loader_without_batches_makes_tensors_of_the_arrays_in_rows() -> None:
    np = pytest.importorskip("numpy")
    rows = onecopy.share([{"x": np.arange(10_000.0) + number, "y": number} for number in range(4)])
    loader = torch.utils.data.DataLoader(rows, batch_size=None, collate_fn=as_tensors)
    found = [(type(row["x"]), float(row["x"][7]), row["y"]) for row in loader]
    assert found == [(torch.Tensor, 7.0 + number, number) for number in range(4)]
