"""Runs the kernels of unpool.py: the operators of max-unpooling, with the same arguments, for tensors of a GPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
from torch import Tensor

from poolkit.layout import format_of, is_channels_last
from poolkit.triton import DTYPES, device
from poolkit.triton import unpool as _unpool


def _check(cells: Tensor, indices: Tensor, volume: Sequence[int]) -> None:
    if cells.dtype not in DTYPES["max_unpool"]:
        raise RuntimeError(f"poolkit: there is no GPU kernel that unpools {cells.dtype}")
    if indices.dtype != torch.int64:
        raise RuntimeError("elements in indices should be type int64")
    if not 1 <= len(volume) <= 3 or indices.dim() - len(volume) not in (1, 2):
        raise RuntimeError(f"poolkit: indices of rank {indices.dim()} do not fit an output of rank {len(volume)}")
    if min(volume) < 0 or indices.device != cells.device:
        raise RuntimeError("poolkit: a negative output size, or indices on another device")


def _bytes(x: Tensor) -> Tensor:
    return x.view(torch.uint8) if x.dtype == torch.bool else x


def _writers(indices: Tensor, volume: Sequence[int], inner: int) -> Tensor:
    """The number of the last cell that writes to each position, -1 for none; indices lie as they are counted."""
    leading, cells = indices.shape[: -len(volume)], math.prod(indices.shape[-len(volume) :])
    positions = math.prod(volume)
    writers = torch.full((math.prod(leading) * positions,), -1, dtype=torch.int32, device=indices.device)
    bad = torch.zeros(1, dtype=torch.int32, device=indices.device)
    total = indices.numel()
    if total:
        block = device.block_of(indices, total)
        _unpool.mark[(triton.cdiv(total, block),)](
            indices,
            writers,
            bad,
            total,
            cells,
            positions,
            inner,
            WIDE=max(total, writers.numel()) > device.LARGEST,
            BLOCK=block,
            num_warps=device.WARPS,
        )
    if bool(bad):
        value = int(indices[(indices < 0) | (indices >= positions)][0])
        sizes = "x".join(map(str, volume))
        raise RuntimeError(f"Found an invalid max index: {value} (output volumes are of size {sizes})")
    return writers


def max_unpool(x: Tensor, indices: Tensor, output_size: Sequence[int]) -> Tensor:
    _check(x, indices, output_size)
    if x.shape != indices.shape:
        raise RuntimeError("Expected shape of indices to be that of the input")
    rank = len(output_size)
    last = is_channels_last(x, rank)
    memory_format, inner = format_of(last, rank), x.shape[1] if last else 1
    y = torch.empty((*x.shape[:-rank], *output_size), dtype=x.dtype, device=x.device, memory_format=memory_format)
    total = y.numel()
    with device.on(x):
        writers = _writers(indices.contiguous(memory_format=memory_format), output_size, inner)
        if total:
            block = device.block_of(y, total)
            _unpool.put[(triton.cdiv(total, block),)](
                _bytes(x.contiguous(memory_format=memory_format)),
                writers,
                _bytes(y),
                total,
                math.prod(x.shape[-rank:]),
                math.prod(output_size),
                inner,
                WIDE=max(total, x.numel()) > device.LARGEST,
                BLOCK=block,
                num_warps=device.WARPS,
            )
    return y


def max_unpool_backward(grad: Tensor, indices: Tensor, rank: int) -> Tensor:
    fits = 1 <= rank <= 3 and grad.dim() == indices.dim() and grad.shape[:-rank] == indices.shape[:-rank]
    if not fits or grad.dim() - rank not in (1, 2):
        raise RuntimeError("poolkit: grad and indices differ in shape")
    volume = grad.shape[-rank:]
    _check(grad, indices, volume)
    last = is_channels_last(indices, rank)
    memory_format, inner = format_of(last, rank), indices.shape[1] if last else 1
    grad_x = torch.empty(indices.shape, dtype=grad.dtype, device=grad.device, memory_format=memory_format)
    total = grad_x.numel()
    places = indices.contiguous(memory_format=memory_format)
    with device.on(grad):
        writers = _writers(places, volume, inner)
        if total:
            block = device.block_of(grad_x, total)
            _unpool.take[(triton.cdiv(total, block),)](
                _bytes(grad.contiguous(memory_format=memory_format)),
                places,
                writers,
                _bytes(grad_x),
                total,
                math.prod(indices.shape[-rank:]),
                math.prod(volume),
                inner,
                WIDE=max(total, grad.numel()) > device.LARGEST,
                BLOCK=block,
                num_warps=device.WARPS,
            )
    return grad_x
