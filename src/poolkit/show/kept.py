"""What pooling kept of its input, and what it threw away."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolkit import methods
from poolkit.errors import ArgumentError
from poolkit.geometry import Axis, Windows
from poolkit.methods import KERNELS, LAYERS, Method
from poolkit.show.distance import distance
from poolkit.show.field import Field
from poolkit.show.layers import SHOWN, runner
from poolkit.show.pooling import AnyArguments, function_name, label, pooled_axes
from poolkit.show.track import Track, unwatched

Array = NDArray[Any]

#: How a map is made as large as the input again.
RESTORATIONS = ("repeat", "unpool")


@dataclass(frozen=True)
class Kept:
    """A pooled map, what it came from, and how much of the input can be had back from it."""

    pooled: Field
    shares: Field  #: how many outputs each cell of the input stands for
    lost: Field  #: the input less the map made as large as it, as `restored_by` says
    restored_by: str  #: "repeated" or "unpooled"
    used: float  #: the share of cells that any output came from, 0 to 1
    contributors: float  #: effective number of cells behind an output, on average
    repeated: float  #: RMS error of repeating the nearest output, in units of the input's standard deviation
    fitted: float  #: the same after the best scale and offset of the map, 0 to 1
    unpooled: float | None  #: the same of max unpooling, zeros elsewhere; None if the value is not that of one cell


def kept(
    field: Field,
    name: str,
    windows: AnyArguments,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    *,
    restore: str = "repeat",
    track: Track = unwatched,
) -> Kept:
    """Pools the field and follows each output back to its cells.

    SoftPool and local importance pooling are followed by their weights, not by their gradient, which also says how the
    weights change. Of layers those can be followed that pool the windows asked for. `restore` is how
    `lost` is found: "repeat" gives each cell the output with the nearest window; "unpool" puts each value where it came
    from and zeros elsewhere, where the value is that of one cell (max, min and others), and repeats otherwise.

    Raises ArgumentError for unknown methods, parameters and restorations, and for windows that do not fit.
    """
    from poolkit.show.routing import routing

    if restore not in RESTORATIONS:
        raise ArgumentError(f"restore must be one of {', '.join(RESTORATIONS)}, but got {restore!r}")
    given, values = dict(parameters or {}), field.values.astype(np.float64)
    plan = windows.plan(values.shape[1:])
    function = (_layer if name in SHOWN else _method)(name, windows, given, values.shape, seed)
    routed = routing(function, values, plan, track)

    repeats = repeated(routed.pooled, plan, len(values))
    unpools = None
    if name not in SHOWN and takes_one_cell(methods.get(name), given):
        unpools = unpooled(functools.partial(function, return_indices=True), values, plan)
    restored, restored_by = repeats, "repeated"
    if restore == "unpool" and unpools is not None:
        restored, restored_by = unpools, "unpooled"
    called, axes = label(name, given), pooled_axes(field.axes, plan)
    return Kept(
        pooled=Field(called, routed.pooled, axes, field.single),
        shares=Field(f"{called}: where from", routed.shares, field.axes, field.single),
        lost=Field(f"{called}: lost, {restored_by}", values - restored, field.axes, field.single),
        restored_by=restored_by,
        used=float(np.mean(routed.shares > 0)),
        contributors=routed.contributors,
        repeated=distance(values, repeats),
        fitted=distance(values, fitted(values, repeats)),
        unpooled=None if unpools is None else distance(values, unpools),
    )


def _method(name: str, windows: AnyArguments, given: Mapping[str, Any], shape: tuple[int, ...], seed: int) -> Any:
    """The function of a method, with its arguments."""
    import torch

    from poolkit import functional

    method = methods.get(name)
    by_weights = {"grad": "weights"} if any(param.name == "grad" for param in method.params) else {}
    arguments = asdict(windows) | by_weights | dict(given)
    if method.trains:
        arguments["generator"] = torch.Generator().manual_seed(seed)
    return functools.partial(getattr(functional, function_name(method, windows, len(shape) - 1, given)), **arguments)


def _layer(name: str, windows: AnyArguments, given: Mapping[str, Any], shape: tuple[int, ...], seed: int) -> Any:
    """The same of a layer that pools the windows asked for."""
    if SHOWN[name].windows != "asked" or not LAYERS[name].floats:
        followed = ", ".join(other for other, how in SHOWN.items() if how.windows == "asked" and LAYERS[other].floats)
        raise ArgumentError(f"what='kept' follows all methods and the layers {followed}, but not {name}")
    return runner(name, shape, windows, given, seed)


def takes_one_cell(method: Method, parameters: Mapping[str, Any]) -> bool:
    """Whether every output is the value of one cell, the same each time."""
    steps = method.steps_with(parameters)
    draws = any(KERNELS[step.kernel].draws for step in steps)
    return method.returns_indices and len(steps) == 1 and not draws and KERNELS[steps[0].kernel].winner is not None


def unpooled(function: Any, values: Array, plan: Windows) -> Array:
    """Every output where it came from, zeros elsewhere."""
    import torch

    from poolkit import ops

    pooled, indices = function(torch.from_numpy(values))
    return ops.max_unpool(pooled, indices, list(plan.input_size)).numpy()


def repeated(pooled: Array, plan: Windows, channels: int) -> Array:
    """Every cell has the value of the output whose window's middle is nearest; of several maps, their mean."""
    groups = pooled.reshape(-1, channels, *pooled.shape[1:])
    maps = groups.mean(axis=0) if len(groups) > 1 else groups[0]
    return maps[np.ix_(np.arange(channels), *map(nearest, plan.axes))]


def nearest(axis: Axis) -> NDArray[np.intp]:
    """For each cell the output whose window has the nearest middle; of two as near, the first."""
    taps = [axis.tap(o) for o in range(axis.out)]
    middles = np.array([tap.first + max(axis.dilation, 1) * (tap.cells - 1) / 2 for tap in taps])
    return np.searchsorted((middles[1:] + middles[:-1]) / 2, np.arange(axis.size), side="left")


def fitted(values: Array, restored: Array) -> Array:
    """The restored values on the line that brings them nearest to the input."""
    finite = np.isfinite(values) & np.isfinite(restored)
    if not finite.any():
        return restored
    x, y = values[finite], restored[finite]
    spread = float(np.mean((y - y.mean()) ** 2))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread > 0 else 0.0
    return x.mean() + slope * (restored - y.mean())
