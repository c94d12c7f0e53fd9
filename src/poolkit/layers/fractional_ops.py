"""The operators behind fractional max pooling: which code runs, and its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from poolkit import layout, ops
from poolkit.layers import fractional_reference
from poolkit.layers.fractional_reference import Regions

if ops.HAS_KERNELS:
    _max = torch.ops.poolkit.fractional_max.default
    _max_winners = torch.ops.poolkit.fractional_max_winners.default
    _max_backward = torch.ops.poolkit.fractional_max_backward.default


def _runs_kernel(x: Tensor) -> bool:
    if ops.why_no_kernel(x, "fractional") is not None:
        return False
    return torch.compiler.is_compiling() or math.prod(x.shape[2:]) < 2**30


class _Pool(torch.autograd.Function):
    """Keeps the winners."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, first: Tensor, last: Tensor, output_size: list[int], longest: list[int]
    ) -> tuple[Tensor, Tensor]:
        y, winners = _max_winners(x, first, last, output_size, longest)
        ctx.save_for_backward(winners)
        ctx.mark_non_differentiable(winners)
        ctx.input_size = list(x.shape[2:])
        return y, winners

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        [winners] = ctx.saved_tensors
        grad, size = grads[0], ctx.input_size
        if not torch.is_grad_enabled():
            return _max_backward(grad, winners, size), None, None, None, None
        zeros = grad.new_zeros(*grad.shape[:2], math.prod(size))
        added = zeros.scatter_add(2, winners.to(torch.int64).flatten(2), grad.flatten(2))
        return added.view(*grad.shape[:2], *size), None, None, None, None


def pool(x: Tensor, regions: Sequence[Regions], with_positions: bool) -> tuple[Tensor, Tensor | None]:
    """The largest cell of each region of (N, C, *spatial), and if wanted where in its plane it stands."""
    if not _runs_kernel(x):
        y, positions = fractional_reference.pool(x, regions)
        return y, positions if with_positions else None
    first, last = torch.cat([axis.first for axis in regions], -1), torch.cat([axis.last for axis in regions], -1)
    given = (x, first, last, [axis.first.shape[-1] for axis in regions], [axis.longest for axis in regions])
    if x.requires_grad and torch.is_grad_enabled():
        y, winners = _Pool.apply(*given)
    elif with_positions:
        y, winners = _max_winners(*given)
    else:
        return cast(Tensor, _max(*given)), None
    return y, winners.to(torch.int64) if with_positions else None


def _register_fakes() -> None:
    """What the compiler needs: the results' shapes and dtypes, without the results."""

    def fractional_max(x: Tensor, first: Tensor, last: Tensor, output_size: list[int], longest: list[int]) -> Tensor:
        return x.new_empty((*x.shape[:2], *output_size))

    def fractional_max_winners(
        x: Tensor, first: Tensor, last: Tensor, output_size: list[int], longest: list[int]
    ) -> tuple[Tensor, Tensor]:
        y = fractional_max(x, first, last, output_size, longest)
        return y, y.new_empty(y.shape, dtype=layout.position_dtype(math.prod(x.shape[2:])))

    def fractional_max_backward(grad: Tensor, winners: Tensor, input_size: list[int]) -> Tensor:
        return grad.new_empty((*grad.shape[:2], *input_size))

    for fake in (fractional_max, fractional_max_winners, fractional_max_backward):
        torch.library.register_fake(f"poolkit::{fake.__name__}", fake)


if ops.HAS_KERNELS:
    _register_fakes()
