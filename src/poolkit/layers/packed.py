"""Packed rows: which segment each of them belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.layers.base import has_values

Integers = Tensor | Sequence[int]


class Segments(NamedTuple):
    """Which of the rows (total, C) belong together."""

    #: Where the rows of each segment begin in their order, and at last where all end, (segments + 1,).
    offsets: Tensor
    #: The rows in that order, (total,); None where they stand in it.
    order: Tensor | None
    #: The segment of each row, (total,); None where kernels run, which do not read it.
    owner: Tensor | None

    @property
    def number(self) -> int:
        return self.offsets.shape[0] - 1

    def counts(self) -> Tensor:
        """How many rows each segment has."""
        return self.offsets.diff()

    def owners(self) -> Tensor:
        assert self.owner is not None
        return self.owner

    def inverse(self) -> Tensor:
        """Where each row stands in the order, (total,)."""
        row = torch.arange(self.owners().shape[0], device=self.offsets.device)
        return row if self.order is None else torch.empty_like(row).scatter(0, self.order, row)

    def divisor(self, like: Tensor, less: int = 0) -> Tensor:
        """How many rows a segment has, less so many, (segments, 1) in that type; 1 for those with fewer."""
        counts = self.counts() - less if less else self.counts()
        return counts.clamp(min=1).to(like.dtype)[:, None]

    def end(self, x: Tensor, first: bool) -> Tensor:
        """The first or last row of each segment, (segments, C); 0 of none."""
        place = (self.offsets[:-1] if first else self.offsets[1:] - 1).clamp(0, x.shape[0] - 1)
        return self.without_empty(x.index_select(0, place if self.order is None else self.order[place]))

    def without_empty(self, result: Tensor) -> Tensor:
        """The result (segments, C) with zeros, and no gradient, for segments without rows."""
        return torch.where(self.counts()[:, None] == 0, 0, result)


def owners(offsets: Tensor, order: Tensor | None, total: int) -> Tensor:
    """The segment of each row, (total,)."""
    row = torch.arange(total, device=offsets.device)
    ended = torch.searchsorted(offsets[1:], row, right=True)  # so many segments end at the row or before it
    return ended if order is None else torch.empty_like(ended).scatter(0, order, ended)


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
    for_kernels: bool,
) -> Segments:
    """The segments of so many rows, checked."""
    given = [
        key for key, value in {"lengths": lengths, "offsets": offsets, "index": index}.items() if value is not None
    ]
    if len(given) != 1:
        raise ArgumentError(f"{name}(): exactly one of lengths, offsets and index must be given, but got {given}")
    if index is not None:
        values = _row_of_integers(name, "index", index, device)
        number = _checked_index(name, total, values, num_segments)
        offsets, order = (_counting_sort if for_kernels else sort)(values, number)
        return Segments(offsets, order, None if for_kernels else values)
    if num_segments is not None:
        raise ArgumentError(f"{name}(): num_segments must be None without index, but got {num_segments!r}")
    if lengths is not None:
        counts = _row_of_integers(name, "lengths", lengths, device)
        fits = (counts >= 0).all() & (counts.sum() == total)
        rule = f"{name}(): lengths must be 0 or more and sum up to the {{}} rows of the input"
        _require(fits, rule, total, counts)
        bounds = torch.constant_pad_nd(counts.cumsum(0), (1, 0))
    else:
        assert offsets is not None
        bounds = _row_of_integers(name, "offsets", offsets, device)
        rule = f"{name}(): offsets must begin with 0, never fall, and end with {{}}, the number of rows"
        if bounds.shape[0] == 0:
            raise ArgumentError(f"{rule.format(total)}, but got []")
        _require((bounds[0] == 0) & (bounds.diff() >= 0).all() & (bounds[-1] == total), rule, total, bounds)
    return Segments(bounds, None, None if for_kernels else owners(bounds, None, total))


def _checked_index(name: str, total: int, index: Tensor, num_segments: int | None) -> int:
    """How many segments there are."""
    if index.shape != (total,):
        raise ArgumentError(f"{name}(): index must have the shape {[total]}, but got {list(index.shape)}")
    if num_segments is None:
        if torch.compiler.is_compiling() or not has_values(index):
            raise ArgumentError(f"{name}(): num_segments must be given where values are unknown, but got None")
        num_segments = int(index.max()) + 1 if total else 0
    number = geometry.integer("num_segments", num_segments)
    if number < 0:
        raise ArgumentError(f"{name}(): num_segments must be 0 or more, but got {number}")
    if torch.compiler.is_compiling() or total == 0:
        fits = ((index >= 0) & (index < number)).all()
    else:
        least, most = index.aminmax()  # in one pass
        fits = (least >= 0) & (most < number)
    _require(fits, f"{name}(): index must be from 0 to num_segments - 1 = {{}}", number - 1, index)
    return number


def _counting_sort(index: Tensor, number: int) -> tuple[Tensor, Tensor]:
    return cast("tuple[Tensor, Tensor]", torch.ops.poolkit.segment_order.default(index, number))


def sort(index: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """The offsets of so many segments, and the order of the rows, whose segments an index names."""
    counts = index.new_zeros(number).scatter_add(0, index, torch.ones_like(index))
    return torch.constant_pad_nd(counts.cumsum(0), (1, 0)), index.argsort(stable=True)
