"""Small models, and modules with the names and the behaviour of timm's."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def lenet(pool: nn.Module | None = None) -> nn.Sequential:
    """On (N, 1, 28, 28); `pool` stands in both places where there is one."""
    first, second = (pool, pool) if pool is not None else (nn.MaxPool2d(2), nn.MaxPool2d(2))
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2),
        nn.ReLU(),
        first,
        nn.Conv2d(4, 8, 5),
        nn.ReLU(),
        second,
        nn.Flatten(),
        nn.Linear(8 * 5 * 5, 10),
    )


class Functional(nn.Module):
    """Pools by functions and reductions; on (N, 3, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.block = Block(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 3, stride=2, padding=1)
        x = F.avg_pool2d(self.block(x), 2, ceil_mode=True)
        return self.head(x.mean((2, 3)))


class Block(nn.Module):
    """A convolution with a gate that a mean decides, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + y * self.gate(y.mean((2, 3), keepdim=True)).sigmoid()


# --- By the names that timm gives them


class FastAdaptiveAvgPool(nn.Module):
    def __init__(self, flatten: bool, input_fmt: str) -> None:
        super().__init__()
        self.flatten, self.dim = flatten, (1, 2) if input_fmt == "NHWC" else (2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.dim, keepdim=not self.flatten)


class AdaptiveCatAvgMaxPool2d(nn.Module):
    def __init__(self, output_size: int = 1) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((F.adaptive_avg_pool2d(x, self.output_size), F.adaptive_max_pool2d(x, self.output_size)), 1)


class SelectAdaptivePool2d(nn.Module):
    def __init__(self, pool_type: str = "avg", flatten: bool = True, input_fmt: str = "NCHW") -> None:
        super().__init__()
        self.pool_type = pool_type
        self.flatten: nn.Module = nn.Identity()
        self.pool: nn.Module
        if pool_type == "fast" or input_fmt == "NHWC":
            self.pool = FastAdaptiveAvgPool(flatten, input_fmt)
        elif pool_type == "catavgmax":
            self.pool = AdaptiveCatAvgMaxPool2d()
        else:
            self.pool = nn.AdaptiveAvgPool2d(1) if pool_type else nn.Identity()
        if flatten and not isinstance(self.pool, FastAdaptiveAvgPool):
            self.flatten = nn.Flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.flatten(self.pool(x))
        return result


def padded(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], value: float) -> Tensor:
    amounts = []
    for size, k, s in zip(reversed(x.shape[-2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((math.ceil(size / s) - 1) * s + k - size, 0)
        amounts += [total // 2, total - total // 2]
    return F.pad(x, amounts, value=value)


class AvgPool2dSame(nn.AvgPool2d):
    def __init__(self, kernel_size: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__(kernel_size, stride, (0, 0))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(padded(x, self.kernel_size, self.stride, 0.0))  # type: ignore[arg-type]


class MaxPool2dSame(nn.MaxPool2d):
    def __init__(self, kernel_size: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__(kernel_size, stride, (0, 0))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(padded(x, self.kernel_size, self.stride, -math.inf))  # type: ignore[arg-type]


class BlurPool2d(nn.Module):
    def __init__(self, channels: int, filt_size: int = 3, stride: int = 2, pad_mode: str = "reflect") -> None:
        super().__init__()
        self.channels, self.filt_size, self.stride, self.pad_mode = channels, filt_size, stride, pad_mode
        row = torch.tensor([math.comb(filt_size - 1, i) for i in range(filt_size)]) / 2 ** (filt_size - 1)
        self.register_buffer("filt", torch.outer(row, row).expand(channels, 1, -1, -1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        side = (self.stride + self.filt_size - 2) // 2
        x = F.pad(x, (side,) * 4, mode=self.pad_mode)
        return F.conv2d(x, self.get_buffer("filt"), stride=self.stride, groups=self.channels)
