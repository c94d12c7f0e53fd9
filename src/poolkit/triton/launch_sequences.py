"""Runs the kernels of sequences.py: the operators of pooling over time, with the same arguments, on a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from poolkit.triton import DTYPES, device
from poolkit.triton import sequences as _sequences

_ORDERS = ([0, 1, 2], [0, 2, 1], [2, 0, 1])


def _check(like: Tensor, sizes: Sequence[int], valid: Tensor | None) -> None:
    if like.dtype not in DTYPES["sequences"]:
        raise RuntimeError(f"poolkit: sequences are floating point, but got {like.dtype}")
    if len(sizes) != 3 or min(sizes[1:]) < 1 or sizes[2] >= 2**30:
        raise RuntimeError("poolkit: sequences must be (N, C, L) with a channel, and steps from 1 to 2^30 - 1")
    if valid is None:
        return
    fits = valid.dtype == torch.bool and tuple(valid.shape) == (sizes[0], sizes[2])
    if not fits or valid.device != like.device:
        raise RuntimeError("poolkit: valid must be a bool tensor of shape (N, L) on the device of the sequences")


def _checked_result(y: Tensor, like: Tensor, dtype: torch.dtype, count: int = 1) -> Tensor:
    """A result of these sequences (N, C, L), or its gradient."""
    if tuple(y.shape) != (like.shape[0], count * like.shape[1]) or y.dtype != dtype or y.device != like.device:
        raise RuntimeError(
            "poolkit: a result of these sequences, or its gradient, has the wrong shape, dtype or device"
        )
    return y.contiguous()


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _mask(valid: Tensor | None) -> tuple[Tensor | None, tuple[int, ...]]:
    """The valid steps as bytes, and their strides."""
    return (None, (0, 0)) if valid is None else (valid.view(torch.uint8), valid.stride())


def _pool(
    x: Tensor, valid: Tensor | None, method: Any, results: Sequence[Tensor], kind: int = 0, p: float = 0.0
) -> None:
    """Fill the results of a program over all rows: each result (N, C), its channels side by side."""
    batch, channels, steps = x.shape
    rows = batch * channels
    if rows == 0:
        return
    mask, mask_strides = _mask(valid)
    together, along = device.tile_of(rows, steps, channels > 1 and x.stride(1) == 1)
    with device.on(x):
        _sequences.pool[(triton.cdiv(rows, together),)](
            x,
            mask,
            results[0],
            results[1] if len(results) > 1 else None,
            rows,
            channels,
            steps,
            x.stride(),
            mask_strides,
            results[0].stride(0),
            p,
            METHOD=method,
            KIND=kind,
            ACC=device.accumulator(x.dtype),
            WIDE=device.is_wide(x, *results),
            ROWS=together,
            STEPS=along,
            num_warps=device.WARPS,
        )


def sequence_sum(x: Tensor, valid: Tensor | None) -> Tensor:
    _check(x, x.shape, valid)
    y = x.new_empty(x.shape[:2], dtype=_wide(x.dtype))
    _pool(x, valid, _sequences.total, [y])
    return y


def _extreme(x: Tensor, valid: Tensor | None, largest: bool, winners: Sequence[Tensor]) -> Tensor:
    y = x.new_empty(x.shape[:2])
    _pool(x, valid, _sequences.maximum if largest else _sequences.minimum, [y, *winners])
    return y


def sequence_extreme(x: Tensor, valid: Tensor | None, largest: bool) -> Tensor:
    _check(x, x.shape, valid)
    return _extreme(x, valid, largest, [])


def sequence_extreme_winners(x: Tensor, valid: Tensor | None, largest: bool) -> tuple[Tensor, Tensor]:
    _check(x, x.shape, valid)
    winners = x.new_empty(x.shape[:2], dtype=torch.int64)
    return _extreme(x, valid, largest, [winners]), winners


def sequence_statistics(x: Tensor, valid: Tensor | None, unbiased: bool, eps: float) -> Tensor:
    _check(x, x.shape, valid)
    if not 0 < eps < math.inf:
        raise RuntimeError(f"poolkit: eps must be finite and > 0, but got {eps}")
    y = x.new_empty((x.shape[0], 2 * x.shape[1]), dtype=_wide(x.dtype))
    _pool(x, valid, _sequences.statistics, y.chunk(2, 1), int(unbiased), eps)
    return y


def _gradient_like(like: Tensor, sizes: Sequence[int], order: Sequence[int]) -> Tensor:
    """The gradient of an input (N, C, L), its dimensions in the order that they have in memory."""
    if list(order) not in _ORDERS:
        raise RuntimeError(f"poolkit: order must be one of {_ORDERS}, but got {list(order)}")
    return like.new_empty([sizes[dim] for dim in order])


def _spread(grad: Tensor, winners: Tensor | None, valid: Tensor | None, steps: int, order: Sequence[int]) -> Tensor:
    """The gradient of rows for all valid steps, or for their winners."""
    sizes = [*grad.shape, steps]
    _check(grad, sizes, valid)
    grad_x = _gradient_like(grad, sizes, order)
    total = grad_x.numel()
    if total == 0:
        return grad_x
    mask, mask_strides = _mask(valid)
    block = device.block_of(grad_x, total)
    with device.on(grad):
        _sequences.gather[(triton.cdiv(total, block),)](
            grad.contiguous(),
            winners,
            mask,
            grad_x,
            total,
            *sizes,
            mask_strides,
            FIRST=order[0],
            LAST=order[2],
            WIDE=device.is_wide(grad_x),
            BLOCK=block,
            num_warps=device.WARPS,
        )
    return grad_x


def sequence_sum_backward(grad: Tensor, valid: Tensor | None, steps: int, order: Sequence[int]) -> Tensor:
    return _spread(grad, None, valid, steps, order)


def sequence_extreme_backward(
    grad: Tensor, winners: Tensor, valid: Tensor | None, steps: int, order: Sequence[int]
) -> Tensor:
    return _spread(grad, _checked_result(winners, grad, torch.int64), valid, steps, order)


def sequence_statistics_backward(
    grad: Tensor, x: Tensor, y: Tensor, valid: Tensor | None, unbiased: bool, order: Sequence[int]
) -> Tensor:
    _check(x, x.shape, valid)
    gradient, results = (_checked_result(each, x, _wide(x.dtype), 2) for each in (grad, y))
    grad_x = _gradient_like(x, x.shape, order)
    total = grad_x.numel()
    if total == 0:
        return grad_x
    mask, mask_strides = _mask(valid)
    block = device.block_of(grad_x, total)
    with device.on(x):
        _sequences.gather_statistics[(triton.cdiv(total, block),)](
            gradient,
            x,
            results,
            None if valid is None else valid.sum(1, dtype=torch.int32),
            mask,
            grad_x,
            total,
            *x.shape,
            x.stride(),
            mask_strides,
            KIND=int(unbiased),
            FIRST=order[0],
            LAST=order[2],
            ACC=device.accumulator(x.dtype),
            WIDE=device.is_wide(x, grad_x),
            BLOCK=block,
            num_warps=device.WARPS,
        )
    return grad_x
