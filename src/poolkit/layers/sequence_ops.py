"""The operators behind pooling over time: which code runs, and its gradient.

Sums and statistics have the type that they are computed in: float32 for half precision.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from poolkit import geometry, ops, reference
from poolkit.layers import sequence_reference
from poolkit.layers.steps import Sequences

HAS_KERNELS = ops.HAS_KERNELS
if HAS_KERNELS:
    _sum = torch.ops.poolkit.sequence_sum.default
    _sum_backward = torch.ops.poolkit.sequence_sum_backward.default
    _extreme = torch.ops.poolkit.sequence_extreme.default
    _extreme_winners = torch.ops.poolkit.sequence_extreme_winners.default
    _extreme_backward = torch.ops.poolkit.sequence_extreme_backward.default
    _statistics = torch.ops.poolkit.sequence_statistics.default
    _statistics_backward = torch.ops.poolkit.sequence_statistics_backward.default
    _largest = torch.ops.poolkit.sequence_largest.default
    _largest_places = torch.ops.poolkit.sequence_largest_places.default
    _largest_backward = torch.ops.poolkit.sequence_largest_backward.default


def _runs_kernel(x: Tensor, kernel: str = "sequences") -> bool:
    return HAS_KERNELS and ops.why_no_kernel(x, kernel) is None


def _wants_gradient(x: Tensor) -> bool:
    return x.requires_grad and torch.is_grad_enabled()


def order_of(x: Tensor) -> list[int]:
    """The order in which the dimensions of x lie in memory, as far as kernels keep it."""
    if x.stride(1) != 1 or x.shape[1] == 1:
        return [0, 1, 2]
    return [0, 2, 1] if x.stride(0) >= x.stride(2) else [2, 0, 1]


def as_input(grad_x: Tensor, order: list[int]) -> Tensor:
    """The gradient (N, C, L), whose dimensions came in this order."""
    return grad_x.permute([order.index(dim) for dim in range(3)])


def _only_valid(spread: Tensor, valid: Tensor | None) -> Tensor:
    return spread if valid is None else torch.where(valid[:, None], spread, 0)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, valid: Tensor | None) -> Tensor:
        ctx.save_for_backward(valid)
        ctx.dtype, ctx.steps, ctx.order = x.dtype, x.shape[2], order_of(x)
        return cast(Tensor, _sum(x, valid))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (valid,) = ctx.saved_tensors
        grad = grads[0].to(ctx.dtype)
        if torch.is_grad_enabled():
            return _only_valid(grad[..., None].expand(*grad.shape, ctx.steps), valid), None
        return as_input(_sum_backward(grad, valid, ctx.steps, ctx.order), ctx.order), None


def total(sequences: Sequences) -> Tensor:
    """The sum over the valid steps, (N, C); 0 of none."""
    x, valid, _ = sequences
    if not _runs_kernel(x):
        return sequence_reference.total(sequences)
    return cast(Tensor, _Sum.apply(x, valid) if _wants_gradient(x) else _sum(x, valid))


class _Extreme(torch.autograd.Function):
    """Keeps the winners."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, valid: Tensor | None, largest: bool) -> Tensor:
        y, winners = _extreme_winners(x, valid, largest)
        ctx.save_for_backward(valid, winners)
        ctx.steps, ctx.order = x.shape[2], order_of(x)
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        valid, winners = ctx.saved_tensors
        grad = grads[0]
        if torch.is_grad_enabled():
            zeros = grad.new_zeros(*grad.shape, ctx.steps)
            return _only_valid(zeros.scatter(2, winners[..., None], grad[..., None]), valid), None, None
        grad_x = _extreme_backward(grad, winners, valid, ctx.steps, ctx.order)
        return as_input(grad_x, ctx.order), None, None


def extreme(sequences: Sequences, largest: bool) -> Tensor:
    """The largest or smallest value of the valid steps, (N, C); anything of none."""
    x, valid, _ = sequences
    if not _runs_kernel(x):
        return sequence_reference.extreme(sequences, largest)
    return cast(Tensor, (_Extreme.apply if _wants_gradient(x) else _extreme)(x, valid, largest))


