"""torch's tensors over shared memory.

torch writes all data of a tensor into its pickle. Here the data stay outside, and a tensor is rebuilt over a mapping of
the image that is copy-on-write: torch knows no read-only tensors, so whatever writes to one in place (an optimiser, a
batch norm in training) gets private copies of the pages that it writes to, and nobody else sees them.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

from onecopy import _reducers
from onecopy._onecopy import ImageBuffer

if TYPE_CHECKING:
    from collections.abc import Mapping

# Smaller tensors are copied: what is written to is copied by pages.
_MAPPED_BYTES: Final = 1 << 16


def register(modules: Mapping[str, Any]) -> None:
    """Looks whether the program has imported torch."""
    torch = modules.get("torch")
    if torch is not None and hasattr(torch, "nn") and hasattr(torch.nn, "Parameter"):
        _reducers.reducers.setdefault(torch.Tensor, _reduce_tensor)
        _reducers.reducers.setdefault(torch.nn.Parameter, _reduce_tensor)


def _reduce_tensor(tensor: Any) -> Any:
    """Returns how a dense tensor of the CPU is rebuilt; torch pickles all others, also those with hooks."""
    import torch

    if tensor.device.type != "cpu" or tensor.layout is not torch.strided or tensor.is_quantized or tensor.numel() == 0:
        return NotImplemented
    if not tensor.is_leaf or tensor._backward_hooks or vars(tensor):  # noqa: SLF001
        return NotImplemented
    if any(step == 0 and length > 1 for step, length in zip(tensor.stride(), tensor.shape, strict=True)):
        return NotImplemented  # elements that repeat, which torch stores once
    # The axes as they lie in memory, slowest first; what lies between the elements is left out.
    order = sorted(range(tensor.dim()), key=lambda axis: -tensor.stride(axis))
    # Some torches forget in a pickle that a tensor is to be read as conjugate or negative: it is computed here.
    dense = tensor.detach().resolve_conj().resolve_neg().permute(order).contiguous()
    try:
        data = dense.view(-1).view(torch.uint8).numpy()
    except (TypeError, RuntimeError):  # torch's own wrappers of tensors have no memory
        return NotImplemented
    dtype = str(tensor.dtype).removeprefix("torch.")
    layout = (dtype, tuple(dense.shape), tuple(sorted(range(len(order)), key=order.__getitem__)))
    is_parameter = type(tensor) is torch.nn.Parameter
    return _tensor, (layout, is_parameter, tensor.requires_grad, pickle.PickleBuffer(data))


def _tensor(
    layout: tuple[str, tuple[int, ...], tuple[int, ...]], is_parameter: bool, requires_grad: bool, data: Any
) -> Any:
    import torch

    dtype, shape, order = layout
    flat = torch.frombuffer(_writable(data), dtype=getattr(torch, dtype))
    view = flat.view(shape).permute(order)
    # Not a view: a leaf of its own, as the original was.
    tensor = torch.empty(0, dtype=flat.dtype).set_(view)
    return torch.nn.Parameter(tensor, requires_grad) if is_parameter else tensor.requires_grad_(requires_grad)


def _writable(data: Any) -> Any:
    """Returns memory with these bytes that may be written to."""
    view = memoryview(data)
    exporter = view.obj
    if not isinstance(exporter, ImageBuffer):
        return bytearray(data) if view.readonly else data
    mapping = _reducers.private_mapping(exporter.image) if view.nbytes >= _MAPPED_BYTES else None
    if mapping is None:
        return bytearray(data)
    offset = exporter.offset
    return memoryview(mapping)[offset : offset + view.nbytes]
