"""Pooling of segments: one vector for each of the parts that packed rows belong to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from poolkit import geometry, transforms
from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer, check_eps, check_flag, check_floating, has_values, wide
from poolkit.methods.method import is_finite

Integers = Tensor | Sequence[int]

#: Rows that are summed one after another; sums of blocks are summed in turn, so that errors stay small.
_BLOCK = 64


class Segments(NamedTuple):
    """To which segment each row of (total, C) belongs."""

    #: The segment of each row.
    owner: Tensor
    #: Where each row stands once the rows of a segment stand together.
    place: Tensor
    #: How many rows each segment has.
    counts: Tensor

    def spread(self, values: Tensor) -> Tensor:
        """For each row what its segment has, (total, C) of (segments, C)."""
        return values.index_select(0, self.owner)

    def divisor(self, x: Tensor, less: int = 0) -> Tensor:
        """How many rows a segment has, less so many, (segments, 1) in x's type; 1 for those with fewer."""
        return (self.counts - less).clamp(min=1).to(x.dtype)[:, None]

    def total(self, x: Tensor) -> Tensor:
        """The sum of each segment, (segments, C); 0 of none."""
        owner, place, number = self.owner, self.place, self.counts.shape[0]
        blocks = number + x.shape[0] // _BLOCK
        while 2 * blocks <= x.shape[0]:
            # No two segments share a number: it grows wherever the segment or the block of rows changes.
            block = owner + place // _BLOCK
            x = _summed(x, block, blocks)
            owner = owner.new_zeros(blocks).scatter(0, block, owner).cummax(0).values
            place = torch.arange(blocks, device=x.device)
            blocks = number + blocks // _BLOCK
        return _summed(x, owner, number)

    def extreme(self, x: Tensor, largest: bool) -> Tensor:
        """The largest or smallest value of each segment, NaN if it has one; 0 of none. Without a gradient."""
        zeros = x.new_zeros(self.counts.shape[0], x.shape[1])
        index = self.owner[:, None].expand(x.shape)
        return zeros.scatter_reduce(0, index, x.detach(), "amax" if largest else "amin", include_self=False)

    def median(self, x: Tensor) -> Tensor:
        """The lower middle value of each segment, NaN if it has one; anything of none. Without a gradient."""
        columns = x.detach().T.contiguous()  # sorting runs along memory
        by_value = columns.argsort(stable=True)  # NaN is last
        by_segment = self.owner[by_value].argsort(stable=True)
        ordered = columns.gather(1, by_value.gather(1, by_segment))
        last = self.counts.cumsum(0) - 1
        middle = last - self.counts // 2  # of n rows the one at (n - 1) // 2
        low, high = (ordered.index_select(1, row.clamp(min=0)).T for row in (middle, last))
        return torch.where(high.isnan(), high, low)

    def pick(self, x: Tensor, values: Tensor) -> Tensor:
        """The rows of x that have these values, (segments, C): the first of equals, the last NaN."""
        if not (torch.is_grad_enabled() and x.requires_grad) and not transforms.active():
            return values
        found = self.spread(values)
        # Rows are counted in floats, which scatter_reduce takes many times faster than integers, as long as they can.
        dtype = torch.float32 if x.shape[0] <= 2**24 else torch.float64
        row = torch.arange(x.shape[0], device=x.device).to(dtype)[:, None]
        # Of NaN the later row gets the smaller number, below those of all others.
        number = torch.where(x == found, row, torch.where(x.isnan() & found.isnan(), -1 - row, math.inf))
        first = number.new_zeros(values.shape).scatter_reduce(
            0, self.owner[:, None].expand(number.shape), number, "amin", include_self=False
        )
        return x.gather(0, torch.where(first < 0, -1 - first, first).to(torch.int64))

    def end(self, x: Tensor, first: bool) -> Tensor:
        """The first or last row of each segment, (segments, C); anything of none."""
        row = torch.arange(x.shape[0], device=x.device)
        zeros = row.new_zeros(self.counts.shape[0])
        end = zeros.scatter_reduce(0, self.owner, row, "amin" if first else "amax", include_self=False)
        return x.index_select(0, end)

    def exponentials(self, x: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """exp((x - largest) / temperature) for each row, and the largest of each segment."""
        largest = self.extreme(x, True)
        top = self.spread(largest)
        # An infinity less itself is no number; beside it everything else vanishes.
        relative = torch.where((x == top) & top.isinf(), 0, x - top)
        return (relative / temperature).exp(), largest


def _summed(x: Tensor, index: Tensor, number: int) -> Tensor:
    return x.new_zeros(number, x.shape[1]).scatter_add(0, index[:, None].expand(x.shape), x)


class _Options(NamedTuple):
    weights: Tensor | None
    temperature: float
    unbiased: bool
    eps: float


def _mean(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    return segments.total(x) / segments.divisor(x)


def _softmax(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    shares, _ = segments.exponentials(x, options.temperature)
    total = segments.total(shares)
    seen = torch.where((shares == 0) & ~x.isnan(), 0, x)  # a share of nothing takes no part, of an infinity neither
    return segments.total(shares * seen) / torch.where(total == 0, 1, total)


def _logsumexp(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    shares, largest = segments.exponentials(x, options.temperature)
    total = segments.total(shares)
    return largest + options.temperature * torch.where(total == 0, 1, total).log()


def _var(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    squares = (x - segments.spread(_mean(segments, x, options))).square()
    return segments.total(squares) / segments.divisor(x, int(options.unbiased))


def _weighted(segments: Segments, x: Tensor, options: _Options) -> Tensor:
    assert options.weights is not None
    weights = options.weights.to(x.dtype).reshape(x.shape[0], -1)
    total = segments.total(weights)
    return torch.where(total == 0, 0, segments.total(x * weights) / torch.where(total == 0, 1, total))


_REDUCTIONS: dict[str, Callable[[Segments, Tensor, _Options], Tensor]] = {
    "sum": lambda segments, x, options: segments.total(x),
    "mean": _mean,
    "max": lambda segments, x, options: segments.pick(x, segments.extreme(x, True)),
    "min": lambda segments, x, options: segments.pick(x, segments.extreme(x, False)),
    "median": lambda segments, x, options: segments.pick(x, segments.median(x)),
    "first": lambda segments, x, options: segments.end(x, True),
    "last": lambda segments, x, options: segments.end(x, False),
    "weighted": _weighted,
    "softmax": _softmax,
    "logsumexp": _logsumexp,
    "var": _var,
    "std": lambda segments, x, options: (_var(segments, x, options) + options.eps).sqrt(),
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


def _row_of_integers(name: str, argument: str, values: Integers, device: torch.device) -> Tensor:
    """The integers as a tensor (n,) of int64."""
    if not isinstance(values, Tensor):
        if not isinstance(values, Sequence) or isinstance(values, str | bytes):
            raise TypeError(f"{name}(): {argument} must be a tensor or a list of ints, but got {values!r}")
        values = torch.tensor([geometry.integer(argument, value) for value in values], dtype=torch.int64)
    if values.dtype.is_floating_point or values.dtype.is_complex or values.dtype == torch.bool:
        raise TypeError(f"{name}(): {argument} must have an integer dtype, but got {values.dtype}")
    if values.dim() != 1:
        raise ArgumentError(f"{name}(): {argument} must have one dimension, but got the shape {list(values.shape)}")
    return values.to(device, torch.int64)


def _require(fits: Tensor, message: str, number: int, got: Tensor) -> None:
    """Refuses values that do not fit; the message has a place for the number that they must fit.

    A compiled graph cannot branch on values, but it can stop; its numbers may be symbolic, which text would fix.
    """
    if torch.compiler.is_compiling():
        torch._assert_async(fits, message.format("n"))
    elif has_values(fits) and not bool(fits):
        raise ArgumentError(f"{message.format(number)}, but got {_shortened(got)}")


def _shortened(values: Tensor) -> str:
    numbers = values.tolist()
    return str(numbers) if len(numbers) <= 16 else f"{str(numbers[:16])[:-1]}, ...]"


def read_segments(
    name: str,
    total: int,
    device: torch.device,
    lengths: Integers | None,
    offsets: Integers | None,
    index: Integers | None,
    num_segments: int | None,
) -> Segments:
    """The segments of so many rows, checked."""
    given = [
        key for key, value in {"lengths": lengths, "offsets": offsets, "index": index}.items() if value is not None
    ]
    if len(given) != 1:
        raise ArgumentError(f"{name}(): exactly one of lengths, offsets and index must be given, but got {given}")
    if index is not None:
        return _from_index(name, total, _row_of_integers(name, "index", index, device), num_segments)
    if num_segments is not None:
        raise ArgumentError(f"{name}(): num_segments must be None without index, but got {num_segments!r}")
    row = torch.arange(total, device=device)
    if lengths is not None:
        counts = _row_of_integers(name, "lengths", lengths, device)
        fits = (counts >= 0).all() & (counts.sum() == total)
        rule = f"{name}(): lengths must be 0 or more and sum up to the {{}} rows of the input"
        _require(fits, rule, total, counts)
    else:
        assert offsets is not None
        bounds = _row_of_integers(name, "offsets", offsets, device)
        rule = f"{name}(): offsets must begin with 0, never fall, and end with {{}}, the number of rows"
        if bounds.shape[0] == 0:
            raise ArgumentError(f"{rule.format(total)}, but got []")
        counts = bounds.diff()
        _require((bounds[0] == 0) & (counts >= 0).all() & (bounds[-1] == total), rule, total, bounds)
    ended = torch.searchsorted(counts.cumsum(0), row, right=True)  # so many segments end at the row or before it
    return Segments(ended, row, counts)


def _from_index(name: str, total: int, index: Tensor, num_segments: int | None) -> Segments:
    if index.shape != (total,):
        raise ArgumentError(f"{name}(): index must have the shape {[total]}, but got {list(index.shape)}")
    if num_segments is None:
        if torch.compiler.is_compiling() or not has_values(index):
            raise ArgumentError(f"{name}(): num_segments must be given where values are unknown, but got None")
        num_segments = int(index.max()) + 1 if total else 0
    number = geometry.integer("num_segments", num_segments)
    if number < 0:
        raise ArgumentError(f"{name}(): num_segments must be 0 or more, but got {number}")
    fits = ((index >= 0) & (index < number)).all()
    _require(fits, f"{name}(): index must be from 0 to num_segments - 1 = {{}}", number - 1, index)
    counts = index.new_zeros(number).scatter_add(0, index, torch.ones_like(index))
    order = index.argsort(stable=True)
    place = torch.empty_like(order).scatter(0, order, torch.arange(total, device=index.device))
    return Segments(index, place, counts)


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
    gradient to one row, the first of equals. Sums add up blocks of 64 rows, so that long segments lose no precision,
    and variances take the mean off first. On a CPU the result is always the same; on other devices where
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
    segments = read_segments(name, input.shape[0], input.device, lengths, offsets, index, num_segments)
    if input.shape[0] == 0:  # every segment is empty
        return input.sum(0, keepdim=True).repeat(segments.counts.shape[0], 1)
    result = _REDUCTIONS[reduction](segments, wide(input), _Options(weights, temperature, unbiased, eps))
    return torch.where(segments.counts[:, None] == 0, 0, result).to(input.dtype)


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
