"""Pool what is looked at by one method, with poolkit's own kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import poolkit.numpy
from poolkit import geometry, methods
from poolkit.geometry import Padding, Size
from poolkit.methods import KERNELS, Method
from poolkit.show.field import TIMES, Axis, Field

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")


@dataclass(frozen=True)
class WindowArguments:
    """The windows, in the words of every pooling function."""

    kernel_size: Size = 2
    stride: Size | None = None
    padding: Padding = 0
    dilation: Size = 1
    ceil_mode: bool = False

    def __str__(self) -> str:
        """What differs from the usual: "kernel 3, stride 2, padding 1"."""
        stride = self.kernel_size if self.stride is None else self.stride
        words = [f"kernel {_said(self.kernel_size)}", f"stride {_said(stride)}"]
        words += [f"padding {_said(self.padding)}"] if self.padding != 0 else []
        words += [f"dilation {_said(self.dilation)}"] if self.dilation != 1 else []
        words += ["ceil mode"] if self.ceil_mode else []
        return ", ".join(words)


def _said(value: Padding) -> str:
    if isinstance(value, int | str):
        return str(value)
    return f" {TIMES} ".join(str(side) if isinstance(side, int) else ":".join(map(str, side)) for side in value)


def pool(
    field: Field,
    name: str,
    windows: WindowArguments,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Field:
    """What the method of this name leaves of the field; draws, if it is to draw, come from the seed."""
    method, rank = methods.get(name), len(field.axes)
    parameters = parameters or {}
    draws = {"generator": np.random.default_rng(seed)} if method.trains else {}
    function = getattr(poolkit.numpy, f"{name}_pool{rank}d")
    pooled = function(computable(field.values, method, parameters), **asdict(windows), **parameters, **draws)

    words = ", ".join(f"{parameter}={value}" for parameter, value in parameters.items())
    plan = geometry.sliding(rank, field.values.shape[1:], **asdict(windows))
    axes = tuple(_pooled(axis, along) for axis, along in zip(field.axes, plan.axes, strict=True))
    return Field(f"{name} ({words})" if words else name, pooled, axes, field.single)


def computable(values: np.ndarray, method: Method, parameters: Mapping[str, Any]) -> np.ndarray:
    """The values in a type that the method keeps exact: averages of integers have a fraction."""
    taken = {method.integers, *(KERNELS[step.kernel].integers for step in method.steps_with(parameters))}
    if values.dtype.name in FLOATS or (values.dtype.name in INTEGERS and taken == {"all"}):
        return values
    exact = np.result_type(values.dtype, np.float32)
    return values.astype(exact if exact.itemsize <= 8 else np.float64)


def _pooled(axis: Axis, along: geometry.Axis) -> Axis:
    """A pooled cell lies in the middle of its window and is as wide as the stride."""
    middle = along.dilation * (along.kernel - 1) / 2 - along.pad_low
    return Axis(axis.label, axis.first + middle * axis.step, axis.step * along.stride)
