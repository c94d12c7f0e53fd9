"""What all layers share: the repr, and the checks of their inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import torch
from torch import Tensor

from poolkit import geometry, layout, ops, transforms
from poolkit.errors import ArgumentError
from poolkit.geometry import Padding, Size
from poolkit.methods.method import is_finite

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
SPATIAL = {1: "L", 2: "H, W", 3: "D, H, W"}


class Layer(torch.nn.Module):
    """A module whose repr shows the attributes named in `_shown`."""

    _shown: tuple[str, ...] = ()

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self._shown)


def check_floating(name: str, **tensors: Tensor) -> None:
    """Every argument is a tensor of a floating type that pooling takes."""
    _check_dtypes(name, FLOATS, tensors)


def _check_dtypes(name: str, dtypes: tuple[torch.dtype, ...], tensors: Mapping[str, Tensor]) -> None:
    for argument, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}(): {argument} must be a torch.Tensor, but got {type(value).__name__}")
        ops.check_dense(name, argument, value)
        if value.dtype not in dtypes:
            allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            raise NotImplementedError(f"{name}(): {argument} must be {allowed}, but got {value.dtype}")


def check_map(name: str, input: Tensor, rank: int, channels: int | None = None, integers: bool = False) -> None:
    """The input is a feature map (N, C, *spatial) or (C, *spatial), of that many channels if they are given."""
    _check_dtypes(name, FLOATS + INTEGERS if integers else FLOATS, {"input": input})
    check_map_shape(name, input, rank, channels)


def check_map_shape(name: str, input: Tensor, rank: int, channels: int | None = None) -> None:
    """The same of a tensor of any type."""
    shape = input.shape
    good = input.dim() in (rank + 1, rank + 2) and 0 not in shape[-rank - 1 :]
    if not good or not (channels is None or shape[-rank - 1] == channels):  # `in` finds no symbolic size
        count = "C" if channels is None else channels
        raise ArgumentError(
            f"{name}(): input must be (N, {count}, {SPATIAL[rank]}) or ({count}, {SPATIAL[rank]}) "
            f"with at least one cell, but got {list(shape)}"
        )


def check_windows(rank: int, kernel_size: Size | None, stride: Size | None, padding: Padding, ceil_mode: bool) -> None:
    """Sliding windows or, without a kernel_size, the whole map as one."""
    if kernel_size is not None:
        geometry.check_sliding(rank, kernel_size, stride, padding, 1, ceil_mode)
    elif stride is not None or padding != 0:
        raise ArgumentError(
            f"kernel_size must be given where stride or padding are, but got None with stride={stride!r}, "
            f"padding={padding!r}"
        )


def check_number(argument: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{argument} must be a number, but got {value!r} ({type(value).__name__})")
    if not is_finite(value):
        raise ArgumentError(f"{argument} must be finite, but got {value!r}")


def check_flag(argument: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{argument} must be a bool, but got {value!r} ({type(value).__name__})")


def check_eps(eps: float) -> None:
    if isinstance(eps, bool) or not isinstance(eps, int | float):
        raise TypeError(f"eps must be a number, but got {eps!r} ({type(eps).__name__})")
    if not (eps > 0 and is_finite(eps)):
        raise ArgumentError(f"eps must be a finite number > 0, but got {eps!r}")


def has_values(x: Tensor) -> bool:
    """Whether values can be looked at: meta and fake tensors have none."""
    return not (x.is_meta or isinstance(x, torch._subclasses.FakeTensor))


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type to compute in: half precision is computed in float32, integers as they are."""
    return torch.promote_types(dtype, torch.float32) if dtype.is_floating_point else dtype


def wide(x: Tensor) -> Tensor:
    """The tensor in the type to compute in."""
    return x.to(wide_dtype(x.dtype))


def memory_format(x: Tensor, rank: int) -> torch.memory_format:
    """How a map lies in memory, for results to lie the same way."""
    if transforms.active() or not layout.is_channels_last(x, rank):
        return torch.contiguous_format
    return layout.format_of(True, rank)


def unrounded(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """Where matrix products are computed in the type of their factors, autocast or not."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return contextlib.nullcontext()


def unit(x: Tensor, dim: int) -> Tensor:
    """The vectors along a dimension, made 1 long; a vector of zeros stays one and has no gradient."""
    largest = x.detach().abs().amax(dim, keepdim=True)
    nothing = largest == 0
    scaled = x / torch.where(nothing, 1, largest)  # whose squares neither overflow nor vanish
    squares = scaled.square().sum(dim, keepdim=True)
    return scaled * torch.where(nothing, 0, torch.where(nothing, 1, squares).rsqrt())
