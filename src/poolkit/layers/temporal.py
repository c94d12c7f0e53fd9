"""Pooling over time: one vector for each sequence of a padded batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from poolkit import functional
from poolkit.errors import ArgumentError
from poolkit.layers import sequence_ops
from poolkit.layers.base import Layer, check_floating, wide
from poolkit.layers.steps import Lengths, Sequences, check_layout, read


def _mean(sequences: Sequences) -> Tensor:
    if sequences.valid is None:
        return functional.global_avg_pool1d(sequences.values, keepdim=False)
    return sequence_ops.total(sequences) / sequences.valid_count()


def _mean_sqrt_len(sequences: Sequences) -> Tensor:
    count, total = sequences.valid_count(), sequence_ops.total(sequences)
    return total / (math.sqrt(count) if isinstance(count, int) else count.to(total.dtype).sqrt())


def _first(sequences: Sequences) -> Tensor:
    return sequences.pick(sequences.first_step())


def _last(sequences: Sequences) -> Tensor:
    backwards = sequences._replace(valid=None if sequences.valid is None else sequences.valid.flip(1))
    return sequences.pick(sequences.values.shape[2] - 1 - backwards.first_step())


def _weighted(sequences: Sequences, weights: Tensor | None) -> Tensor:
    values = wide(sequences.filled(0))
    batch, _, steps = values.shape
    if weights is not None:
        shares = weights.to(values.dtype).expand(batch, steps)
    elif sequences.valid is None:
        shares = torch.arange(1, steps + 1, dtype=values.dtype, device=values.device).expand(batch, steps)
    else:
        shares = sequences.valid.cumsum(1).to(values.dtype)
    if sequences.valid is not None:
        shares = shares.masked_fill(~sequences.valid, 0)
    total = shares.sum(1, keepdim=True)
    mean = functional.global_sum_pool1d(values * shares[:, None], keepdim=False) / torch.where(total == 0, 1, total)
    return torch.where(total == 0, 0, mean)


_KINDS: dict[str, Callable[[Sequences], Tensor]] = {
    "mean": _mean,
    "max": lambda sequences: sequence_ops.extreme(sequences, largest=True),
    "min": lambda sequences: sequence_ops.extreme(sequences, largest=False),
    "sum": sequence_ops.total,
    "first": _first,
    "last": _last,
    "mean_sqrt_len": _mean_sqrt_len,
}
KINDS = (*_KINDS, "weighted")


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ArgumentError(f"kind must be one of {', '.join(map(repr, KINDS))}, but got {kind!r}")


def _checked_weights(name: str, weights: Tensor, sequences: Sequences) -> Tensor:
    check_floating(name, weights=weights)
    batch, _, steps = sequences.values.shape
    allowed = [(steps,), (batch, steps)] if sequences.batched else [(steps,)]
    if tuple(weights.shape) not in allowed:
        shapes = " or ".join(str(list(shape)) for shape in allowed)
        raise ArgumentError(f"{name}(): weights must have the shape {shapes}, but got {list(weights.shape)}")
    return weights


def temporal_pool(
    input: Tensor | PackedSequence,
    kind: str = "mean",
    lengths: Lengths | None = None,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    layout: str = "channels_first",
) -> Tensor:
    """One vector for each sequence: pooling over the valid steps of a padded batch.

    Args:
        input: (N, C, L), or as `layout` says; without a batch, (C, L) or (L, C); or a PackedSequence, which brings
            its own lengths and layout.
        kind: 'mean', 'max', 'min', 'sum'; 'first' or 'last' valid step; 'weighted', the mean with `weights`;
            'mean_sqrt_len', the sum divided by the square root of the number of valid steps.
        lengths: the first `lengths[n]` steps are valid: integers from 0 to L, a tensor (N,) on any device or a list;
            one int without a batch. The values of a tensor are checked, which waits for its device; a compiled graph
            raises RuntimeError for wrong ones.
        mask: bool (N, L), True at valid steps, wherever they are; (L,) without a batch. Not with lengths.
        weights: of the steps, (N, L) or (L,), for kind 'weighted'; they receive a gradient. By default the valid steps
            weigh 1, 2, 3, ... in their order.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    Returns:
        (N, C), or (C,) without a batch, of the input's dtype; half precision is computed in float32.

    Padded steps may hold anything, NaN too: they change neither the result nor a gradient, and theirs is 0. A
    sequence without a valid step gives 0 and has no gradient; so do weights whose sum is 0. Maxima and minima give
    their gradient to one step, the first of equals; a NaN among the valid steps wins.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    name = "temporal_pool"
    _check_kind(kind)
    sequences = read(name, input, lengths, mask, layout)
    if kind == "weighted":
        result = _weighted(sequences, None if weights is None else _checked_weights(name, weights, sequences))
    elif weights is not None:
        raise ArgumentError(f"{name}(): weights are for kind 'weighted', but kind is {kind!r}")
    else:
        result = _KINDS[kind](sequences)
    return sequences.unbatch(sequences.without_empty(result).to(sequences.values.dtype))


class TemporalPool(Layer):
    """Pooling over time, :func:`poolkit.functional.temporal_pool` as a layer.

    Args:
        kind: 'mean', 'max', 'min', 'sum', 'first', 'last', 'weighted' or 'mean_sqrt_len'.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes the input with its lengths or mask, and weights for kind 'weighted'.
    """

    _shown = ("kind", "layout")

    def __init__(self, kind: str = "mean", layout: str = "channels_first") -> None:
        super().__init__()
        _check_kind(kind)
        check_layout(layout)
        self.kind, self.layout = kind, layout

    def forward(
        self,
        input: Tensor | PackedSequence,
        lengths: Lengths | None = None,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        return temporal_pool(input, self.kind, lengths, mask, weights, self.layout)
