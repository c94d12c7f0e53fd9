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
from poolkit.layers.blur import BlurPool1d as BlurPool1d
from poolkit.layers.blur import BlurPool2d as BlurPool2d
from poolkit.layers.blur import BlurPool3d as BlurPool3d
from poolkit.layers.blur import MaxBlurPool1d as MaxBlurPool1d
from poolkit.layers.blur import MaxBlurPool2d as MaxBlurPool2d
from poolkit.layers.blur import MaxBlurPool3d as MaxBlurPool3d
from poolkit.layers.channel import ChannelGroupPool as ChannelGroupPool
from poolkit.layers.channel import ChannelPool as ChannelPool
from poolkit.layers.corners import CenterPool2d as CenterPool2d
from poolkit.layers.corners import CornerPool2d as CornerPool2d
from poolkit.layers.depth import DepthToSpace1d as DepthToSpace1d
from poolkit.layers.depth import DepthToSpace2d as DepthToSpace2d
from poolkit.layers.depth import DepthToSpace3d as DepthToSpace3d
from poolkit.layers.depth import SpaceToDepth1d as SpaceToDepth1d
from poolkit.layers.depth import SpaceToDepth2d as SpaceToDepth2d
from poolkit.layers.depth import SpaceToDepth3d as SpaceToDepth3d
from poolkit.layers.detail import DetailPreservingPool1d as DetailPreservingPool1d
from poolkit.layers.detail import DetailPreservingPool2d as DetailPreservingPool2d
from poolkit.layers.detail import DetailPreservingPool3d as DetailPreservingPool3d
from poolkit.layers.excitation import CBAM1d as CBAM1d
from poolkit.layers.excitation import CBAM2d as CBAM2d
from poolkit.layers.excitation import CBAM3d as CBAM3d
from poolkit.layers.excitation import SqueezeExcitation1d as SqueezeExcitation1d
from poolkit.layers.excitation import SqueezeExcitation2d as SqueezeExcitation2d
from poolkit.layers.excitation import SqueezeExcitation3d as SqueezeExcitation3d
from poolkit.layers.fractional import FractionalMaxPool1d as FractionalMaxPool1d
from poolkit.layers.fractional import FractionalMaxPool2d as FractionalMaxPool2d
from poolkit.layers.fractional import FractionalMaxPool3d as FractionalMaxPool3d
from poolkit.layers.generalised import GatedPool1d as GatedPool1d
from poolkit.layers.generalised import GatedPool2d as GatedPool2d
from poolkit.layers.generalised import GatedPool3d as GatedPool3d
from poolkit.layers.generalised import LearntMixedPool1d as LearntMixedPool1d
from poolkit.layers.generalised import LearntMixedPool2d as LearntMixedPool2d
from poolkit.layers.generalised import LearntMixedPool3d as LearntMixedPool3d
from poolkit.layers.generalised import TreePool1d as TreePool1d
from poolkit.layers.generalised import TreePool2d as TreePool2d
from poolkit.layers.generalised import TreePool3d as TreePool3d
from poolkit.layers.haar import HaarPool1d as HaarPool1d
from poolkit.layers.haar import HaarPool2d as HaarPool2d
from poolkit.layers.haar import HaarPool3d as HaarPool3d
from poolkit.layers.haar import HaarUnpool1d as HaarUnpool1d
from poolkit.layers.haar import HaarUnpool2d as HaarUnpool2d
from poolkit.layers.haar import HaarUnpool3d as HaarUnpool3d
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
from poolkit.layers.log_sum_exp import LearntLogSumExpPool1d as LearntLogSumExpPool1d
from poolkit.layers.log_sum_exp import LearntLogSumExpPool2d as LearntLogSumExpPool2d
from poolkit.layers.log_sum_exp import LearntLogSumExpPool3d as LearntLogSumExpPool3d
from poolkit.layers.masked import AdaptiveMaskedAvgPool1d as AdaptiveMaskedAvgPool1d
from poolkit.layers.masked import AdaptiveMaskedAvgPool2d as AdaptiveMaskedAvgPool2d
from poolkit.layers.masked import AdaptiveMaskedAvgPool3d as AdaptiveMaskedAvgPool3d
from poolkit.layers.masked import AdaptiveMaskedMaxPool1d as AdaptiveMaskedMaxPool1d
from poolkit.layers.masked import AdaptiveMaskedMaxPool2d as AdaptiveMaskedMaxPool2d
from poolkit.layers.masked import AdaptiveMaskedMaxPool3d as AdaptiveMaskedMaxPool3d
from poolkit.layers.masked import GlobalMaskedAvgPool1d as GlobalMaskedAvgPool1d
from poolkit.layers.masked import GlobalMaskedAvgPool2d as GlobalMaskedAvgPool2d
from poolkit.layers.masked import GlobalMaskedAvgPool3d as GlobalMaskedAvgPool3d
from poolkit.layers.masked import GlobalMaskedMaxPool1d as GlobalMaskedMaxPool1d
from poolkit.layers.masked import GlobalMaskedMaxPool2d as GlobalMaskedMaxPool2d
from poolkit.layers.masked import GlobalMaskedMaxPool3d as GlobalMaskedMaxPool3d
from poolkit.layers.masked import MaskedAvgPool1d as MaskedAvgPool1d
from poolkit.layers.masked import MaskedAvgPool2d as MaskedAvgPool2d
from poolkit.layers.masked import MaskedAvgPool3d as MaskedAvgPool3d
from poolkit.layers.masked import MaskedMaxPool1d as MaskedMaxPool1d
from poolkit.layers.masked import MaskedMaxPool2d as MaskedMaxPool2d
from poolkit.layers.masked import MaskedMaxPool3d as MaskedMaxPool3d
from poolkit.layers.mixer import PoolMixer1d as PoolMixer1d
from poolkit.layers.mixer import PoolMixer2d as PoolMixer2d
from poolkit.layers.mixer import PoolMixer3d as PoolMixer3d
from poolkit.layers.mode import ModePool1d as ModePool1d
from poolkit.layers.mode import ModePool2d as ModePool2d
from poolkit.layers.mode import ModePool3d as ModePool3d
from poolkit.layers.position_sensitive import PSRoIAlign as PSRoIAlign
from poolkit.layers.position_sensitive import PSRoIPool as PSRoIPool
from poolkit.layers.powers import LearntGeMPool1d as LearntGeMPool1d
from poolkit.layers.powers import LearntGeMPool2d as LearntGeMPool2d
from poolkit.layers.powers import LearntGeMPool3d as LearntGeMPool3d
from poolkit.layers.powers import LearntLPPool1d as LearntLPPool1d
from poolkit.layers.powers import LearntLPPool2d as LearntLPPool2d
from poolkit.layers.powers import LearntLPPool3d as LearntLPPool3d
from poolkit.layers.powers import LearntPowerAvgPool1d as LearntPowerAvgPool1d
from poolkit.layers.powers import LearntPowerAvgPool2d as LearntPowerAvgPool2d
from poolkit.layers.powers import LearntPowerAvgPool3d as LearntPowerAvgPool3d
from poolkit.layers.precise import PrRoIPool as PrRoIPool
from poolkit.layers.pyramid import SpatialPyramidPool1d as SpatialPyramidPool1d
from poolkit.layers.pyramid import SpatialPyramidPool2d as SpatialPyramidPool2d
from poolkit.layers.pyramid import SpatialPyramidPool3d as SpatialPyramidPool3d
from poolkit.layers.regions import RoIAlign as RoIAlign
from poolkit.layers.regions import RoIPool as RoIPool
from poolkit.layers.retrieval import RMACPool2d as RMACPool2d
from poolkit.layers.retrieval import SPoCPool1d as SPoCPool1d
from poolkit.layers.retrieval import SPoCPool2d as SPoCPool2d
from poolkit.layers.retrieval import SPoCPool3d as SPoCPool3d
from poolkit.layers.scene import ImagePooling1d as ImagePooling1d
from poolkit.layers.scene import ImagePooling2d as ImagePooling2d
from poolkit.layers.scene import ImagePooling3d as ImagePooling3d
from poolkit.layers.scene import PyramidPooling1d as PyramidPooling1d
from poolkit.layers.scene import PyramidPooling2d as PyramidPooling2d
from poolkit.layers.scene import PyramidPooling3d as PyramidPooling3d
from poolkit.layers.second_order import BilinearPool1d as BilinearPool1d
from poolkit.layers.second_order import BilinearPool2d as BilinearPool2d
from poolkit.layers.second_order import BilinearPool3d as BilinearPool3d
from poolkit.layers.second_order import CovariancePool1d as CovariancePool1d
from poolkit.layers.second_order import CovariancePool2d as CovariancePool2d
from poolkit.layers.second_order import CovariancePool3d as CovariancePool3d
from poolkit.layers.second_order import ISQRTCovariancePool1d as ISQRTCovariancePool1d
from poolkit.layers.second_order import ISQRTCovariancePool2d as ISQRTCovariancePool2d
from poolkit.layers.second_order import ISQRTCovariancePool3d as ISQRTCovariancePool3d
from poolkit.layers.segments import SegmentPool as SegmentPool
from poolkit.layers.self_weighted import AutoPool as AutoPool
from poolkit.layers.self_weighted import LinearSoftmaxPool as LinearSoftmaxPool
from poolkit.layers.splade import SpladePool as SpladePool
from poolkit.layers.sppf import SPPF1d as SPPF1d
from poolkit.layers.sppf import SPPF2d as SPPF2d
from poolkit.layers.sppf import SPPF3d as SPPF3d
from poolkit.layers.statistics import StatisticsPool as StatisticsPool
from poolkit.layers.strips import CoordinateAttention2d as CoordinateAttention2d
from poolkit.layers.strips import CoordinateAttention3d as CoordinateAttention3d
from poolkit.layers.strips import SPM2d as SPM2d
from poolkit.layers.strips import SPM3d as SPM3d
from poolkit.layers.strips import StripPool2d as StripPool2d
from poolkit.layers.strips import StripPool3d as StripPool3d
from poolkit.layers.temporal import TemporalPool as TemporalPool
from poolkit.layers.vlad import NetVLADPool as NetVLADPool
from poolkit.layers.vlad import NetVLADPool1d as NetVLADPool1d
from poolkit.layers.vlad import NetVLADPool2d as NetVLADPool2d
from poolkit.layers.vlad import NetVLADPool3d as NetVLADPool3d

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

class GeMPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    p: float
    eps: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, p: float = 3.0, eps: float = 1e-06) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GeMPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    p: float
    eps: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, p: float = 3.0, eps: float = 1e-06) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GeMPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    p: float
    eps: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, p: float = 3.0, eps: float = 1e-06) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveGeMPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    p: float
    eps: float
    def __init__(self, output_size: int | None | Sequence[int | None], p: float = 3.0, eps: float = 1e-06) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveGeMPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    p: float
    eps: float
    def __init__(self, output_size: int | None | Sequence[int | None], p: float = 3.0, eps: float = 1e-06) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveGeMPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    p: float
    eps: float
    def __init__(self, output_size: int | None | Sequence[int | None], p: float = 3.0, eps: float = 1e-06) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalGeMPool1d(torch.nn.Module):
    p: float
    eps: float
    keepdim: bool
    def __init__(self, p: float = 3.0, eps: float = 1e-06, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalGeMPool2d(torch.nn.Module):
    p: float
    eps: float
    keepdim: bool
    def __init__(self, p: float = 3.0, eps: float = 1e-06, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalGeMPool3d(torch.nn.Module):
    p: float
    eps: float
    keepdim: bool
    def __init__(self, p: float = 3.0, eps: float = 1e-06, keepdim: bool = True) -> None: ...
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

class LogSumExpPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    r: float
    mean: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, r: float = 10.0, mean: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class LogSumExpPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    r: float
    mean: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, r: float = 10.0, mean: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class LogSumExpPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    r: float
    mean: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, r: float = 10.0, mean: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveLogSumExpPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    r: float
    mean: bool
    def __init__(self, output_size: int | None | Sequence[int | None], r: float = 10.0, mean: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveLogSumExpPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    r: float
    mean: bool
    def __init__(self, output_size: int | None | Sequence[int | None], r: float = 10.0, mean: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveLogSumExpPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    r: float
    mean: bool
    def __init__(self, output_size: int | None | Sequence[int | None], r: float = 10.0, mean: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalLogSumExpPool1d(torch.nn.Module):
    r: float
    mean: bool
    keepdim: bool
    def __init__(self, r: float = 10.0, mean: bool = True, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalLogSumExpPool2d(torch.nn.Module):
    r: float
    mean: bool
    keepdim: bool
    def __init__(self, r: float = 10.0, mean: bool = True, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalLogSumExpPool3d(torch.nn.Module):
    r: float
    mean: bool
    keepdim: bool
    def __init__(self, r: float = 10.0, mean: bool = True, keepdim: bool = True) -> None: ...
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

class TrimmedMeanPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    trim: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, trim: float = 0.25) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class TrimmedMeanPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    trim: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, trim: float = 0.25) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class TrimmedMeanPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    trim: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, trim: float = 0.25) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveTrimmedMeanPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    trim: float
    def __init__(self, output_size: int | None | Sequence[int | None], trim: float = 0.25) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveTrimmedMeanPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    trim: float
    def __init__(self, output_size: int | None | Sequence[int | None], trim: float = 0.25) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveTrimmedMeanPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    trim: float
    def __init__(self, output_size: int | None | Sequence[int | None], trim: float = 0.25) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalTrimmedMeanPool1d(torch.nn.Module):
    trim: float
    keepdim: bool
    def __init__(self, trim: float = 0.25, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalTrimmedMeanPool2d(torch.nn.Module):
    trim: float
    keepdim: bool
    def __init__(self, trim: float = 0.25, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalTrimmedMeanPool3d(torch.nn.Module):
    trim: float
    keepdim: bool
    def __init__(self, trim: float = 0.25, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class RangePool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class RangePool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class RangePool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveRangePool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    def __init__(self, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveRangePool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    def __init__(self, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveRangePool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    def __init__(self, output_size: int | None | Sequence[int | None]) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalRangePool1d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalRangePool2d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalRangePool3d(torch.nn.Module):
    keepdim: bool
    def __init__(self, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class StdPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    unbiased: bool
    eps: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, unbiased: bool = False, eps: float = 1e-05) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class StdPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    unbiased: bool
    eps: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, unbiased: bool = False, eps: float = 1e-05) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class StdPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    unbiased: bool
    eps: float
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, unbiased: bool = False, eps: float = 1e-05) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveStdPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    unbiased: bool
    eps: float
    def __init__(self, output_size: int | None | Sequence[int | None], unbiased: bool = False, eps: float = 1e-05) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveStdPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    unbiased: bool
    eps: float
    def __init__(self, output_size: int | None | Sequence[int | None], unbiased: bool = False, eps: float = 1e-05) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveStdPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    unbiased: bool
    eps: float
    def __init__(self, output_size: int | None | Sequence[int | None], unbiased: bool = False, eps: float = 1e-05) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalStdPool1d(torch.nn.Module):
    unbiased: bool
    eps: float
    keepdim: bool
    def __init__(self, unbiased: bool = False, eps: float = 1e-05, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalStdPool2d(torch.nn.Module):
    unbiased: bool
    eps: float
    keepdim: bool
    def __init__(self, unbiased: bool = False, eps: float = 1e-05, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalStdPool3d(torch.nn.Module):
    unbiased: bool
    eps: float
    keepdim: bool
    def __init__(self, unbiased: bool = False, eps: float = 1e-05, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class VarPool1d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    unbiased: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, unbiased: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class VarPool2d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    unbiased: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, unbiased: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class VarPool3d(torch.nn.Module):
    kernel_size: Size
    stride: Size | None
    padding: Padding
    dilation: Size
    ceil_mode: bool
    unbiased: bool
    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Padding = 0, dilation: Size = 1, ceil_mode: bool = False, unbiased: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveVarPool1d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    unbiased: bool
    def __init__(self, output_size: int | None | Sequence[int | None], unbiased: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveVarPool2d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    unbiased: bool
    def __init__(self, output_size: int | None | Sequence[int | None], unbiased: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class AdaptiveVarPool3d(torch.nn.Module):
    output_size: int | None | Sequence[int | None]
    unbiased: bool
    def __init__(self, output_size: int | None | Sequence[int | None], unbiased: bool = False) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalVarPool1d(torch.nn.Module):
    unbiased: bool
    keepdim: bool
    def __init__(self, unbiased: bool = False, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalVarPool2d(torch.nn.Module):
    unbiased: bool
    keepdim: bool
    def __init__(self, unbiased: bool = False, keepdim: bool = True) -> None: ...
    def forward(self, input: Tensor) -> Tensor: ...

class GlobalVarPool3d(torch.nn.Module):
    unbiased: bool
    keepdim: bool
    def __init__(self, unbiased: bool = False, keepdim: bool = True) -> None: ...
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
