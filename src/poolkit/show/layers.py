"""Layers that make maps of a map, run for a picture."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from poolkit.errors import ArgumentError, nearest
from poolkit.geometry import per_axis
from poolkit.methods import LAYERS, METHODS
from poolkit.show.field import Axis, Field
from poolkit.show.pooling import INTEGERS, AnyArguments, WindowArguments, label, pooled_axes

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
Given = Mapping[str, Any]
Parts = Callable[["Tensor", Given, tuple[int, ...]], "dict[str, Tensor]"]

#: Arguments that follow from what is drawn, and those of results that are not.
_NOT_OPTIONS = (
    *("input", "mask", "channels", "device", "dtype", "dim", "lengths", "block_size", "output_size"),
    *("return_indices", "return_lengths", "return_mask", "generator", "_random_samples"),
)


# --- How a layer is called, and what its result consists of.


def _plain(target: Any, x: Tensor, given: Given) -> Tensor:
    return target(x, **given)


def _masked(target: Any, x: Tensor, given: Given) -> Tensor:
    """Cells without a number do not count."""
    return target(x, mask=x.isfinite(), **given)


def _module(target: Any, x: Tensor, given: Given) -> Tensor:
    """Of a layer with weights, in their state before training."""
    return target(**given).to(x.dtype).eval()(x[None])[0]


def _importance(target: Any, x: Tensor, given: Given) -> Tensor:
    """Gradients are the weights of the cells, and do not say how these would change."""
    module = target(len(x), **given).to(x.dtype).eval()
    module.logit.register_forward_hook(lambda logit, arguments, result: result.detach())
    return module(x[None])[0]


def _learnt_numbers(target: Any, x: Tensor, given: Given) -> Tensor:
    """Numbers stand for what would be learnt for each channel."""
    weights = {key: x.new_full((len(x),), given[key]) for key in ("alpha", "lam")}
    return target(x, **{**given, **weights})


def _rows(target: Any, x: Tensor, given: Given) -> Tensor:
    """Along the last axis alone."""
    return target(x.flatten(0, -2), **given).unflatten(0, x.shape[:-1])


def _in_blocks(target: Any, x: Tensor, given: Given) -> Tensor:
    """Cells that fill no block are left out, as windows leave them out."""
    sizes = per_axis("block_size", given.get("block_size", 2), x.dim() - 1)
    whole = (slice(length // size * size) for length, size in zip(x.shape[1:], sizes, strict=True))
    return target(x[(slice(None), *whole)], **given)


def _strips(y: Tensor, given: Given, size: tuple[int, ...]) -> dict[str, Tensor]:
    """For each axis a map of its slices, which has one cell along the others."""
    shapes = [tuple(length if axis == kept else 1 for axis in range(len(size))) for kept, length in enumerate(size)]
    names = ("depth", "height", "width")[-len(size) :]
    maps = zip(names, y.split(size, -1), shapes, strict=True)
    return {f"along the {name}": strip.unflatten(-1, shape) for name, strip, shape in maps}


def _levels(y: Tensor, given: Given, size: tuple[int, ...]) -> dict[str, Tensor]:
    """A grid of bins for each level."""
    grids = [per_axis("levels", level, len(size)) for level in given.get("levels", (1, 2, 4))]
    channels = len(y) // sum(map(math.prod, grids))
    vectors = zip(grids, y.split([channels * math.prod(grid) for grid in grids]), strict=True)
    return {f"level {grid[0]}": vector.unflatten(0, (channels, *grid)) for grid, vector in vectors}


def _kinds(y: Tensor, given: Given, size: tuple[int, ...]) -> dict[str, Tensor]:
    kinds = given.get("kind", ("mean", "max"))
    return dict(zip((kinds,) if isinstance(kinds, str) else kinds, y.split(1), strict=True))


def _chained(y: Tensor, given: Given, size: tuple[int, ...]) -> dict[str, Tensor]:
    """Less the first map, which is the input."""
    maps = y.chunk(given.get("repeats", 3) + 1)[1:]
    return {f"pooled {count}×": x for count, x in enumerate(maps, 1)}


@dataclasses.dataclass(frozen=True)
class Shown:
    """How a layer is run for a picture."""

    target: str  #: its function in poolkit.functional or its module in poolkit.nn, without the rank
    ranks: tuple[int, ...] = (1, 2, 3)
    call: Callable[[Any, Tensor, Given], Tensor] = _plain
    parts: Parts | None = None  #: the maps that the result consists of, if it is not one
    #: Its windows: those "asked" for, these, or None where the cells of its maps share the input evenly.
    windows: WindowArguments | Literal["asked"] | None = None
    own: tuple[str, ...] = ()  #: arguments that are named like those of the windows asked for, but are not theirs
    defaults: Given = dataclasses.field(default_factory=dict)  #: what differs for a picture
    hidden: tuple[str, ...] = ()  #: what cannot differ
    moves: bool = True  #: whether maps move with the input
    asks: bool = True  #: whether anything of it follows from the windows asked for


_CELLS = WindowArguments(1)

SHOWN: dict[str, Shown] = {
    "masked_avg": Shown("masked_avg_pool", call=_masked, windows="asked"),
    "masked_max": Shown("masked_max_pool", call=_masked, windows="asked"),
    "local_importance": Shown("LocalImportancePool", call=_importance, windows="asked"),
    "detail_preserving": Shown(
        "detail_preserving_pool", call=_learnt_numbers, windows="asked", defaults={"alpha": 0.0, "lam": 0.0}
    ),
    "learnt_power": Shown("LearntPowerAvgPool", call=_module, windows="asked"),
    "learnt_log_sum_exp": Shown("LearntLogSumExpPool", call=_module, windows="asked"),
    "learnt_mixed": Shown("LearntMixedPool", call=_module, windows="asked"),
    "gated": Shown("GatedPool", call=_module, windows="asked"),
    "tree": Shown("TreePool", call=_module, windows="asked"),
    "blur": Shown("blur_pool"),
    "max_blur": Shown("max_blur_pool"),
    "fractional_max": Shown("fractional_max_pool", defaults={"training": False}, moves=False),
    "mode": Shown("mode_pool", windows="asked"),
    "pool_mixer": Shown("pool_mixer", windows=_CELLS, own=("kernel_size",), asks=False),
    "space_to_depth": Shown(
        "space_to_depth", call=_in_blocks, windows="asked", defaults={"order": "cells"}, hidden=("order",)
    ),
    "haar": Shown("haar_pool", call=_in_blocks, windows=WindowArguments(2), hidden=("order",), asks=False),
    "strip": Shown("strip_pool", (2, 3), parts=_strips, moves=False, asks=False),
    "corner": Shown("corner_pool", (2,), moves=False, asks=False),
    "center": Shown("center_pool", (2,), moves=False, asks=False),
    "channel": Shown("channel_pool", parts=_kinds, windows=_CELLS, defaults={"dim": 0}, asks=False),
    "k_max": Shown("k_max_pool1d", call=_rows, moves=False, asks=False),
    "sppf": Shown("sppf_pool", parts=_chained, windows=_CELLS, own=("kernel_size",), asks=False),
    "spatial_pyramid": Shown("spatial_pyramid_pool", parts=_levels, moves=False, asks=False),
}


def check(name: str) -> None:
    """Refuses what is neither a method nor a layer that can be drawn."""
    if name in METHODS or name in SHOWN:
        return
    drawn = f"the methods {', '.join(map(repr, METHODS))} and the layers {', '.join(map(repr, SHOWN))}"
    if name in LAYERS:
        raise ArgumentError(f"{name} makes no map that could be drawn beside its input; show draws {drawn}")
    raise ArgumentError(f"method must be one of {drawn}, but got {name!r}{nearest(name, (*METHODS, *SHOWN))}")


def said(names: Iterable[str], windows: AnyArguments) -> str:
    """What a picture of these methods and layers says of the windows."""
    asked = any(name in METHODS or SHOWN[name].asks for name in names)
    return str(windows) if asked else "windows of their own"


def options(name: str) -> tuple[str, ...]:
    """What may be chosen for a layer, beside the windows."""
    shown = SHOWN[name]
    known = inspect.signature(_target(name, shown.ranks[-1])).parameters.values()
    hidden = {*_NOT_OPTIONS, *shown.hidden, *dataclasses.asdict(WindowArguments())} - {*shown.own}
    return tuple(each.name for each in known if each.name not in hidden and each.kind is not each.VAR_KEYWORD)


def pool_layer(
    field: Field, name: str, windows: AnyArguments, parameters: Given | None = None, seed: int = 0
) -> tuple[Field, ...]:
    """What the layer of this name makes of the field: one map or several.

    It pools the windows asked for as far as it has any: blur pooling has their stride, and the blocks of space-to-depth
    are as large. Learnt weights are those before training, drawn from the seed.
    """
    import torch

    given = dict(parameters or {})
    run = runner(name, field.values.shape, windows, given, seed)
    with torch.no_grad():
        y = run(torch.from_numpy(computable(field.values, name)))
    parts, called = SHOWN[name].parts, label(name, given)
    maps = {"": y} if parts is None else parts(y, given, field.values.shape[1:])
    return tuple(
        Field(f"{called} {part}".rstrip(), x.numpy(), _axes(name, field, windows, x.shape[1:]), field.single)
        for part, x in maps.items()
    )


def runner(
    name: str, shape: tuple[int, ...], windows: AnyArguments, parameters: Given, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """The layer with its arguments, for maps of the shape (channels, *spatial)."""
    import torch

    shown = SHOWN[name]
    target = _target(name, len(shape) - 1, adaptive=not isinstance(windows, WindowArguments))
    arguments = _arguments(name, target, len(shape) - 1, windows, parameters)

    def run(x: Tensor) -> Tensor:
        with torch.random.fork_rng(devices=[]), _one_kind_of_error(name):
            torch.manual_seed(seed)
            return shown.call(target, x, arguments)

    return run


@contextlib.contextmanager
def _one_kind_of_error(name: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, NotImplementedError) as error:
        raise ArgumentError(f"{name}: {error}") from None


def _target(name: str, rank: int, adaptive: bool = False) -> Any:
    from poolkit import functional, nn

    shown = SHOWN[name]
    if rank not in shown.ranks:
        raise ArgumentError(f"{name} is for {' or '.join(map(str, shown.ranks))} spatial axes, but here are {rank}")
    names = (f"adaptive_{shown.target}{rank}d",) * adaptive + (f"{shown.target}{rank}d", shown.target)
    return next(getattr(place, each) for each in names for place in (functional, nn) if hasattr(place, each))


def _arguments(name: str, target: Any, rank: int, windows: AnyArguments, given: Given) -> dict[str, Any]:
    """Those of the windows that the layer has, its own, and those given, which come first."""
    known, shown = inspect.signature(target).parameters, SHOWN[name]
    for key in given:
        if key not in options(name):
            allowed = ", ".join(options(name)) or "none"
            raise ArgumentError(f"{key!r} is no parameter of {name}; allowed: {allowed}{nearest(key, options(name))}")
    arguments = dict(shown.defaults)
    if isinstance(windows, WindowArguments):
        stride = windows.kernel_size if windows.stride is None else windows.stride
        if "block_size" in known and stride != windows.kernel_size:
            raise ArgumentError(f"stride must be the kernel size for the blocks of {name}, but got {stride}")
        for key, value in (dataclasses.asdict(windows) | {"stride": stride, "block_size": windows.kernel_size}).items():
            if key in known and key not in shown.own:
                arguments[key] = value
            elif key in ("padding", "dilation", "ceil_mode") and value != getattr(WindowArguments, key):
                raise ArgumentError(f"{name} has no {key}, but got {key}={value!r}")
        if "output_ratio" in known and "output_size" not in given:
            arguments["output_ratio"] = tuple(1 / each for each in per_axis("stride", stride, rank))
    elif "output_size" in known:
        arguments["output_size"] = windows.output_size
        if "kernel_size" in known:
            arguments["kernel_size"] = 2
    else:
        raise ArgumentError(f"{name} has no output_size, but got output_size={windows.output_size!r}")
    arguments |= given
    for key in options(name):
        if key not in arguments and known[key].default is inspect.Parameter.empty:
            raise ArgumentError(f"{name} needs the parameter {key}")
    return arguments


def own_step(name: str, stride: int) -> int:
    """How far apart in the input the cells of a layer's map are, where windows have this stride."""
    shown = SHOWN[name]
    if not shown.moves:
        raise ArgumentError(f"shift is for maps that move with the input, which those of {name} do not")
    own = shown.windows
    return per_axis("kernel_size", own.kernel_size, 1)[0] if isinstance(own, WindowArguments) else stride


def computable(values: Array, name: str) -> Array:
    """The values in a type that the layer takes."""
    if values.dtype.name in ("float32", "float64") or (LAYERS[name].integers and values.dtype.name in INTEGERS):
        return np.array(values)  # torch takes none that cannot be written to
    return values.astype(np.float32 if np.result_type(values.dtype, np.float32) == np.float32 else np.float64)


def _axes(name: str, field: Field, windows: AnyArguments, size: tuple[int, ...]) -> tuple[Axis, ...]:
    """Where the cells of the map lie in the input."""
    own = SHOWN[name].windows
    if own is not None:
        return pooled_axes(field.axes, (windows if own == "asked" else own).plan(field.values.shape[1:]))
    if name == "k_max":
        return (*field.axes[:-1], Axis("place among the largest"))
    steps = (cells / out for cells, out in zip(field.values.shape[1:], size, strict=True))
    return tuple(
        Axis(axis.label, axis.first + (step - 1) / 2 * axis.step, axis.step * step)
        for axis, step in zip(field.axes, steps, strict=True)
    )
