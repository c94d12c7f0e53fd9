"""Runs the kernels of segments.py: the operators of segments, with the same arguments, on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from poolkit.layers import packed
from poolkit.triton import DTYPES, device, segments, sequences


def _check(x: Tensor, offsets: Tensor, order: Tensor | None, rows: int) -> None:
    if x.dtype not in DTYPES["segments"]:
        raise RuntimeError(f"poolkit: rows are floating point, but got {x.dtype}")
    if x.dim() != 2:
        raise RuntimeError(f"poolkit: rows must be (total, C), but got {list(x.shape)}")
    for name, integers, least in (("offsets", offsets, 1), ("order", order, rows)):
        if integers is None:
            continue
        if integers.dtype != torch.int64 or integers.dim() != 1 or integers.device != x.device:
            raise RuntimeError(f"poolkit: {name} must be a row of int64 on the device of x")
        if integers.shape[0] < least:
            raise RuntimeError(f"poolkit: {name} must have {least} numbers or more, but got {integers.shape[0]}")


def _pool(x: Tensor, offsets: Tensor, order: Tensor | None, method: Any, results: Sequence[Tensor]) -> None:
    """Fill the results of a program over all segments."""
    number, channels = results[0].shape
    if number == 0 or channels == 0:
        return
    together, along = device.tile_of(channels, max(x.shape[0] // number, 1), channels > 1 and x.stride(1) == 1)
    with device.on(x):
        segments.pool[(number, triton.cdiv(channels, together))](
            x,
            offsets.contiguous(),
            order if order is None else order.contiguous(),
            results[0],
            results[1] if len(results) > 1 else None,
            channels,
            x.stride(),
            METHOD=method,
            ACC=device.accumulator(x.dtype),
            CHANNELS=together,
            STEPS=along,
            num_warps=device.WARPS,
        )


def segment_sum(x: Tensor, offsets: Tensor, order: Tensor | None) -> Tensor:
    _check(x, offsets, order, x.shape[0])
    y = x.new_empty((offsets.shape[0] - 1, x.shape[1]), dtype=torch.promote_types(x.dtype, torch.float32))
    _pool(x, offsets, order, sequences.total, [y])
    return y


def _extreme(x: Tensor, offsets: Tensor, order: Tensor | None, largest: bool, winners: Sequence[Tensor]) -> Tensor:
    y = x.new_empty((offsets.shape[0] - 1, x.shape[1]))
    _pool(x, offsets, order, sequences.maximum if largest else sequences.minimum, [y, *winners])
    return y


def segment_extreme(x: Tensor, offsets: Tensor, order: Tensor | None, largest: bool) -> Tensor:
    _check(x, offsets, order, x.shape[0])
    return _extreme(x, offsets, order, largest, [])


def segment_extreme_winners(x: Tensor, offsets: Tensor, order: Tensor | None, largest: bool) -> tuple[Tensor, Tensor]:
    _check(x, offsets, order, x.shape[0])
    winners = x.new_empty((offsets.shape[0] - 1, x.shape[1]), dtype=torch.int32)
    return _extreme(x, offsets, order, largest, [winners]), winners


def _spread(y: Tensor, winners: Tensor | None, offsets: Tensor, order: Tensor | None, rows: int) -> Tensor:
    _check(y, offsets, order, rows)
    if y.shape[0] != offsets.shape[0] - 1:
        raise RuntimeError(f"poolkit: there must be a row for each segment, but got {list(y.shape)}")
    x = y.new_empty((rows, y.shape[1]))
    total = x.numel()
    if total == 0:
        return x
    block = device.block_of(x, total)
    with device.on(y):
        segments.spread[(triton.cdiv(total, block),)](
            y.contiguous(),
            winners,
            offsets.contiguous(),
            packed.owners(offsets, None, rows),
            order if order is None else order.contiguous(),
            x,
            total,
            x.shape[1],
            WIDE=device.is_wide(x),
            BLOCK=block,
            num_warps=device.WARPS,
        )
    return x


def segment_spread(y: Tensor, offsets: Tensor, order: Tensor | None, rows: int) -> Tensor:
    return _spread(y, None, offsets, order, rows)


def segment_extreme_backward(grad: Tensor, winners: Tensor, offsets: Tensor, order: Tensor | None, rows: int) -> Tensor:
    if winners.dtype != torch.int32 or winners.shape != grad.shape or winners.device != grad.device:
        raise RuntimeError("poolkit: winners must be int32, of the gradient's shape and on its device")
    return _spread(grad, winners.contiguous(), offsets, order, rows)


def segment_order(index: Tensor, segments: int) -> tuple[Tensor, Tensor]:
    return packed.sort(index, segments)
