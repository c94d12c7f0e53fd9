"""K-max pooling of sequences: the k largest steps of each row.

Kalchbrenner, Grefenstette and Blunsom, A convolutional neural network for modelling sentences, ACL 2014,
arXiv 1404.2188. The last dimension is time; all dimensions before it count rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from poolkit.errors import ArgumentError
from poolkit.geometry import integer

ORDERS = ("position", "value")
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def checked_order(order: Any) -> str:
    if not isinstance(order, str) or order not in ORDERS:
        raise ArgumentError(f"order must be 'position' or 'value', but got {order!r}")
    return order


def dynamic_k(length: int, layer: int, layers: int, k_top: int) -> int:
    """How many steps layer `layer` of `layers` keeps of `length`: max(k_top, ceil((layers - layer) / layers * length)).

    >>> [dynamic_k(18, layer, 3, 3) for layer in (1, 2, 3)]
    [12, 6, 3]
    """
    checked_layers(layer, layers, k_top)
    return max(k_top, -(-(layers - layer) * length // layers))


def checked_layers(layer: Any, layers: Any, k_top: Any) -> None:
    integer("k_top", k_top, positive=True)
    if integer("layer", layer, positive=True) > integer("layers", layers, positive=True):
        raise ArgumentError(f"layer must be at most layers, but got layer={layer}, layers={layers}")


def _checked_input(name: str, input: Any) -> None:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): input must be a torch.Tensor, but got {type(input).__name__}")
    if input.dim() not in (2, 3) or 0 in input.shape[-2:]:
        raise ArgumentError(f"{name}(): Expected input (N, C, L) or (C, L), not empty, but got: {list(input.shape)}")
    if input.dtype not in _FLOATS + _INTEGERS:
        raise NotImplementedError(f"{name}(): input must be floating or integer, but got {input.dtype}")


def _checked_lengths(name: str, lengths: Any, input: Tensor) -> Tensor:
    """The lengths as int64 on the input's device, one for each sample."""
    shape = input.shape[:-2]
    lengths = torch.as_tensor(lengths)
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise TypeError(f"{name}(): lengths must be integers, but got {lengths.dtype}")
    if lengths.shape != shape:
        wanted = f"one length for each sample, shape {list(shape)}"
        raise ArgumentError(f"{name}(): lengths must hold {wanted}, but got {list(lengths.shape)}")
    lengths = lengths.to(device=input.device, dtype=torch.int64)
    if not torch.compiler.is_compiling():
        wrong = lengths[(lengths < 0) | (lengths > input.shape[-1])]
        if wrong.numel() > 0:
            raise ArgumentError(f"{name}(): lengths must be from 0 to {input.shape[-1]}, but got {wrong[0].item()}")
    return lengths


def _largest(input: Tensor, k: int, steps: Tensor, counts: Tensor, order: str) -> Tensor:
    """The `counts` largest of the first `steps` steps of each row, the rest of k filled with zeros."""
    length = input.shape[-1]
    time = torch.arange(length, device=input.device)
    # The order of a stable sort is that of positions among equals, so that padding comes behind every real step: it
    # is the smallest of all and stands last.
    lowest = float("-inf") if input.is_floating_point() else torch.iinfo(input.dtype).min
    ranked = input.detach().masked_fill(time >= steps, lowest).sort(dim=-1, descending=True, stable=True).indices
    kept = torch.arange(k, device=input.device) < counts
    places = torch.nn.functional.pad(ranked[..., :k], (0, max(0, k - length)))
    if order == "position":
        places = places.masked_fill(~kept, length).sort(dim=-1).values.masked_fill(~kept, 0)
    return input.gather(-1, places).masked_fill(~kept, 0)


def k_max_pool1d(
    input: Tensor, k: int, order: str = "position", lengths: Any = None, return_lengths: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Keeps the k largest steps of each row.

    Args:
        input: (N, C, L) or (C, L).
        k: how many steps to keep.
        order: 'position' keeps the steps in the order that they had, 'value' puts the largest first.
        lengths: how many steps of each sample are real, (N,), or a number for (C, L); all by default.
        return_lengths: return also how many of the k steps are real: min(k, length), int64, of the shape of lengths.

    Returns (N, C, k) or (C, k); rows of fewer than k real steps end in zeros. Padded steps are never picked. Of equals
    the earliest is picked; NaN counts as the largest. The gradient of each kept step goes to where it came from.

    dtypes: float32, float64, float16, bfloat16, and integers other than bool; the output has the input's.
    Raises ArgumentError (a ValueError) for a bad argument, TypeError for one of a wrong type, NotImplementedError for a
    dtype that it does not take.

    Paper: Kalchbrenner, Grefenstette and Blunsom, ACL 2014, arXiv 1404.2188.

    >>> k_max_pool1d(torch.tensor([[3.0, 1.0, 4.0, 1.0, 5.0]]), 3)
    tensor([[3., 4., 5.]])
    """
    k = integer("k", k, positive=True)
    checked_order(order)
    _checked_input("k_max_pool1d", input)
    steps = _steps("k_max_pool1d", input, lengths)
    counts = steps.clamp(max=k)
    result = _largest(input, k, steps[..., None, None], counts[..., None, None], order)
    return (result, counts) if return_lengths else result


def dynamic_k_max_pool1d(
    input: Tensor,
    layer: int,
    layers: int,
    k_top: int,
    order: str = "position",
    lengths: Any = None,
    return_lengths: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Keeps as many of the largest steps of each row as its length and the layer's depth ask for.

    Of a sample of s steps layer l of L keeps k = max(k_top, ceil((L - l) / L * s)).

    Args:
        input: (N, C, L) or (C, L).
        layer, layers: which convolutional layer this is, from 1, and how many there are.
        k_top: how many steps the last layer keeps.
        order, lengths, return_lengths: as :func:`k_max_pool1d` takes them.

    Returns (N, C, K) or (C, K), where K is the k of the padded length; samples that keep fewer end in zeros.
    Everything else is as :func:`k_max_pool1d` has it.

    >>> dynamic_k_max_pool1d(torch.arange(6.0)[None], layer=1, layers=2, k_top=1)
    tensor([[3., 4., 5.]])
    """
    checked_layers(layer, layers, k_top)
    checked_order(order)
    _checked_input("dynamic_k_max_pool1d", input)
    steps = _steps("dynamic_k_max_pool1d", input, lengths)
    counts = ((layers - layer) * steps + layers - 1) // layers
    counts = torch.minimum(counts.clamp(min=k_top), steps)
    k = dynamic_k(input.shape[-1], layer, layers, k_top)
    result = _largest(input, k, steps[..., None, None], counts[..., None, None], order)
    return (result, counts) if return_lengths else result


def _steps(name: str, input: Tensor, lengths: Any) -> Tensor:
    """How many steps of each sample are real."""
    if lengths is None:
        return torch.full(input.shape[:-2], input.shape[-1], dtype=torch.int64, device=input.device)
    return _checked_lengths(name, lengths, input)
