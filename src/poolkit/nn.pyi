# Written by tools/stubs.py from the table of methods: do not edit.
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from poolkit.geometry import Padding, Size
from poolkit.layers.regions import RoIAlign as RoIAlign, RoIPool as RoIPool

class Pool(torch.nn.Module):
    def __init__(self, method: str, *, rank: int | None = None, **arguments: Any) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class MaxPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    return_indices: bool
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class MaxPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    return_indices: bool
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class MaxPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    return_indices: bool
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMaxPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMaxPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMaxPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class GlobalMaxPool1d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMaxPool2d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMaxPool3d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class MinPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    return_indices: bool
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class MinPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    return_indices: bool
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class MinPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    return_indices: bool
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMinPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMinPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMinPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class GlobalMinPool1d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMinPool2d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMinPool3d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AvgPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None
    dilation: Size
    dtype: torch.dtype | None
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None, dilation: Size = 1, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AvgPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None
    dilation: Size
    dtype: torch.dtype | None
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None, dilation: Size = 1, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AvgPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None
    dilation: Size
    dtype: torch.dtype | None
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None, dilation: Size = 1, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveAvgPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    dtype: torch.dtype | None
    def __init__(self, output_size: int | None | Sequence[int | None], *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveAvgPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    dtype: torch.dtype | None
    def __init__(self, output_size: int | None | Sequence[int | None], *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveAvgPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    dtype: torch.dtype | None
    def __init__(self, output_size: int | None | Sequence[int | None], *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalAvgPool1d(torch.nn.Module):
    keepdim: bool
    dtype: torch.dtype | None
    def __init__(self, keepdim: bool = True, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalAvgPool2d(torch.nn.Module):
    keepdim: bool
    dtype: torch.dtype | None
    def __init__(self, keepdim: bool = True, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalAvgPool3d(torch.nn.Module):
    keepdim: bool
    dtype: torch.dtype | None
    def __init__(self, keepdim: bool = True, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class SumPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    dtype: torch.dtype | None
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class SumPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    dtype: torch.dtype | None
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class SumPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    dtype: torch.dtype | None
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveSumPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    dtype: torch.dtype | None
    def __init__(self, output_size: int | None | Sequence[int | None], *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveSumPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    dtype: torch.dtype | None
    def __init__(self, output_size: int | None | Sequence[int | None], *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveSumPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    dtype: torch.dtype | None
    def __init__(self, output_size: int | None | Sequence[int | None], *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalSumPool1d(torch.nn.Module):
    keepdim: bool
    dtype: torch.dtype | None
    def __init__(self, keepdim: bool = True, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalSumPool2d(torch.nn.Module):
    keepdim: bool
    dtype: torch.dtype | None
    def __init__(self, keepdim: bool = True, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalSumPool3d(torch.nn.Module):
    keepdim: bool
    dtype: torch.dtype | None
    def __init__(self, keepdim: bool = True, *, dtype: torch.dtype | None = None) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class LPPool1d(torch.nn.Module):
    norm_type: float
    kernel_size: Size
    stride: Size | None
    ceil_mode: bool
    padding: Padding
    dilation: Size
    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False, padding: Padding = 0, dilation: Size = 1) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class LPPool2d(torch.nn.Module):
    norm_type: float
    kernel_size: Size
    stride: Size | None
    ceil_mode: bool
    padding: Padding
    dilation: Size
    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False, padding: Padding = 0, dilation: Size = 1) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class LPPool3d(torch.nn.Module):
    norm_type: float
    kernel_size: Size
    stride: Size | None
    ceil_mode: bool
    padding: Padding
    dilation: Size
    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False, padding: Padding = 0, dilation: Size = 1) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveLPPool1d(torch.nn.Module):
    norm_type: float
    output_size: int | None | Sequence[int | None]
    def __init__(self, norm_type: float, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveLPPool2d(torch.nn.Module):
    norm_type: float
    output_size: int | None | Sequence[int | None]
    def __init__(self, norm_type: float, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveLPPool3d(torch.nn.Module):
    norm_type: float
    output_size: int | None | Sequence[int | None]
    def __init__(self, norm_type: float, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalLPPool1d(torch.nn.Module):
    norm_type: float
    keepdim: bool
    def __init__(self, norm_type: float, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalLPPool2d(torch.nn.Module):
    norm_type: float
    keepdim: bool
    def __init__(self, norm_type: float, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalLPPool3d(torch.nn.Module):
    norm_type: float
    keepdim: bool
    def __init__(self, norm_type: float, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class PowerAvgPool1d(torch.nn.Module):
    norm_type: float
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    count_include_pad: bool
    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class PowerAvgPool2d(torch.nn.Module):
    norm_type: float
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    count_include_pad: bool
    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class PowerAvgPool3d(torch.nn.Module):
    norm_type: float
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    count_include_pad: bool
    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptivePowerAvgPool1d(torch.nn.Module):
    norm_type: float
    output_size: int | None | Sequence[int | None]
    def __init__(self, norm_type: float, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptivePowerAvgPool2d(torch.nn.Module):
    norm_type: float
    output_size: int | None | Sequence[int | None]
    def __init__(self, norm_type: float, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptivePowerAvgPool3d(torch.nn.Module):
    norm_type: float
    output_size: int | None | Sequence[int | None]
    def __init__(self, norm_type: float, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalPowerAvgPool1d(torch.nn.Module):
    norm_type: float
    keepdim: bool
    def __init__(self, norm_type: float, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalPowerAvgPool2d(torch.nn.Module):
    norm_type: float
    keepdim: bool
    def __init__(self, norm_type: float, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalPowerAvgPool3d(torch.nn.Module):
    norm_type: float
    keepdim: bool
    def __init__(self, norm_type: float, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AvgMaxPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    mode: str
    scale: float
    count_include_pad: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, mode: str = 'add', scale: float = 0.5, count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AvgMaxPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    mode: str
    scale: float
    count_include_pad: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, mode: str = 'add', scale: float = 0.5, count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AvgMaxPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    mode: str
    scale: float
    count_include_pad: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, mode: str = 'add', scale: float = 0.5, count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveAvgMaxPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    mode: str
    scale: float
    def __init__(self, output_size: int | None | Sequence[int | None], mode: str = 'add', scale: float = 0.5) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveAvgMaxPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    mode: str
    scale: float
    def __init__(self, output_size: int | None | Sequence[int | None], mode: str = 'add', scale: float = 0.5) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveAvgMaxPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    mode: str
    scale: float
    def __init__(self, output_size: int | None | Sequence[int | None], mode: str = 'add', scale: float = 0.5) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalAvgMaxPool1d(torch.nn.Module):
    mode: str
    scale: float
    keepdim: bool
    def __init__(self, mode: str = 'add', scale: float = 0.5, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalAvgMaxPool2d(torch.nn.Module):
    mode: str
    scale: float
    keepdim: bool
    def __init__(self, mode: str = 'add', scale: float = 0.5, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalAvgMaxPool3d(torch.nn.Module):
    mode: str
    scale: float
    keepdim: bool
    def __init__(self, mode: str = 'add', scale: float = 0.5, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class MaxUnpool1d(torch.nn.Module):
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None: ...
    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor: ...

class MaxUnpool2d(torch.nn.Module):
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None: ...
    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor: ...

class MaxUnpool3d(torch.nn.Module):
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None: ...
    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor: ...
