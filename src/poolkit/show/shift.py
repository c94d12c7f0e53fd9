"""How much the result changes when the input moves by some cells: how robust each method is to small shifts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolkit import methods
from poolkit.errors import ArgumentError
from poolkit.geometry import Windows
from poolkit.show.distance import distance
from poolkit.show.field import Field
from poolkit.show.layers import SHOWN, own_step, pool_layer
from poolkit.show.pooling import AdaptiveArguments, AnyArguments, label, pool

Array = NDArray[Any]

SUBSAMPLED = "strided subsampling"


@dataclasses.dataclass(frozen=True)
class Shift:
    """The change of a map under shifts of 0, 1, 2, ... cells, in standard deviations of the unshifted map."""

    name: str
    change: tuple[float, ...]  #: RMS difference from the unshifted map, cell by cell
    moved: tuple[float, ...]  #: the same from the map moved by as many whole cells as bring it nearest


def shift(
    field: Field,
    name: str | None,
    windows: AnyArguments,
    parameters: Mapping[str, Any] | None = None,
    most: int = 8,
    seed: int = 0,
) -> Shift:
    """Moves the input along its last axis by 0 to `most` cells, what leaves at the end coming back at the start.

    The map wraps around too: along that axis the windows run on into the start instead of padding, and cells are cut
    from the end until the strides come out even. So a shift by a whole stride moves the map by one cell and changes
    nothing else, unless the method draws. A layer sees the input between two more of it, which is the same. `name` None
    is strided subsampling, the cell in each window's corner: what there is to do without pooling.

    Raises ArgumentError for unknown methods and parameters, windows that do not fit, and shifts longer than the axis.
    """
    plan, given = windows.plan(field.values.shape[1:]), dict(parameters or {})
    strides = [axis.stride if axis.kernel else axis.size // axis.out for axis in plan.axes]
    if 0 in strides:
        raise ArgumentError(f"shifts are for outputs no larger than the input, but {windows} is")
    step, along = strides[-1], plan.axes[-1]
    if name in SHOWN:
        step = own_step(name, step)
    cells = field.values[..., : along.size // step * step or along.size]
    if not 1 <= most < cells.shape[-1]:
        raise ArgumentError(f"shift should be from 1 to {cells.shape[-1] - 1}, but got {most}")
    known = () if name is None or name in SHOWN else (param.name for param in methods.get(name).params)
    if isinstance(getattr(windows, "padding", 0), str) and "count_include_pad" in known:
        given["count_include_pad"] = False  # 'same' never counts its padding, which becomes numbers here

    def subsampled(values: Array) -> Array:
        corners = (slice(None, None, stride) for stride in strides)
        return values[(slice(None), *corners)]

    def of_layer(values: Array) -> Array:
        """The map of the one in the middle of three inputs side by side, which knows no edges."""
        three, out = dataclasses.replace(field, values=np.tile(values, 3)), values.shape[-1] // step
        maps = pool_layer(three, str(name), windows, given, seed)
        return np.concatenate([y.values[..., out : 2 * out] for y in maps])

    def pooled(values: Array) -> Array:
        reach = along.dilation * (along.kernel - 1) + 1 if along.kernel else step
        values = np.take(values, range(values.shape[-1] + max(reach - step, 0)), -1, mode="wrap")
        return pool(dataclasses.replace(field, values=values), str(name), unpadded(windows, plan), given, seed).values

    if name is None:
        return changes(SUBSAMPLED, subsampled, cells, step, most)
    return changes(label(name, parameters or {}), of_layer if name in SHOWN else pooled, cells, step, most)


def changes(name: str, function: Callable[[Array], Array], values: Array, stride: int, most: int) -> Shift:
    """The same of any function of (channels, *spatial), whose map moves by a cell for each stride of the input."""
    maps = [function(np.roll(values, cells, -1)).astype(np.float64) for cells in range(most + 1)]
    change = tuple(distance(maps[0], shifted) for shifted in maps)
    moved = tuple(
        min(distance(np.roll(maps[0], places, -1), shifted) for places in {cells // stride, -(-cells // stride)})
        for cells, shifted in enumerate(maps)
    )
    return Shift(name, change, moved)


def unpadded(windows: AnyArguments, plan: Windows) -> AnyArguments:
    """The same windows with no padding along the last axis."""
    if isinstance(windows, AdaptiveArguments):
        return AdaptiveArguments(plan.output_size)
    *others, _ = ((axis.pad_low, axis.pad_high) for axis in plan.axes)
    return dataclasses.replace(windows, padding=(*others, (0, 0)))
