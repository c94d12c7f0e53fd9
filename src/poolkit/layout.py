"""How maps lie in memory: channels first, or last in torch's sense."""

from __future__ import annotations

import torch
from torch import Tensor


def is_channels_last(x: Tensor, rank: int) -> bool:
    """Whether a batch of maps of this rank has its channels last, so that results have them last, too."""
    if rank == 1 or x.dim() != rank + 2 or x.is_contiguous():
        return False
    return torch._prims_common.suggest_memory_format(x) in (torch.channels_last, torch.channels_last_3d)


def format_of(channels_last: bool, rank: int) -> torch.memory_format:
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last if rank == 2 else torch.channels_last_3d


def empty(x: Tensor, sizes: list[int], dtype: torch.dtype, channels_last: bool, rank: int) -> Tensor:
    """Memory for a result on x's device."""
    return torch.empty(sizes, dtype=dtype, device=x.device, memory_format=format_of(channels_last, rank))


def position_dtype(cells: int) -> torch.dtype:
    """The smallest integer type that holds a position among so many cells."""
    if cells <= 2**8:
        return torch.uint8
    return torch.uint16 if cells <= 2**16 else torch.int32
