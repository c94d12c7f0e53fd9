"""The operators behind pooling of segments: which code runs, and its gradient.

Sums have the type that they are computed in: float32 for half precision.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from poolkit import ops
from poolkit.layers import segment_reference
from poolkit.layers.base import wide
from poolkit.layers.packed import Segments

if ops.HAS_KERNELS:
    _sum = torch.ops.poolkit.segment_sum.default
    _spread = torch.ops.poolkit.segment_spread.default
    _extreme = torch.ops.poolkit.segment_extreme.default
    _extreme_winners = torch.ops.poolkit.segment_extreme_winners.default
    _extreme_backward = torch.ops.poolkit.segment_extreme_backward.default


def run_kernels(x: Tensor, weights: Tensor | None) -> bool:
    """Whether kernels take these tensors and what is computed from them."""
    return all(value is None or ops.why_no_kernel(value, "segments") is None for value in (x, weights))


def _wants_gradient(x: Tensor) -> bool:
    return x.requires_grad and torch.is_grad_enabled()


class _Sum(torch.autograd.Function):
    """Linear, so its gradient is its adjoint, whose gradient is itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, offsets: Tensor, order: Tensor | None) -> Tensor:
        ctx.save_for_backward(offsets, order)
        ctx.dtype, ctx.rows = x.dtype, x.shape[0]
        return cast(Tensor, _sum(x, offsets, order))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        given = (grads[0].to(ctx.dtype), *ctx.saved_tensors, ctx.rows)
        return _Spread.apply(*given) if torch.is_grad_enabled() else _spread(*given), None, None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, offsets: Tensor, order: Tensor | None, rows: int) -> Tensor:
        ctx.save_for_backward(offsets, order)
        ctx.dtype = y.dtype
        return cast(Tensor, _spread(y, offsets, order, rows))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        total = (_Sum.apply if torch.is_grad_enabled() else _sum)(grads[0], *ctx.saved_tensors)
        return total.to(ctx.dtype), None, None, None


def total(segments: Segments, x: Tensor) -> Tensor:
    """The sum of each segment, (segments, C); 0 of none."""
    if segments.owner is not None:
        return segment_reference.total(segments, wide(x))
    return cast(Tensor, (_Sum.apply if _wants_gradient(x) else _sum)(x, segments.offsets, segments.order))


def spread(segments: Segments, rows: int, values: Tensor) -> Tensor:
    """For each of the rows what its segment has, (total, C) of (segments, C)."""
    if segments.owner is not None:
        return segment_reference.spread(segments, values)
    run = _Spread.apply if _wants_gradient(values) else _spread
    return cast(Tensor, run(values, segments.offsets, segments.order, rows))


class _Extreme(torch.autograd.Function):
    """Keeps the winners."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, offsets: Tensor, order: Tensor | None, largest: bool) -> Tensor:
        y, winners = _extreme_winners(x, offsets, order, largest)
        ctx.save_for_backward(winners, offsets, order)
        ctx.rows = x.shape[0]
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        winners, offsets, order = ctx.saved_tensors
        grad = grads[0]
        if not torch.is_grad_enabled():
            return _extreme_backward(grad, winners, offsets, order, ctx.rows), None, None, None
        place = (offsets[:-1, None] + winners).clamp(max=ctx.rows - 1)  # of segments without rows any
        kept = grad.masked_fill(offsets.diff()[:, None] == 0, 0)
        zeros = grad.new_zeros(ctx.rows, grad.shape[1])
        return zeros.scatter_add(0, place if order is None else order[place], kept), None, None, None


def extreme(segments: Segments, x: Tensor, largest: bool) -> Tensor:
    """The largest or smallest value of each segment, (segments, C); 0 of none."""
    if segments.owner is not None:
        return segment_reference.extreme(segments, wide(x), largest)
    run = _Extreme.apply if _wants_gradient(x) else _extreme
    return cast(Tensor, run(x, segments.offsets, segments.order, largest))


def _register_fakes() -> None:
    """What the compiler needs: the results' shapes and dtypes, without the results."""

    def result(x: Tensor, offsets: Tensor, dtype: torch.dtype) -> Tensor:
        return x.new_empty((offsets.shape[0] - 1, x.shape[1]), dtype=dtype)

    def segment_sum(x: Tensor, offsets: Tensor, order: Tensor | None) -> Tensor:
        return result(x, offsets, torch.promote_types(x.dtype, torch.float32))

    def segment_spread(y: Tensor, offsets: Tensor, order: Tensor | None, rows: int) -> Tensor:
        return y.new_empty((rows, y.shape[1]))

    def segment_extreme(x: Tensor, offsets: Tensor, order: Tensor | None, largest: bool) -> Tensor:
        return result(x, offsets, x.dtype)

    def segment_extreme_winners(
        x: Tensor, offsets: Tensor, order: Tensor | None, largest: bool
    ) -> tuple[Tensor, Tensor]:
        return result(x, offsets, x.dtype), result(x, offsets, torch.int32)

    def segment_extreme_backward(
        grad: Tensor, winners: Tensor, offsets: Tensor, order: Tensor | None, rows: int
    ) -> Tensor:
        return grad.new_empty((rows, grad.shape[1]))

    def segment_order(index: Tensor, segments: int) -> tuple[Tensor, Tensor]:
        return index.new_empty((segments + 1,)), torch.empty_like(index)

    for fake in (
        segment_sum,
        segment_spread,
        segment_extreme,
        segment_extreme_winners,
        segment_extreme_backward,
        segment_order,
    ):
        torch.library.register_fake(f"poolkit::{fake.__name__}", fake)


if ops.HAS_KERNELS:
    _register_fakes()
