"""What all launches share: how many cells a program computes, in which types, and how arrays lie in memory."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Cells of four bytes that one program computes: enough for each thread to store 16 bytes at once.
BLOCK = 512
#: Cells of a block of whole planes, and the most of one plane among them.
TILE = 2048
LONGEST = 1024
WARPS = 4
#: Numbers of cells that 32 bits can count.
LARGEST = 2**31 - 2 * BLOCK

_ACCUMULATORS = {
    torch.float64: tl.float64,
    torch.float32: tl.float32,
    torch.float16: tl.float32,
    torch.bfloat16: tl.float32,
    torch.int64: tl.int64,
}


def accumulator(dtype: torch.dtype) -> Any:
    """The type that values of this one are computed in."""
    return _ACCUMULATORS.get(dtype, tl.int32)


def block_of(result: Tensor, total: int) -> int:
    """How many cells a program computes: few programs for few cells, and 16 bytes a thread, if not of bytes."""
    return min(BLOCK * 4 // max(result.itemsize, 2), triton.next_power_of_2(total))


def tile_of(neighbours: int, cells: int, side_by_side: bool) -> tuple[int, int]:
    """How many of these neighbours, and how many cells of each, a block goes over together; cells or neighbours lie
    side by side in memory."""
    if side_by_side:  # at least a cache line of neighbours
        together = min(triton.next_power_of_2(neighbours), 64)
        return together, min(triton.next_power_of_2(cells), LONGEST, max(TILE // together, 1))
    length = min(triton.next_power_of_2(cells), LONGEST)
    return min(triton.next_power_of_2(neighbours), max(TILE // length, 1)), length


def is_wide(*tensors: Tensor) -> bool:
    """Whether offsets into one of these tensors may need 64 bits."""
    reach = (sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True)) for x in tensors if x.numel())
    return max(reach, default=0) >= LARGEST


def on(x: Tensor) -> Any:
    """Makes x's device the current one: launches go there."""
    module = getattr(torch, x.device.type)
    return module.device(x.device) if hasattr(module, "device") and not x.is_cpu else contextlib.nullcontext()