class _Statistics(torch.autograd.Function):
    """Keeps input and output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, valid: Tensor | None, unbiased: bool, eps: float) -> Tensor:
        y = _statistics(x, valid, unbiased, eps)
        ctx.save_for_backward(x, y, valid)
        ctx.unbiased, ctx.eps, ctx.order = unbiased, eps, order_of(x)
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        x, y, valid = ctx.saved_tensors
        if torch.is_grad_enabled():
            [grad_x] = reference.differentiated(
                lambda x: sequence_reference.statistics(Sequences(x, valid, True), ctx.unbiased, ctx.eps), [x], grads[0]
            )
        else:
            grad_x = as_input(_statistics_backward(grads[0], x, y, valid, ctx.unbiased, ctx.order), ctx.order)
        return grad_x, None, None, None


def statistics(sequences: Sequences, unbiased: bool, eps: float) -> Tensor:
    """Mean and standard deviation over the valid steps, (N, 2C); anything of none."""
    x, valid, _ = sequences
    if not _runs_kernel(x):
        return sequence_reference.statistics(sequences, unbiased, eps)
    return cast(Tensor, (_Statistics.apply if _wants_gradient(x) else _statistics)(x, valid, unbiased, float(eps)))


class _Largest(torch.autograd.Function):
    """Keeps the places."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: Tensor, counts: Tensor, k: int, by_value: bool) -> Tensor:
        y, places = _largest_places(x, lengths, counts, k, by_value)
        ctx.save_for_backward(places, counts)
        ctx.steps = x.shape[2]
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        places, counts = ctx.saved_tensors
        grad = grads[0]
        if torch.is_grad_enabled():
            kept = torch.arange(grad.shape[2], device=grad.device) < counts[:, None, None]
            zeros = grad.new_zeros(*grad.shape[:2], ctx.steps)
            taken = zeros.scatter_add(2, places.long().masked_fill(~kept, 0), grad.masked_fill(~kept, 0))
            return taken, None, None, None, None
        return _largest_backward(grad, places, counts, ctx.steps), None, None, None, None


def largest(x: Tensor, k: int, lengths: Tensor, counts: Tensor, by_value: bool) -> Tensor:
    """The `counts` largest of the first `lengths` steps of each row of (N, C, L), and zeros up to k."""
    if not _runs_kernel(x, "largest_steps"):
        return sequence_reference.largest(x, k, lengths, counts, by_value)
    run = _Largest.apply if _wants_gradient(x) else _largest
    return cast(Tensor, run(x, lengths, counts, k, by_value))


def mean_by_logits(sequences: Sequences, logits: Tensor) -> Tensor:
    """The mean over the valid steps, weighted by the exponentials of logits (N, C, L), (N, C); 0 of none.

    Padded steps must be finite; their logits may be anything.
    """
    x, valid, _ = sequences
    if valid is not None:
        logits = torch.where(valid[:, None], logits, -math.inf)
    # Maps of one row: those may lie in memory with their channels last, as steps in layout (N, L, C) do.
    windows = geometry.adaptive(2, (1, x.shape[2]), 1)
    return ops.pool_by_logits(x.unsqueeze(2), logits.unsqueeze(2), windows)[..., 0, 0]


def _register_fakes() -> None:
    """What the compiler needs: the results' shapes, dtypes and layouts, without the results."""

    def result(x: Tensor, count: int = 1) -> Tensor:
        sizes = (x.shape[0], count * x.shape[1])
        return x.new_empty(sizes, dtype=torch.promote_types(x.dtype, torch.float32))

    def input_gradient(like: Tensor, sizes: list[int], order: list[int]) -> Tensor:
        return like.new_empty([sizes[dim] for dim in order])

    def sequence_sum(x: Tensor, valid: Tensor | None) -> Tensor:
        return result(x)

    def sequence_sum_backward(grad: Tensor, valid: Tensor | None, steps: int, order: list[int]) -> Tensor:
        return input_gradient(grad, [*grad.shape, steps], order)

    def sequence_extreme(x: Tensor, valid: Tensor | None, largest: bool) -> Tensor:
        return x.new_empty(x.shape[:2])

    def sequence_extreme_winners(x: Tensor, valid: Tensor | None, largest: bool) -> tuple[Tensor, Tensor]:
        return x.new_empty(x.shape[:2]), x.new_empty(x.shape[:2], dtype=torch.int64)

    def sequence_extreme_backward(
        grad: Tensor, winners: Tensor, valid: Tensor | None, steps: int, order: list[int]
    ) -> Tensor:
        return input_gradient(grad, [*grad.shape, steps], order)

    def sequence_statistics(x: Tensor, valid: Tensor | None, unbiased: bool, eps: float) -> Tensor:
        return result(x, 2)

    def sequence_statistics_backward(
        grad: Tensor, x: Tensor, y: Tensor, valid: Tensor | None, unbiased: bool, order: list[int]
    ) -> Tensor:
        return input_gradient(x, list(x.shape), order)

    def sequence_largest(x: Tensor, lengths: Tensor, counts: Tensor, k: int, by_value: bool) -> Tensor:
        return x.new_empty((*x.shape[:2], k))

    def sequence_largest_places(
        x: Tensor, lengths: Tensor, counts: Tensor, k: int, by_value: bool
    ) -> tuple[Tensor, Tensor]:
        return x.new_empty((*x.shape[:2], k)), x.new_empty((*x.shape[:2], k), dtype=torch.int32)

    def sequence_largest_backward(grad: Tensor, places: Tensor, counts: Tensor, steps: int) -> Tensor:
        return grad.new_empty((*grad.shape[:2], steps))

    for fake in (
        sequence_sum,
        sequence_sum_backward,
        sequence_extreme,
        sequence_extreme_winners,
        sequence_extreme_backward,
        sequence_statistics,
        sequence_statistics_backward,
        sequence_largest,
        sequence_largest_places,
        sequence_largest_backward,
    ):
        torch.library.register_fake(f"poolkit::{fake.__name__}", fake)


if HAS_KERNELS:
    _register_fakes()
