"""The layers to measure, read from shapes/*.txt."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poolkit.methods import METHODS, REQUIRED

SHAPES = Path(__file__).with_name("shapes")
LAYOUTS = ("contiguous", "channels_last")
DTYPES = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64")

Sizes = int | tuple[int, ...]


class LayerError(ValueError):
    """A line of a shape file that cannot be read."""


@dataclass(frozen=True)
class Layer:
    """A pooling layer of a network, without its method."""

    file: str
    name: str
    methods: tuple[str, ...]
    shape: tuple[int, ...]
    form: str
    """windowed, adaptive or global"""
    geometry: Mapping[str, Any]
    """The arguments of the form, by poolkit's and torch's names."""
    exclude_pad: bool = False
    dtypes: tuple[str, ...] = ("float32",)
    layouts: tuple[str, ...] = LAYOUTS
    goals: tuple[float, float] | None = None
    """Times over the bound to reach: forward, and forward and backward."""

    @property
    def rank(self) -> int:
        return len(self.shape) - 2

    @property
    def prefix(self) -> str:
        """Of the names of its functions: "adaptive_" for adaptive_max_pool2d."""
        return "" if self.form == "windowed" else f"{self.form}_"


@dataclass(frozen=True)
class Case:
    """A layer with its method, the method's parameters, and a dtype: one row of the result."""

    layer: Layer
    method: str
    params: Mapping[str, Any]
    dtype: str

    @property
    def trains(self) -> bool:
        return "int" not in self.dtype


def read(folder: Path = SHAPES) -> list[Layer]:
    """Every layer of every file, in the order of their names."""
    return [layer for path in sorted(folder.glob("*.txt")) for layer in read_file(path)]


def read_file(path: Path) -> Iterator[Layer]:
    for number, text in enumerate(path.read_text().splitlines(), 1):
        line = text.partition("#")[0].strip()
        if not line:
            continue
        try:
            yield parse(line, path.stem)
        except ValueError as error:
            raise LayerError(f"{path}:{number}: {error}") from None


def parse(line: str, file: str) -> Layer:
    """A layer from "name | methods | input | windows | options"; the options may be missing."""
    columns = [column.strip() for column in line.split("|")]
    if len(columns) not in (4, 5) or not all(columns):
        raise LayerError(f"expected name | methods | input | windows | options, but got {line!r}")
    name, methods, shape, windows, *options = columns
    sizes = tuple(int(size) for size in shape.split("x"))
    if len(sizes) not in (3, 4, 5) or min(sizes) < 1:
        raise LayerError(f"the input must have 3 to 5 positive sizes, but got {shape!r}")
    form, geometry, exclude_pad = parse_windows(windows)
    layer = Layer(file, name, parse_methods(methods), sizes, form, geometry, exclude_pad)
    if layer.rank == 1:
        layer = replace(layer, layouts=("contiguous",))
    return parse_options(layer, options[0] if options else "")


def parse_methods(text: str) -> tuple[str, ...]:
    names = tuple(METHODS) if text == "*" else tuple(text.split())
    for name in names:
        if name not in METHODS:
            raise LayerError(f"no method is named {name!r}: known are {', '.join(METHODS)}")
    return names


ARGUMENTS = {
    "kernel": "kernel_size",
    "stride": "stride",
    "padding": "padding",
    "dilation": "dilation",
    "adaptive": "output_size",
}


