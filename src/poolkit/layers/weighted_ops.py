"""The operators behind means over time that weigh the steps: which code runs, and its gradient.

Results have the type that they are computed in: float32 for half precision. Kernels compute the weights again for the
gradient; of the size of the input they keep and make nothing else.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from poolkit import ops, reference
from poolkit.layers import weighted_reference
from poolkit.layers.sequence_ops import as_input, order_of
from poolkit.layers.steps import Sequences

HAS_KERNELS = ops.HAS_KERNELS
if HAS_KERNELS:
    _auto = torch.ops.poolkit.sequence_auto.default
    _auto_backward = torch.ops.poolkit.sequence_auto_backward.default
    _attentive = torch.ops.poolkit.sequence_attentive.default
    _attentive_backward = torch.ops.poolkit.sequence_attentive_backward.default
    _linear_softmax = torch.ops.poolkit.sequence_linear_softmax.default
    _linear_softmax_backward = torch.ops.poolkit.sequence_linear_softmax_backward.default


def _runs_kernel(*tensors: Tensor) -> bool:
    return HAS_KERNELS and all(ops.why_no_kernel(x, "weighted_steps") is None for x in tensors)


def _wants_gradient(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


class _Auto(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slopes: Tensor, valid: Tensor | None) -> Tensor:
        y, kept = _auto(x, slopes, valid, ctx.needs_input_grad[1])
        ctx.save_for_backward(x, slopes, kept, valid)
        ctx.order = order_of(x)
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, slopes, kept, valid = ctx.saved_tensors
        if torch.is_grad_enabled():
            grad_x, grad_slopes = reference.differentiated(
                lambda x, slopes: weighted_reference.auto(Sequences(x, valid, True), slopes), [x, slopes], grads[0]
            )
            return grad_x, grad_slopes, None
        of_x, of_slopes = ctx.needs_input_grad[:2]
        *_, variance = kept.chunk(4, 1)
        return (
            as_input(_auto_backward(grads[0], x, slopes, kept, valid, ctx.order), ctx.order) if of_x else None,
            (grads[0] * variance).sum(0) if of_slopes else None,
            None,
        )


def auto(sequences: Sequences, alpha: Tensor) -> Tensor:
    """The mean over the valid steps under the softmax of alpha (C,), (1,) or () times the steps; anything of none."""
    x, valid, _ = sequences
    # With the largest number for infinity, ties still weigh the same and all others nothing.
    limit = torch.finfo(alpha.dtype).max
    slopes = alpha.clamp(-limit, limit).expand(x.shape[1])
    if not _runs_kernel(x, alpha):
        return weighted_reference.auto(sequences, slopes)
    if _wants_gradient(x, slopes):
        return cast(Tensor, _Auto.apply(x, slopes, valid))
    return cast(Tensor, _auto(x, slopes, valid, False)[0])


class _Attentive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scores: Tensor, valid: Tensor | None) -> Tensor:
        y, kept = _attentive(x, scores, valid)
        ctx.save_for_backward(x, scores, y, kept, valid)
        ctx.order = order_of(x)
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, scores, y, kept, valid = ctx.saved_tensors
        if torch.is_grad_enabled():
            grad_x, grad_scores = reference.differentiated(
                lambda x, scores: weighted_reference.moments(Sequences(x, valid, True), scores), [x, scores], grads[0]
            )
            return grad_x, grad_scores, None
        grad_x, grad_scores = _attentive_backward(grads[0], x, scores, y, kept, valid, ctx.order)
        shared = grad_scores.dim() == 2
        grad_scores = grad_scores[:, None].to(x.dtype) if shared else as_input(grad_scores, ctx.order)
        return as_input(grad_x, ctx.order), grad_scores, None


def _lying_as(scores: Tensor, x: Tensor) -> Tensor:
    """The scores, their dimensions in memory as those of x."""
    order = [0, 1, 2] if scores.shape[1] == 1 else order_of(x)
    return as_input(scores.permute(order).contiguous(), order)


def moments(sequences: Sequences, scores: Tensor) -> Tensor:
    """Mean and variance over the valid steps under the softmax of scores, (N, C, L) or (N, 1, L): (N, 2C); anything of
    none."""
    x, valid, _ = sequences
    if not _runs_kernel(x, scores):
        return weighted_reference.moments(sequences, scores)
    common = torch.promote_types(x.dtype, scores.dtype)
    x, scores = x.to(common), scores.to(common)
    scores = _lying_as(scores, x)
    if _wants_gradient(x, scores):
        return cast(Tensor, _Attentive.apply(x, scores, valid))
    return cast(Tensor, _attentive(x, scores, valid)[0])


class _LinearSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, valid: Tensor | None) -> Tensor:
        y, totals = _linear_softmax(x, valid)
        ctx.save_for_backward(x, y, totals, valid)
        ctx.order = order_of(x)
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None]:
        x, y, totals, valid = ctx.saved_tensors
        if torch.is_grad_enabled():
            [grad_x] = reference.differentiated(
                lambda x: weighted_reference.linear_softmax(Sequences(x, valid, True)), [x], grads[0]
            )
            return grad_x, None
        return as_input(_linear_softmax_backward(grads[0], x, y, totals, valid, ctx.order), ctx.order), None


def linear_softmax(sequences: Sequences) -> Tensor:
    """The sum of squares over the sum of the valid steps, (N, C); 0 where the sum is."""
    x, valid, _ = sequences
    if not _runs_kernel(x):
        return weighted_reference.linear_softmax(sequences)
    if _wants_gradient(x):
        return cast(Tensor, _LinearSoftmax.apply(x, valid))
    return cast(Tensor, _linear_softmax(x, valid)[0])


def _register_fakes() -> None:
    """What the compiler needs: the results' shapes, dtypes and layouts, without the results."""

    def results(x: Tensor, count: int) -> Tensor:
        return x.new_empty((x.shape[0], count * x.shape[1]), dtype=torch.promote_types(x.dtype, torch.float32))

    def input_gradient(x: Tensor, order: list[int]) -> Tensor:
        return x.new_empty([x.shape[dim] for dim in order])

    def sequence_auto(x: Tensor, slopes: Tensor, valid: Tensor | None, variance: bool) -> tuple[Tensor, Tensor]:
        return results(x, 1), results(x, 4)

    def sequence_auto_backward(
        grad: Tensor, x: Tensor, slopes: Tensor, kept: Tensor, valid: Tensor | None, order: list[int]
    ) -> Tensor:
        return input_gradient(x, order)

    def sequence_attentive(x: Tensor, scores: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        return results(x, 2), results(x, 2)

    def sequence_attentive_backward(
        grad: Tensor, x: Tensor, scores: Tensor, y: Tensor, kept: Tensor, valid: Tensor | None, order: list[int]
    ) -> tuple[Tensor, Tensor]:
        shared = scores.shape[1] == 1 and x.shape[1] > 1
        return input_gradient(x, order), (
            kept.new_empty((x.shape[0], x.shape[2])) if shared else input_gradient(x, order)
        )

    def sequence_linear_softmax(x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        return results(x, 1), results(x, 1)

    def sequence_linear_softmax_backward(
        grad: Tensor, x: Tensor, y: Tensor, totals: Tensor, valid: Tensor | None, order: list[int]
    ) -> Tensor:
        return input_gradient(x, order)

    for fake in (
        sequence_auto,
        sequence_auto_backward,
        sequence_attentive,
        sequence_attentive_backward,
        sequence_linear_softmax,
        sequence_linear_softmax_backward,
    ):
        torch.library.register_fake(f"poolkit::{fake.__name__}", fake)


if HAS_KERNELS:
    _register_fakes()
