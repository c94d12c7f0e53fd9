# Written by tools/stubs.py from the table of methods: do not edit.
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from poolkit.geometry import Padding, Size
from poolkit.layers.attention import AdditiveAttentionPool as AdditiveAttentionPool
from poolkit.layers.attention import AttentionPool2d as AttentionPool2d
from poolkit.layers.attention import GatedAttentionPool as GatedAttentionPool
from poolkit.layers.attention import LatentAttentionPool as LatentAttentionPool
from poolkit.layers.attentive_statistics import AttentiveStatisticsPool as AttentiveStatisticsPool
from poolkit.layers.bags import ISRPool as ISRPool
from poolkit.layers.bags import NoisyAndPool as NoisyAndPool
from poolkit.layers.bags import NoisyOrPool as NoisyOrPool
from poolkit.layers.channel import ChannelPool as ChannelPool
from poolkit.layers.detail import DetailPreservingPool1d as DetailPreservingPool1d
from poolkit.layers.detail import DetailPreservingPool2d as DetailPreservingPool2d
from poolkit.layers.detail import DetailPreservingPool3d as DetailPreservingPool3d
from poolkit.layers.excitation import CBAM1d as CBAM1d
from poolkit.layers.excitation import CBAM2d as CBAM2d
from poolkit.layers.excitation import CBAM3d as CBAM3d
from poolkit.layers.excitation import SqueezeExcitation1d as SqueezeExcitation1d
from poolkit.layers.excitation import SqueezeExcitation2d as SqueezeExcitation2d
from poolkit.layers.excitation import SqueezeExcitation3d as SqueezeExcitation3d
from poolkit.layers.importance import BottleneckLogit1d as BottleneckLogit1d
from poolkit.layers.importance import BottleneckLogit2d as BottleneckLogit2d
from poolkit.layers.importance import BottleneckLogit3d as BottleneckLogit3d
from poolkit.layers.importance import LocalImportancePool1d as LocalImportancePool1d
from poolkit.layers.importance import LocalImportancePool2d as LocalImportancePool2d
from poolkit.layers.importance import LocalImportancePool3d as LocalImportancePool3d
from poolkit.layers.importance import SimplifiedLogit1d as SimplifiedLogit1d
from poolkit.layers.importance import SimplifiedLogit2d as SimplifiedLogit2d
from poolkit.layers.importance import SimplifiedLogit3d as SimplifiedLogit3d
from poolkit.layers.k_max import DynamicKMaxPool1d as DynamicKMaxPool1d
from poolkit.layers.k_max import KMaxPool1d as KMaxPool1d
from poolkit.layers.powers import LearntLPPool1d as LearntLPPool1d
from poolkit.layers.powers import LearntLPPool2d as LearntLPPool2d
from poolkit.layers.powers import LearntLPPool3d as LearntLPPool3d
from poolkit.layers.powers import LearntPowerAvgPool1d as LearntPowerAvgPool1d
from poolkit.layers.powers import LearntPowerAvgPool2d as LearntPowerAvgPool2d
from poolkit.layers.powers import LearntPowerAvgPool3d as LearntPowerAvgPool3d
from poolkit.layers.pyramid import SpatialPyramidPool1d as SpatialPyramidPool1d
from poolkit.layers.pyramid import SpatialPyramidPool2d as SpatialPyramidPool2d
from poolkit.layers.pyramid import SpatialPyramidPool3d as SpatialPyramidPool3d
from poolkit.layers.regions import RoIAlign as RoIAlign
from poolkit.layers.regions import RoIPool as RoIPool
from poolkit.layers.self_weighted import AutoPool as AutoPool
from poolkit.layers.self_weighted import LinearSoftmaxPool as LinearSoftmaxPool
from poolkit.layers.splade import SpladePool as SpladePool
from poolkit.layers.sppf import SPPF1d as SPPF1d
from poolkit.layers.sppf import SPPF2d as SPPF2d
from poolkit.layers.sppf import SPPF3d as SPPF3d
from poolkit.layers.statistics import StatisticsPool as StatisticsPool
from poolkit.layers.temporal import TemporalPool as TemporalPool

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

class SoftPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    temperature: float
    grad: str
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, temperature: float = 1.0, grad: str = 'exact') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class SoftPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    temperature: float
    grad: str
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, temperature: float = 1.0, grad: str = 'exact') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class SoftPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    temperature: float
    grad: str
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, temperature: float = 1.0, grad: str = 'exact') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveSoftPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    temperature: float
    grad: str
    def __init__(self, output_size: int | None | Sequence[int | None], temperature: float = 1.0, grad: str = 'exact') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveSoftPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    temperature: float
    grad: str
    def __init__(self, output_size: int | None | Sequence[int | None], temperature: float = 1.0, grad: str = 'exact') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveSoftPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    temperature: float
    grad: str
    def __init__(self, output_size: int | None | Sequence[int | None], temperature: float = 1.0, grad: str = 'exact') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalSoftPool1d(torch.nn.Module):
    temperature: float
    grad: str
    keepdim: bool
    def __init__(self, temperature: float = 1.0, grad: str = 'exact', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalSoftPool2d(torch.nn.Module):
    temperature: float
    grad: str
    keepdim: bool
    def __init__(self, temperature: float = 1.0, grad: str = 'exact', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalSoftPool3d(torch.nn.Module):
    temperature: float
    grad: str
    keepdim: bool
    def __init__(self, temperature: float = 1.0, grad: str = 'exact', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class MixedPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    p: float
    granularity: str
    count_include_pad: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, p: float = 0.5, granularity: str = 'channel', count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class MixedPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    p: float
    granularity: str
    count_include_pad: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, p: float = 0.5, granularity: str = 'channel', count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class MixedPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    p: float
    granularity: str
    count_include_pad: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, p: float = 0.5, granularity: str = 'channel', count_include_pad: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveMixedPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    p: float
    granularity: str
    def __init__(self, output_size: int | None | Sequence[int | None], p: float = 0.5, granularity: str = 'channel') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveMixedPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    p: float
    granularity: str
    def __init__(self, output_size: int | None | Sequence[int | None], p: float = 0.5, granularity: str = 'channel') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveMixedPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    p: float
    granularity: str
    def __init__(self, output_size: int | None | Sequence[int | None], p: float = 0.5, granularity: str = 'channel') -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMixedPool1d(torch.nn.Module):
    p: float
    granularity: str
    keepdim: bool
    def __init__(self, p: float = 0.5, granularity: str = 'channel', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMixedPool2d(torch.nn.Module):
    p: float
    granularity: str
    keepdim: bool
    def __init__(self, p: float = 0.5, granularity: str = 'channel', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMixedPool3d(torch.nn.Module):
    p: float
    granularity: str
    keepdim: bool
    def __init__(self, p: float = 0.5, granularity: str = 'channel', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class StochasticPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    strict: bool
    return_indices: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, strict: bool = False, return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class StochasticPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    strict: bool
    return_indices: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, strict: bool = False, return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class StochasticPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    strict: bool
    return_indices: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, strict: bool = False, return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveStochasticPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    strict: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False, strict: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveStochasticPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    strict: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False, strict: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveStochasticPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    strict: bool
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False, strict: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class GlobalStochasticPool1d(torch.nn.Module):
    strict: bool
    keepdim: bool
    def __init__(self, strict: bool = False, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalStochasticPool2d(torch.nn.Module):
    strict: bool
    keepdim: bool
    def __init__(self, strict: bool = False, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalStochasticPool3d(torch.nn.Module):
    strict: bool
    keepdim: bool
    def __init__(self, strict: bool = False, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class MedianPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    even: str
    return_indices: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, even: str = 'lower', return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class MedianPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    even: str
    return_indices: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, even: str = 'lower', return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class MedianPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    even: str
    return_indices: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, even: str = 'lower', return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMedianPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    even: str
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False, even: str = 'lower') -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMedianPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    even: str
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False, even: str = 'lower') -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveMedianPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    even: str
    def __init__(self, output_size: int | None | Sequence[int | None], return_indices: bool = False, even: str = 'lower') -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class GlobalMedianPool1d(torch.nn.Module):
    even: str
    keepdim: bool
    def __init__(self, even: str = 'lower', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMedianPool2d(torch.nn.Module):
    even: str
    keepdim: bool
    def __init__(self, even: str = 'lower', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalMedianPool3d(torch.nn.Module):
    even: str
    keepdim: bool
    def __init__(self, even: str = 'lower', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class QuantilePool1d(torch.nn.Module):
    q: float
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    interpolation: str
    return_indices: bool
    def __init__(self, q: float, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, interpolation: str = 'linear', return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class QuantilePool2d(torch.nn.Module):
    q: float
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    interpolation: str
    return_indices: bool
    def __init__(self, q: float, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, interpolation: str = 'linear', return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class QuantilePool3d(torch.nn.Module):
    q: float
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    interpolation: str
    return_indices: bool
    def __init__(self, q: float, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, interpolation: str = 'linear', return_indices: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveQuantilePool1d(torch.nn.Module):
    q: float
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    interpolation: str
    def __init__(self, q: float, output_size: int | None | Sequence[int | None], return_indices: bool = False, interpolation: str = 'linear') -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveQuantilePool2d(torch.nn.Module):
    q: float
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    interpolation: str
    def __init__(self, q: float, output_size: int | None | Sequence[int | None], return_indices: bool = False, interpolation: str = 'linear') -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class AdaptiveQuantilePool3d(torch.nn.Module):
    q: float
    output_size: int | None | Sequence[int | None]
    return_indices: bool
    interpolation: str
    def __init__(self, q: float, output_size: int | None | Sequence[int | None], return_indices: bool = False, interpolation: str = 'linear') -> None: ...
    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]: ...

class GlobalQuantilePool1d(torch.nn.Module):
    q: float
    interpolation: str
    keepdim: bool
    def __init__(self, q: float, interpolation: str = 'linear', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalQuantilePool2d(torch.nn.Module):
    q: float
    interpolation: str
    keepdim: bool
    def __init__(self, q: float, interpolation: str = 'linear', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalQuantilePool3d(torch.nn.Module):
    q: float
    interpolation: str
    keepdim: bool
    def __init__(self, q: float, interpolation: str = 'linear', keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class TopKMeanPool1d(torch.nn.Module):
    k: int
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    def __init__(self, k: int, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class TopKMeanPool2d(torch.nn.Module):
    k: int
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    def __init__(self, k: int, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class TopKMeanPool3d(torch.nn.Module):
    k: int
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    def __init__(self, k: int, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveTopKMeanPool1d(torch.nn.Module):
    k: int
    output_size: int | None | Sequence[int | None]
    def __init__(self, k: int, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveTopKMeanPool2d(torch.nn.Module):
    k: int
    output_size: int | None | Sequence[int | None]
    def __init__(self, k: int, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveTopKMeanPool3d(torch.nn.Module):
    k: int
    output_size: int | None | Sequence[int | None]
    def __init__(self, k: int, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalTopKMeanPool1d(torch.nn.Module):
    k: int
    keepdim: bool
    def __init__(self, k: int, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalTopKMeanPool2d(torch.nn.Module):
    k: int
    keepdim: bool
    def __init__(self, k: int, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalTopKMeanPool3d(torch.nn.Module):
    k: int
    keepdim: bool
    def __init__(self, k: int, keepdim: bool = True) -> None: ...
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
