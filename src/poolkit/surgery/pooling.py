"""What a pooling of a model is, whoever wrote it: its method, its windows and its parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from poolkit import geometry
from poolkit.geometry import Windows

GEOMETRY = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pooling:
    """A pooling as one of the tables' rows describes it."""

    method: str
    rank: int  # 0 for layers over sequences
    form: Literal["sliding", "adaptive", "global", "layer"]
    #: What the row's function takes: windows and parameters; those that were not given have their defaults.
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: Whether it pads by zeros, which count as cells, until 'same' holds.
    zeros: bool = False
    #: Whether its maps are (N, *spatial, C).
    channels_last: bool = False
    #: Whether its output, of one cell a channel, is (N, C).
    flat: bool = False

    def windows(self, size: tuple[int, ...]) -> Windows | None:
        """Its windows on maps of this size; None for a layer, which may have none."""
        if self.form == "sliding":
            given = {name: self.arguments[name] for name in GEOMETRY if name in self.arguments}
            return geometry.sliding(self.rank, size, **given)
        if self.form == "layer":
            return None
        return geometry.adaptive(self.rank, size, self.arguments.get("output_size", 1))

    @property
    def geometry(self) -> dict[str, Any]:
        """Its windows alone."""
        return {name: value for name, value in self.arguments.items() if name in (*GEOMETRY, "output_size")}

    @property
    def parameters(self) -> dict[str, Any]:
        """What it takes beside windows."""
        return {name: value for name, value in self.arguments.items() if name not in self.geometry}

    def spatial(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The spatial sizes of an input of this shape."""
        return shape[-self.rank - 1 : -1] if self.channels_last else shape[-self.rank :]

    def __str__(self) -> str:
        """Its windows in short: k3 s2 p1."""
        if self.form == "global":
            return "whole map"
        if self.form == "adaptive":
            return f"to {_short(self.arguments['output_size'])}"
        if self.form == "layer":
            return "-"
        given = self.arguments
        stride = given.get("stride")
        text = f"k{_short(given['kernel_size'])} s{_short(stride or given['kernel_size'])}"
        for letter, name, usual in (("p", "padding", 0), ("d", "dilation", 1)):
            if (value := _short(given.get(name, usual))) != str(usual):
                text += f" {letter}{value}" if value[0].isdigit() else f" {value}"
        if self.zeros:
            text += " same"
        return text + (" ceil" if given.get("ceil_mode") else "")


def _short(size: Any) -> str:
    """One number where all axes have the same, else one an axis."""
    if not isinstance(size, tuple | list):
        return str(size)
    sizes = [_short(value).replace("x", ":") for value in size]
    return sizes[0] if len(set(sizes)) == 1 and sizes else "x".join(sizes)
