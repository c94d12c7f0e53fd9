"""The operators of poolkit in operations of torch's own, for exporters that know no others.

``program.run_decompositions(poolkit.decompositions.decompositions())`` leaves an exported program without operators of
poolkit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from poolkit import aten, geometry, ops, reference
from poolkit.layers import (
    blur,
    detail,
    fractional_reference,
    packed,
    powers,
    precise,
    segment_reference,
    sequence_reference,
    weighted_reference,
)
from poolkit.layers.base import wide
from poolkit.layers.fractional_reference import Regions
from poolkit.layers.packed import Segments
from poolkit.layers.steps import Sequences
from poolkit.methods import Step


def _pool(x: Tensor, method: str, windows: list[int], params: list[float], seed: Tensor | None = None) -> Tensor:
    return aten.pool(x, geometry.unpack(windows), Step(method, tuple(params), windows[1], windows[2]))


def _pool_winners(
    x: Tensor, method: str, windows: list[int], params: list[float], seed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Here winners are indices already."""
    indices = reference.winner_positions(x, geometry.unpack(windows), Step(method, tuple(params)), seed)
    return _pool(x, method, windows, params, seed), indices


def _winner_indices(winners: Tensor, windows: list[int]) -> Tensor:
    return winners.clone()


def _pool_by_logits(x: Tensor, logits: Tensor, windows: list[int]) -> Tensor:
    return reference.by_logits(x, logits, geometry.unpack(windows))


def _filter(x: Tensor, axes: list[int], weights: list[float], adjoint: bool, channels_last: bool) -> Tensor:
    """One axis after the other, a strided slice for each weight."""
    assert not adjoint  # of gradients alone
    rank, y, of_taps = len(axes) // 6, reference.widened(x), iter(weights)
    for dim in range(-rank, 0):
        size, out, filter_size, stride, low, place = axes[6 * (dim + rank) :][:6]
        last = (out - 1) * stride
        cells = blur.extended(y, dim, low, last + filter_size - low - size, blur.PADDING_MODES[place])
        parts = [blur.cut(cells, dim, slice(tap, tap + last + 1, stride)) * next(of_taps) for tap in range(filter_size)]
        y = functools.reduce(torch.add, parts)
    return y.to(x.dtype)


def _learnt_power_pool(x: Tensor, p: Tensor, packed: list[int], mean: bool) -> Tensor:
    return powers._gathered(x, p, geometry.unpack(packed), mean)


def _detail_preserving_pool(
    x: Tensor,
    alpha: Tensor,
    lam: Tensor,
    guide: Tensor | None,
    packed: list[int],
    symmetric: bool,
    eps: float,
    norm: str,
) -> Tensor:
    return detail._gathered(x, alpha, lam, guide, geometry.unpack(packed), detail._Settings(symmetric, eps, norm))


def _fractional_max_winners(
    x: Tensor, first: Tensor, last: Tensor, output_size: list[int], longest: list[int]
) -> tuple[Tensor, Tensor]:
    """Here winners are indices already."""
    bounds = (first.split(output_size, -1), last.split(output_size, -1))
    return fractional_reference.pool(x, [Regions(*axis) for axis in zip(*bounds, longest, strict=True)])


def _fractional_max(x: Tensor, first: Tensor, last: Tensor, output_size: list[int], longest: list[int]) -> Tensor:
    return _fractional_max_winners(x, first, last, output_size, longest)[0]


def _sequence_sum(x: Tensor, valid: Tensor | None) -> Tensor:
    return sequence_reference.total(Sequences(x, valid, True))


def _sequence_extreme(x: Tensor, valid: Tensor | None, largest: bool) -> Tensor:
    return sequence_reference.extreme(Sequences(x, valid, True), largest)


def _sequence_extreme_winners(x: Tensor, valid: Tensor | None, largest: bool) -> tuple[Tensor, Tensor]:
    y = _sequence_extreme(x, valid, largest)
    return y, torch.zeros_like(y, dtype=torch.int64)  # read by gradients alone


def _sequence_statistics(x: Tensor, valid: Tensor | None, unbiased: bool, eps: float) -> Tensor:
    return sequence_reference.statistics(Sequences(x, valid, True), unbiased, eps)


