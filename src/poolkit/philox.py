"""Random numbers by counting, as the kernels draw them: Philox4x32-10 in tensors of any device.

Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LOW = 0xFFFFFFFF


def _word(seed: Tensor, index: Tensor) -> Tensor:
    """One 32-bit word for each index: word ``index % 4`` of the block that the counter ``index // 4`` gives."""
    block = index >> 2
    a, b, c, d = block & _LOW, block >> 32, torch.zeros_like(block), torch.zeros_like(block)
    key_a, key_b = seed & _LOW, (seed >> 32) & _LOW
    for _ in range(10):
        # Products of two words wrap, and their bits are right all the same.
        x, y = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = ((y >> 32) & _LOW) ^ b ^ key_a, y & _LOW, ((x >> 32) & _LOW) ^ d ^ key_b, x & _LOW
        key_a, key_b = (key_a + 0x9E3779B9) & _LOW, (key_b + 0xBB67AE85) & _LOW
    even, odd = torch.where(index & 2 == 0, a, c), torch.where(index & 2 == 0, b, d)
    return torch.where(index & 1 == 0, even, odd)


def uniform(seed: Tensor, shape: torch.Size, device: torch.device) -> Tensor:
    """Numbers in [0, 1), one for each element by its place in a contiguous tensor: float64 with 24 random bits."""
    index = torch.arange(shape.numel(), dtype=torch.int64, device=device)
    return ((_word(seed.to(device), index) >> 8).double() * 2.0**-24).view(shape)
