"""Pooling of segments: one vector for each of the parts that packed rows belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from poolkit.errors import ArgumentError
from poolkit.layers import segment_ops, segment_reference
from poolkit.layers.base import Layer, check_eps, check_flag, check_floating, wide
from poolkit.layers.packed import Integers, Segments, read_segments
from poolkit.methods.method import is_finite


class _Options(NamedTuple):
    weights: Tensor | None
    temperature: float
    unbiased: bool
    eps: float


def _mean(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    total = segment_ops.total(segments, x)
    return total / segments.divisor(total)


def _exponentials(segments: Segments, x: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """exp((x - largest) / temperature) for each row, and the largest of each segment."""
    largest = segment_ops.extreme(segments, x.detach(), True)
    top = segment_ops.spread(segments, x.shape[0], largest)
    # An infinity less itself is no number; beside it everything else vanishes.
    relative = torch.where((x == top) & top.isinf(), 0, x - top)
    return (relative / temperature).exp(), largest


def _softmax(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    x = wide(x)
    shares, _ = _exponentials(segments, x, options.temperature)
    total = segment_ops.total(segments, shares)
    seen = torch.where((shares == 0) & ~x.isnan(), 0, x)  # a share of nothing takes no part, of an infinity neither
    return segment_ops.total(segments, shares * seen) / torch.where(total == 0, 1, total)


def _logsumexp(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    shares, largest = _exponentials(segments, wide(x), options.temperature)
    total = segment_ops.total(segments, shares)
    return largest + options.temperature * torch.where(total == 0, 1, total).log()


def _var(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    x = wide(x)
    mean = segment_ops.spread(segments, x.shape[0], _mean(segments, x, options))
    squares = (x - mean).square()
    return segment_ops.total(segments, squares) / segments.divisor(x, int(options.unbiased))


def _std(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    return segments.without_empty((_var(segments, x, options) + options.eps).sqrt())


def _weighted(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    assert options.weights is not None
    x = wide(x)
    weights = options.weights.to(x.dtype).reshape(x.shape[0], -1)
    total = segment_ops.total(segments, weights)
    return torch.where(total == 0, 0, segment_ops.total(segments, x * weights) / torch.where(total == 0, 1, total))


_REDUCTIONS: dict[str, Callable[[Segments, Tensor, _Options], Tensor]] = {
    "sum": lambda segments, x, options: segment_ops.total(segments, x),
    "mean": _mean,
    "max": lambda segments, x, options: segment_ops.extreme(segments, x, True),
    "min": lambda segments, x, options: segment_ops.extreme(segments, x, False),
    "median": lambda segments, x, options: segment_reference.median(segments, wide(x)),
    "first": lambda segments, x, options: segments.end(x, True),
    "last": lambda segments, x, options: segments.end(x, False),
    "weighted": _weighted,
    "softmax": _softmax,
    "logsumexp": _logsumexp,
    "var": _var,
    "std": _std,
}
REDUCTIONS = tuple(_REDUCTIONS)


def _check(reduction: str, temperature: float, unbiased: bool, eps: float) -> None:
    if reduction not in REDUCTIONS:
        raise ArgumentError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, but got {reduction!r}")
    if isinstance(temperature, bool) or not isinstance(temperature, int | float):
        raise TypeError(f"temperature must be a number, but got {temperature!r} ({type(temperature).__name__})")
    if not (temperature > 0 and is_finite(temperature)):
        raise ArgumentError(f"temperature must be a finite number > 0, but got {temperature!r}")
    check_flag("unbiased", unbiased)
    check_eps(eps)


def _check_weights(name: str, weights: Tensor | None, shape: torch.Size) -> None:
    if weights is None:
        raise ArgumentError(f"{name}(): weights must be given for reduction 'weighted', but got None")
    check_floating(name, weights=weights)
    if tuple(weights.shape) not in ((shape[0],), tuple(shape)):
        raise ArgumentError(
            f"{name}(): weights must have the shape {[shape[0]]} or {list(shape)}, but got {list(weights.shape)}"
        )


def segment_pool(
    input: Tensor,
    reduction: str = "mean",
    *,
    lengths: Integers | None = None,
    offsets: Integers | None = None,
    index: Integers | None = None,
    num_segments: int | None = None,
    weights: Tensor | None = None,
    temperature: float = 1.0,
    unbiased: bool = False,
    eps: float = 1e-5,
) -> Tensor:
    """One vector for each segment of packed rows: words of sentences, nodes of graphs, points of objects.

    Args:
        input: (total, C): the rows of all segments.
        reduction: 'sum', 'mean', 'max', 'min', 'median' (the lower of two middle values), 'first' or 'last' row,
            'weighted', the mean with `weights`; 'softmax', the mean with weights exp(x / temperature); 'logsumexp',
            temperature * log(sum of exp(x / temperature)); 'var' or 'std', sqrt(var + eps).
        lengths: (segments,): how many rows each segment has, one behind the other; their sum is total.
        offsets: (segments + 1,): where each segment begins, and at last where all end: 0, ..., total.
        index: (total,): the segment of each row, from 0, in any order.
        num_segments: with index, how many segments there are; by default as many as index names.
        weights: of the rows, (total,) or (total, C), for reduction 'weighted'; they receive a gradient.
        temperature: of 'softmax' and 'logsumexp'; > 0.
        unbiased: for 'var' and 'std', divide the squares by n - 1 instead of n, the number of rows.
        eps: of 'std', so that the root has a gradient everywhere; > 0.

    Exactly one of lengths, offsets and index is given: integers, as a tensor on any device or a list. Their values are
    checked, which waits for their device; a compiled graph raises RuntimeError for wrong ones, and needs num_segments.

    Returns:
        (segments, C) of the input's dtype; half precision is computed in float32. A segment without rows gives 0 and
        has no gradient, whatever the reduction; so do weights whose sum is 0.

    NaN stays in its segment, where it wins every reduction that reads it. Maxima, minima and medians give their
    gradient to one row, the first of equals. Sums add up those of blocks of rows, so that long segments lose no
    precision, and variances take the mean off first. On a CPU the result is always the same; on other devices where
    torch.use_deterministic_algorithms says so.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.

    >>> segment_pool(torch.tensor([[1.0], [2.0], [6.0]]), "mean", lengths=[2, 0, 1])
    tensor([[1.5000],
            [0.0000],
            [6.0000]])
    """
    name = "segment_pool"
    _check(reduction, temperature, unbiased, eps)
    check_floating(name, input=input)
    if input.dim() != 2 or input.shape[1] == 0:
        raise ArgumentError(
            f"{name}(): input must be (total, C) with at least one channel, but got {list(input.shape)}"
        )
    if reduction == "weighted":
        _check_weights(name, weights, input.shape)
    elif weights is not None:
        raise ArgumentError(f"{name}(): weights must be None unless reduction is 'weighted', but it is {reduction!r}")
    for_kernels = reduction != "median" and segment_ops.run_kernels(input, weights)
    segments = read_segments(name, input.shape[0], input.device, lengths, offsets, index, num_segments, for_kernels)
    if input.shape[0] == 0:  # every segment is empty
        return input.sum(0, keepdim=True).repeat(segments.number, 1)
    return _REDUCTIONS[reduction](segments, input, _Options(weights, temperature, unbiased, eps)).to(input.dtype)


class SegmentPool(Layer):
    """Pooling of segments, :func:`poolkit.functional.segment_pool` as a layer.

    Args:
        reduction: 'sum', 'mean', 'max', 'min', 'median', 'first', 'last', 'weighted', 'softmax', 'logsumexp', 'var' or
            'std'.
        temperature: of 'softmax' and 'logsumexp'; > 0.
        unbiased: for 'var' and 'std', divide the squares by n - 1 instead of n, the number of rows.
        eps: of 'std', so that the root has a gradient everywhere; > 0.

    forward takes rows (total, C) with the lengths, the offsets or the index of their segments, and weights for
    reduction 'weighted', and gives (segments, C).
    """

    _shown = ("reduction", "temperature", "unbiased", "eps")

    def __init__(
        self, reduction: str = "mean", temperature: float = 1.0, unbiased: bool = False, eps: float = 1e-5
    ) -> None:
        super().__init__()
        _check(reduction, temperature, unbiased, eps)
        self.reduction, self.temperature, self.unbiased, self.eps = reduction, temperature, unbiased, eps

    def forward(
        self,
        input: Tensor,
        *,
        lengths: Integers | None = None,
        offsets: Integers | None = None,
        index: Integers | None = None,
        num_segments: int | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        return segment_pool(
            input,
            self.reduction,
            lengths=lengths,
            offsets=offsets,
            index=index,
            num_segments=num_segments,
            weights=weights,
            temperature=self.temperature,
            unbiased=self.unbiased,
            eps=self.eps,
        )