def _sequence_auto(x: Tensor, slopes: Tensor, valid: Tensor | None, variance: bool) -> tuple[Tensor, Tensor]:
    y = weighted_reference.auto(Sequences(x, valid, True), slopes)
    return y, torch.zeros_like(torch.cat((y,) * 4, 1))  # read by gradients alone


def _sequence_attentive(x: Tensor, scores: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    y = weighted_reference.moments(Sequences(x, valid, True), scores)
    return y, torch.zeros_like(y)  # read by gradients alone


def _sequence_linear_softmax(x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    y = weighted_reference.linear_softmax(Sequences(x, valid, True))
    return y, torch.zeros_like(y)  # read by gradients alone


def _sequence_largest(x: Tensor, lengths: Tensor, counts: Tensor, k: int, by_value: bool) -> Tensor:
    return sequence_reference.largest(x, k, lengths, counts, by_value)


def _sequence_largest_places(
    x: Tensor, lengths: Tensor, counts: Tensor, k: int, by_value: bool
) -> tuple[Tensor, Tensor]:
    y = _sequence_largest(x, lengths, counts, k, by_value)
    return y, torch.zeros_like(y, dtype=torch.int32)  # read by gradients alone


def _segments(offsets: Tensor, order: Tensor | None, rows: int) -> Segments:
    return Segments(offsets, order, packed.owners(offsets, order, rows))


def _segment_sum(x: Tensor, offsets: Tensor, order: Tensor | None) -> Tensor:
    return segment_reference.total(_segments(offsets, order, x.shape[0]), wide(x))


def _segment_spread(y: Tensor, offsets: Tensor, order: Tensor | None, rows: int) -> Tensor:
    return segment_reference.spread(_segments(offsets, order, rows), y)


def _segment_extreme(x: Tensor, offsets: Tensor, order: Tensor | None, largest: bool) -> Tensor:
    return segment_reference.extreme(_segments(offsets, order, x.shape[0]), wide(x), largest).to(x.dtype)


def _segment_extreme_winners(x: Tensor, offsets: Tensor, order: Tensor | None, largest: bool) -> tuple[Tensor, Tensor]:
    y = _segment_extreme(x, offsets, order, largest)
    return y, torch.zeros_like(y, dtype=torch.int32)  # read by gradients alone


def decompositions() -> dict[Any, Callable[..., Any]]:
    """A table for :meth:`torch.export.ExportedProgram.run_decompositions`: by operator, the same in torch's own.

    >>> program = torch.export.export(poolkit.nn.SoftPool2d(2), (torch.zeros(1, 1, 4, 4),))
    >>> program = program.run_decompositions(decompositions())

    Not in it are operators of gradients, RoI align and RoI pool, whose number of samples depends on the boxes, and mode
    pooling. Raises a RuntimeError where poolkit was built without torch.
    """
    if not ops.HAS_KERNELS:
        raise RuntimeError("poolkit was built without torch: there are no operators to decompose")
    known = torch.ops.poolkit
    return {
        known.pool.default: _pool,
        known.pool_winners.default: _pool_winners,
        known.winner_indices.default: _winner_indices,
        known.pool_by_logits.default: _pool_by_logits,
        known.max_unpool.default: reference.unpool,
        known.filter.default: _filter,
        known.learnt_power_pool.default: _learnt_power_pool,
        known.detail_preserving_pool.default: _detail_preserving_pool,
        known.prroi_pool.default: precise._formula,
        known.fractional_max.default: _fractional_max,
        known.fractional_max_winners.default: _fractional_max_winners,
        known.segment_sum.default: _segment_sum,
        known.segment_spread.default: _segment_spread,
        known.segment_extreme.default: _segment_extreme,
        known.segment_extreme_winners.default: _segment_extreme_winners,
        known.segment_order.default: packed.sort,
        known.sequence_sum.default: _sequence_sum,
        known.sequence_extreme.default: _sequence_extreme,
        known.sequence_extreme_winners.default: _sequence_extreme_winners,
        known.sequence_statistics.default: _sequence_statistics,
        known.sequence_auto.default: _sequence_auto,
        known.sequence_attentive.default: _sequence_attentive,
        known.sequence_linear_softmax.default: _sequence_linear_softmax,
        known.sequence_largest.default: _sequence_largest,
        known.sequence_largest_places.default: _sequence_largest_places,
    }
