"""K-max pooling of sequences: the k largest steps of each row. The last dimension is time."""

from __future__ import annotations

import torch
from torch import Tensor

from poolkit import geometry, ops
from poolkit.errors import ArgumentError
from poolkit.layers import sequence_ops
from poolkit.layers.base import FLOATS, INTEGERS, Layer
from poolkit.layers.steps import Lengths, checked_lengths, with_batch

ORDERS = ("position", "value")


def _checked_order(order: str) -> str:
    if not isinstance(order, str) or order not in ORDERS:
        raise ArgumentError(f"order must be 'position' or 'value', but got {order!r}")
    return order


def dynamic_k(length: int, layer: int, layers: int, k_top: int) -> int:
    """How many steps layer `layer` of `layers` keeps of `length`: max(k_top, ceil((layers - layer) / layers * length)).

    >>> [dynamic_k(18, layer, 3, 3) for layer in (1, 2, 3)]
    [12, 6, 3]
    """
    _check_layers(layer, layers, k_top)
    return max(k_top, -(-(layers - layer) * length // layers))


def _check_layers(layer: int, layers: int, k_top: int) -> None:
    geometry.integer("k_top", k_top, positive=True)
    if geometry.integer("layer", layer, positive=True) > geometry.integer("layers", layers, positive=True):
        raise ArgumentError(f"layer must be at most layers, but got layer={layer}, layers={layers}")


def _check_input(name: str, input: Tensor) -> None:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): input must be a torch.Tensor, but got {type(input).__name__}")
    ops.check_dense(name, "input", input)
    if input.dim() not in (2, 3) or 0 in input.shape[-2:]:
        raise ArgumentError(
            f"{name}(): input must be (N, C, L) or (C, L) with at least one channel and step, "
            f"but got {list(input.shape)}"
        )
    if input.dtype not in FLOATS + INTEGERS:
        raise NotImplementedError(f"{name}(): input must be floating or integer, but got {input.dtype}")


def _largest(input: Tensor, k: int, steps: Tensor, counts: Tensor, order: str) -> Tensor:
    """The `counts` largest of the first `steps` steps of each row, the rest of k filled with zeros."""
    if input.dim() == 2:
        return sequence_ops.largest(input[None], k, steps[None], counts[None], order == "value")[0]
    return sequence_ops.largest(input, k, steps, counts, order == "value")


def k_max_pool1d(
    input: Tensor, k: int, order: str = "position", lengths: Lengths | None = None, return_lengths: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Keeps the k largest steps of each row.

    Args:
        input: (N, C, L) or (C, L).
        k: how many steps to keep.
        order: 'position' keeps the steps in the order that they had, 'value' puts the largest first.
        lengths: how many steps of each sample are valid, (N,), or a number for (C, L); all by default.
        return_lengths: return also how many of the k steps are valid: min(k, length), int64, of the shape of lengths.

    Returns (N, C, k) or (C, k); rows of fewer than k valid steps end in zeros. Padded steps are never picked. Of equals
    the earliest is picked; NaN counts as the largest. The gradient of each kept step goes to where it came from.

    dtypes: float32, float64, float16, bfloat16, and integers other than bool; the output has the input's.
    Raises ArgumentError (a ValueError) for a bad argument, TypeError for one of a wrong type, NotImplementedError for a
    dtype that it does not take.

    >>> k_max_pool1d(torch.tensor([[3.0, 1.0, 4.0, 1.0, 5.0]]), 3)
    tensor([[3., 4., 5.]])
    """
    k = geometry.integer("k", k, positive=True)
    _checked_order(order)
    _check_input("k_max_pool1d", input)
    steps = _steps("k_max_pool1d", input, lengths)
    counts = steps.clamp(max=k)
    result = _largest(input, k, steps, counts, order)
    return (result, counts) if return_lengths else result


def dynamic_k_max_pool1d(
    input: Tensor,
    layer: int,
    layers: int,
    k_top: int,
    order: str = "position",
    lengths: Lengths | None = None,
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
    _check_layers(layer, layers, k_top)
    _checked_order(order)
    _check_input("dynamic_k_max_pool1d", input)
    steps = _steps("dynamic_k_max_pool1d", input, lengths)
    counts = ((layers - layer) * steps + layers - 1) // layers
    counts = torch.minimum(counts.clamp(min=k_top), steps)
    k = dynamic_k(input.shape[-1], layer, layers, k_top)
    result = _largest(input, k, steps, counts, order)
    return (result, counts) if return_lengths else result


def _steps(name: str, input: Tensor, lengths: Lengths | None) -> Tensor:
    """How many steps of each sample are valid."""
    batch, length = input.shape[:-2], input.shape[-1]
    if lengths is None:
        return torch.full(batch, length, dtype=torch.int64, device=input.device)
    if batch:
        return checked_lengths(name, lengths, batch[0], length).to(input.device)
    single, _ = with_batch(name, lengths, None)
    assert single is not None
    return checked_lengths(name, single, 1, length)[0].to(input.device)


class KMaxPool1d(Layer):
    """The k largest steps of each row: :func:`poolkit.functional.k_max_pool1d` as a layer.

    Args:
        k: how many steps to keep.
        order: 'position' keeps the steps in the order that they had, 'value' puts the largest first.
        return_lengths: return also how many of the k steps are valid.

    forward takes (N, C, L) or (C, L), and the lengths of the sequences, and gives (N, C, k) or (C, k).
    """

    _shown = ("k", "order")

    def __init__(self, k: int, order: str = "position", return_lengths: bool = False) -> None:
        super().__init__()
        self.k = geometry.integer("k", k, positive=True)
        self.order = _checked_order(order)
        self.return_lengths = return_lengths

    def forward(self, input: Tensor, lengths: Lengths | None = None) -> Tensor | tuple[Tensor, Tensor]:
        return k_max_pool1d(input, self.k, self.order, lengths, self.return_lengths)


class DynamicKMaxPool1d(Layer):
    """The largest steps, the fewer the deeper: :func:`poolkit.functional.dynamic_k_max_pool1d` as a layer.

    Args:
        layer, layers: which convolutional layer this is, from 1, and how many there are.
        k_top: how many steps the last layer keeps.
        order: 'position' keeps the steps in the order that they had, 'value' puts the largest first.
        return_lengths: return also how many of the steps are valid.

    forward takes (N, C, L) or (C, L), and the lengths of the sequences, and gives (N, C, K) or (C, K).
    """

    _shown = ("layer", "layers", "k_top", "order")

    def __init__(
        self, layer: int, layers: int, k_top: int, order: str = "position", return_lengths: bool = False
    ) -> None:
        super().__init__()
        _check_layers(layer, layers, k_top)
        self.layer, self.layers, self.k_top = layer, layers, k_top
        self.order = _checked_order(order)
        self.return_lengths = return_lengths

    def forward(self, input: Tensor, lengths: Lengths | None = None) -> Tensor | tuple[Tensor, Tensor]:
        return dynamic_k_max_pool1d(
            input, self.layer, self.layers, self.k_top, self.order, lengths, self.return_lengths
        )
