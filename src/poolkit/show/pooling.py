"""Pool what is looked at by one method, with poolkit's own kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

import poolkit.numpy
from poolkit import geometry, methods
from poolkit._signatures import PREFIX, Form, arguments_of
from poolkit.errors import ArgumentError
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

    form: ClassVar[Form] = "sliding"

    def __str__(self) -> str:
        """What differs from the usual: "kernel 3, stride 2, padding 1"."""
        stride = self.kernel_size if self.stride is None else self.stride
        words = [f"kernel {_said(self.kernel_size)}", f"stride {_said(stride)}"]
        words += [f"padding {_said(self.padding)}"] if self.padding != 0 else []
        words += [f"dilation {_said(self.dilation)}"] if self.dilation != 1 else []
        words += ["ceil mode"] if self.ceil_mode else []
        return ", ".join(words)

    def plan(self, size: tuple[int, ...]) -> geometry.Windows:
        """The windows on an input of this spatial size."""
        return geometry.sliding(len(size), size, **asdict(self))


@dataclass(frozen=True)
class AdaptiveArguments:
    """Windows that give the output this size; 1 is global pooling."""

    output_size: int | tuple[int, ...]

    form: ClassVar[Form] = "adaptive"

    def __str__(self) -> str:
        return f"output size {_said(self.output_size)}"

    def plan(self, size: tuple[int, ...]) -> geometry.Windows:
        """The windows on an input of this spatial size."""
        windows = geometry.adaptive(len(size), size, self.output_size)
        if 0 in windows.output_size:
            raise ArgumentError(f"output_size must be greater than zero, but got {self.output_size}")
        return windows


#: The windows of a pooling.
AnyArguments = WindowArguments | AdaptiveArguments


def _said(value: Padding) -> str:
    if isinstance(value, int | str):
        return str(value)
    return f" {TIMES} ".join(str(side) if isinstance(side, int) else ":".join(map(str, side)) for side in value)


def pool(
    field: Field,
    name: str,
    windows: AnyArguments,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Field:
    """What the method of this name leaves of the field; draws, if it is to draw, come from the seed."""
    method, parameters = methods.get(name), parameters or {}
    plan = windows.plan(field.values.shape[1:])
    draws = {"generator": np.random.default_rng(seed)} if method.trains else {}
    function = getattr(poolkit.numpy, function_name(method, windows, plan.rank, parameters))
    pooled = function(computable(field.values, method, parameters), **asdict(windows), **parameters, **draws)
    return Field(label(name, parameters), pooled, pooled_axes(field.axes, plan), field.single)


def label(name: str, parameters: Mapping[str, Any]) -> str:
    """How a method with its parameters is called: "soft (temperature=2)"."""
    words = ", ".join(f"{parameter}={value}" for parameter, value in parameters.items())
    return f"{name} ({words})" if words else name


def function_name(method: Method, windows: AnyArguments, rank: int, parameters: Mapping[str, Any]) -> str:
    """The function that pools by these windows; refuses what only windows of a given size know."""
    known = [argument.name for argument in arguments_of(method, windows.form)]
    for parameter in parameters:
        if parameter not in known and any(parameter == param.name for param in method.params):
            raise ArgumentError(f"{parameter} of {method.name} is for windows of a kernel_size, not an output_size")
    return f"{PREFIX[windows.form]}{method.name}_pool{rank}d"


def computable(values: np.ndarray, method: Method, parameters: Mapping[str, Any]) -> np.ndarray:
    """The values in a type that the method keeps exact: averages of integers have a fraction."""
    taken = {method.integers, *(KERNELS[step.kernel].integers for step in method.steps_with(parameters))}
    if values.dtype.name in FLOATS or (values.dtype.name in INTEGERS and taken == {"all"}):
        return values
    exact = np.result_type(values.dtype, np.float32)
    return values.astype(exact if exact.itemsize <= 8 else np.float64)


def pooled_axes(axes: tuple[Axis, ...], plan: geometry.Windows) -> tuple[Axis, ...]:
    """Where pooled cells lie: in the middle of their windows, as wide as the way from one to the next."""
    return tuple(_pooled(axis, along) for axis, along in zip(axes, plan.axes, strict=True))


def _pooled(axis: Axis, along: geometry.Axis) -> Axis:
    if along.kernel == 0:  # adaptive: as if all were of one size
        step = along.size / along.out
        return Axis(axis.label, axis.first + (step - 1) / 2 * axis.step, axis.step * step)
    middle = along.dilation * (along.kernel - 1) / 2 - along.pad_low
    return Axis(axis.label, axis.first + middle * axis.step, axis.step * along.stride)
