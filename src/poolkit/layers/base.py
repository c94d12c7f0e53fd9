"""What all layers share: the repr, and the checks of their inputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poolkit.errors import ArgumentError

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SPATIAL = {1: "L", 2: "H, W", 3: "D, H, W"}


class Layer(torch.nn.Module):
    """A module whose repr shows the attributes named in `_shown`."""

    _shown: tuple[str, ...] = ()

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)}" for name in self._shown)


def check_floating(name: str, **tensors: Tensor) -> None:
    """Every argument is a tensor of a floating type that pooling takes."""
    for argument, value in tensors.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}(): {argument} must be a torch.Tensor, but got {type(value).__name__}")
        if value.dtype not in FLOATS:
            allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in FLOATS)
            raise NotImplementedError(f"{name}(): {argument} must be {allowed}, but got {value.dtype}")


def check_map(name: str, input: Tensor, rank: int, channels: int | None = None) -> None:
    """The input is a feature map (N, C, *spatial) or (C, *spatial), of that many channels if they are given."""
    check_floating(name, input=input)
    shape = input.shape
    good = input.dim() in (rank + 1, rank + 2) and 0 not in shape[-rank - 1 :]
    if not good or channels not in (None, shape[-rank - 1]):
        count = "C" if channels is None else channels
        raise ArgumentError(
            f"{name}(): input must be (N, {count}, {SPATIAL[rank]}) or ({count}, {SPATIAL[rank]}) "
            f"with at least one cell, but got {list(shape)}"
        )


def check_number(argument: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{argument} must be a number, but got {value!r} ({type(value).__name__})")
    if not math.isfinite(value):
        raise ArgumentError(f"{argument} must be finite, but got {value!r}")


def check_flag(argument: str, value: bool) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{argument} must be a bool, but got {value!r} ({type(value).__name__})")


def check_eps(eps: float) -> None:
    if isinstance(eps, bool) or not isinstance(eps, int | float):
        raise TypeError(f"eps must be a number, but got {eps!r} ({type(eps).__name__})")
    if not (eps > 0 and math.isfinite(eps)):
        raise ArgumentError(f"eps must be a finite number > 0, but got {eps!r}")


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type to compute in: half precision is computed in float32."""
    return torch.promote_types(dtype, torch.float32)


def wide(x: Tensor) -> Tensor:
    """The tensor in the type to compute in."""
    return x.to(wide_dtype(x.dtype))