def parse_windows(text: str) -> tuple[str, dict[str, Any], bool]:
    """The form, its arguments, and whether padding is left out, from "kernel 3 padding 1 exclude_pad"."""
    words = text.split()
    if words == ["global"]:
        return "global", {}, False
    geometry: dict[str, Any] = {}
    exclude_pad = False
    while words:
        word = words.pop(0)
        if word == "ceil":
            geometry["ceil_mode"] = True
        elif word == "exclude_pad":
            exclude_pad = True
        elif word in ARGUMENTS and words:
            geometry[ARGUMENTS[word]] = parse_sizes(words.pop(0))
        else:
            allowed = ", ".join((*ARGUMENTS, "ceil", "exclude_pad"))
            raise LayerError(f"windows are global or {allowed} with their sizes, but got {text!r}")
    if "output_size" in geometry and (len(geometry) > 1 or exclude_pad):
        raise LayerError(f"adaptive stands alone, but got {text!r}")
    if "output_size" not in geometry and "kernel_size" not in geometry:
        raise LayerError(f"windows need a kernel, adaptive or global, but got {text!r}")
    return "adaptive" if "output_size" in geometry else "windowed", geometry, exclude_pad


def parse_sizes(text: str) -> Sizes:
    """3 for every axis, or 1x3x3 for each its own."""
    sizes = tuple(int(size) for size in text.split("x"))
    return sizes[0] if len(sizes) == 1 else sizes


def parse_options(layer: Layer, text: str) -> Layer:
    """The layer with what "goal 1.0 1.3 dtype float16 bfloat16 layout channels_last" says."""
    options: dict[str, list[str]] = {}
    values: list[str] | None = None
    for word in text.split():
        if word in ("goal", "dtype", "layout"):
            values = options.setdefault(word, [])
        elif values is None:
            raise LayerError(f"options are goal, dtype and layout, but got {word!r}")
        else:
            values.append(word)
    if "goal" in options:
        goals = [float(value) for value in options["goal"]]
        if len(goals) != 2 or not all(0 < goal < math.inf for goal in goals):
            raise LayerError(f"goal needs two positive numbers, but got {' '.join(options['goal'])!r}")
        layer = replace(layer, goals=(goals[0], goals[1]))
    if "dtype" in options:
        layer = replace(layer, dtypes=known("dtype", options["dtype"], DTYPES))
    if "layout" in options:
        layer = replace(layer, layouts=known("layout", options["layout"], LAYOUTS))
    return layer


def known(what: str, values: list[str], allowed: Collection[str]) -> tuple[str, ...]:
    for value in values:
        if value not in allowed:
            raise LayerError(f"{what} must be one of {', '.join(allowed)}, but got {value!r}")
    if not values:
        raise LayerError(f"{what} needs a value")
    return tuple(values)


def cases(layers: list[Layer], only: Collection[str], methods: Collection[str], dtypes: Collection[str]) -> list[Case]:
    """A case a method and dtype of each layer whose file or name contains one of `only`.

    Given methods are measured where the layer's line names them; given dtypes replace those of the line.
    """
    chosen: dict[tuple[Any, ...], Case] = {}
    for layer in layers:
        names = f"{layer.file} {layer.name}".lower()
        if only and not any(word.lower() in names for word in only):
            continue
        for dtype in dtypes or layer.dtypes:
            for name in layer.methods:
                if (name in methods or not methods) and accepts(name, dtype):
                    case = Case(layer, name, parameters(name, layer), dtype)
                    # The lines of a layer that differ only in dtypes say the same once the dtype is given.
                    key = (layer.name, layer.shape, layer.form, str(case.params), str(layer.geometry), name, dtype)
                    chosen.setdefault(key, case)
    return list(chosen.values())


def accepts(method: str, dtype: str) -> bool:
    integers = METHODS[method].integers
    return "int" not in dtype or integers == "all" or integers == dtype


def parameters(name: str, layer: Layer) -> dict[str, Any]:
    """The method's first sample, which has its required parameters, and the layer's word on padding."""
    method = METHODS[name]
    params = dict(method.samples[0])
    missing = [p.name for p in method.params if p.default is REQUIRED and p.name not in params]
    if missing:
        raise LayerError(f"the first sample of {name} gives no {', '.join(missing)}")
    if layer.exclude_pad and any(p.name == "count_include_pad" for p in method.params):
        params["count_include_pad"] = False
    return params
