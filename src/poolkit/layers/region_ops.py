"""The operators behind RoI align and RoI pool: which code runs, and its gradient.

Maps are (N, C, H, W); boxes are float64 (K, 5) on the CPU, already checked.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from poolkit import layout, ops
from poolkit.layers import region_reference

if ops.HAS_KERNELS:
    _roi_align = torch.ops.poolkit.roi_align.default
    _roi_align_backward = torch.ops.poolkit.roi_align_backward.default
    _roi_pool = torch.ops.poolkit.roi_pool.default
    _roi_pool_winners = torch.ops.poolkit.roi_pool_winners.default
    _roi_pool_backward = torch.ops.poolkit.roi_pool_backward.default


def winner_dtype(cells: int) -> torch.dtype:
    """The smallest integer type that holds a position among so many cells, and one number more for none."""
    if cells < 2**8 - 1:
        return torch.uint8
    return torch.uint16 if cells < 2**16 - 1 else torch.int32


def _positions(winners: Tensor) -> Tensor:
    """Winners as int64, -1 for none, which is all ones in their type."""
    none = {torch.uint8: 2**8 - 1, torch.uint16: 2**16 - 1, torch.int32: -1}[winners.dtype]
    positions = winners.to(torch.int64)
    return positions.masked_fill(positions == none, -1)


class _Align(torch.autograd.Function):
    """Linear in x, so its gradient is its adjoint, whose gradient is itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, boxes: Tensor, size: list[int], scale: float, ratio: int, aligned: bool) -> Tensor:
        ctx.save_for_backward(boxes)
        ctx.input_size, ctx.channels_last = list(x.shape), layout.is_channels_last(x, 2)
        ctx.size, ctx.settings = size, (scale, ratio, aligned)
        return cast(Tensor, _roi_align(x, boxes, size, scale, ratio, aligned))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (boxes,) = ctx.saved_tensors
        given = (grads[0], boxes, ctx.input_size, *ctx.settings, ctx.channels_last)
        grad_x = _AlignAdjoint.apply(*given) if torch.is_grad_enabled() else _roi_align_backward(*given)
        return grad_x, None, None, None, None, None


class _AlignAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        grad: Tensor,
        boxes: Tensor,
        input_size: list[int],
        scale: float,
        ratio: int,
        aligned: bool,
        channels_last: bool,
    ) -> Tensor:
        ctx.save_for_backward(boxes)
        ctx.size, ctx.settings = list(grad.shape[2:]), (scale, ratio, aligned)
        return cast(Tensor, _roi_align_backward(grad, boxes, input_size, scale, ratio, aligned, channels_last))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (boxes,) = ctx.saved_tensors
        return _Align.apply(grads[0], boxes, ctx.size, *ctx.settings), None, None, None, None, None, None


def align(x: Tensor, boxes: Tensor, size: list[int], scale: float, ratio: int, aligned: bool) -> Tensor:
    """RoI align, (K, C, *size); ratio 0 stands for adaptive sampling."""
    if ops.why_no_kernel(x, "roi_align") is not None:
        return region_reference.align(x, boxes, size, scale, ratio, aligned)
    if x.requires_grad and torch.is_grad_enabled():
        return cast(Tensor, _Align.apply(x, boxes, size, scale, ratio, aligned))
    return cast(Tensor, _roi_align(x, boxes, size, scale, ratio, aligned))


class _Pool(torch.autograd.Function):
    """Keeps the winners."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, boxes: Tensor, size: list[int], scale: float) -> tuple[Tensor, Tensor]:
        y, winners = _roi_pool_winners(x, boxes, size, scale)
        ctx.save_for_backward(boxes, winners)
        ctx.mark_non_differentiable(winners)
        ctx.input_size, ctx.channels_last = list(x.shape), layout.is_channels_last(x, 2)
        return y, winners

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        boxes, winners = ctx.saved_tensors
        if torch.is_grad_enabled():
            grad_x = region_reference.scatter(grads[0], boxes, _positions(winners), ctx.input_size)
        else:
            grad_x = _roi_pool_backward(grads[0], boxes, winners, ctx.input_size, ctx.channels_last)
        return grad_x, None, None, None


def pool(
    x: Tensor, boxes: Tensor, size: list[int], scale: float, return_indices: bool
) -> Tensor | tuple[Tensor, Tensor]:
    """RoI pool, (K, C, *size), and if wanted where in its plane each value stands, -1 for nowhere."""
    if ops.why_no_kernel(x, "roi_pool") is not None:
        y, positions = region_reference.pool(x, boxes, size, scale)
        return (y, positions) if return_indices else y
    if x.requires_grad and torch.is_grad_enabled():
        y, winners = _Pool.apply(x, boxes, size, scale)
    elif return_indices:
        y, winners = _roi_pool_winners(x, boxes, size, scale)
    else:
        return cast(Tensor, _roi_pool(x, boxes, size, scale))
    return (y, _positions(winners)) if return_indices else y


def _register_fakes() -> None:
    """What the compiler needs: the results' shapes, dtypes and layouts, without the results."""

    def bins(x: Tensor, boxes: Tensor, size: list[int], dtype: torch.dtype) -> Tensor:
        return layout.empty(x, [boxes.shape[0], x.shape[1], *size], dtype, layout.is_channels_last(x, 2), 2)

    def roi_align(
        x: Tensor, boxes: Tensor, output_size: list[int], spatial_scale: float, sampling_ratio: int, aligned: bool
    ) -> Tensor:
        return bins(x, boxes, output_size, x.dtype)

    def roi_align_backward(
        grad: Tensor,
        boxes: Tensor,
        input_size: list[int],
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool,
        channels_last: bool,
    ) -> Tensor:
        return layout.empty(grad, input_size, grad.dtype, channels_last, 2)

    def roi_pool(x: Tensor, boxes: Tensor, output_size: list[int], spatial_scale: float) -> Tensor:
        return bins(x, boxes, output_size, x.dtype)

    def roi_pool_winners(
        x: Tensor, boxes: Tensor, output_size: list[int], spatial_scale: float
    ) -> tuple[Tensor, Tensor]:
        dtype = winner_dtype(x.shape[2] * x.shape[3])
        return bins(x, boxes, output_size, x.dtype), bins(x, boxes, output_size, dtype)

    def roi_pool_backward(
        grad: Tensor, boxes: Tensor, winners: Tensor, input_size: list[int], channels_last: bool
    ) -> Tensor:
        return layout.empty(grad, input_size, grad.dtype, channels_last, 2)

    for fake in (roi_align, roi_align_backward, roi_pool, roi_pool_winners, roi_pool_backward):
        torch.library.register_fake(f"poolkit::{fake.__name__}", fake)


if ops.HAS_KERNELS:
    _register_fakes()
