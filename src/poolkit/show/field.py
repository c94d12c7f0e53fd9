"""What is looked at: an array with axes that mean something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TIMES = "\N{MULTIPLICATION SIGN}"


def said(shape: tuple[int, ...]) -> str:
    return f" {TIMES} ".join(map(str, shape))


@dataclass(frozen=True)
class Axis:
    """Cell i of an axis lies at `first + i * step` and is one step wide."""

    label: str
    first: float = 0.0
    step: float = 1.0

    def edges(self, length: int) -> tuple[float, float]:
        """From where to where `length` cells reach."""
        return self.first - self.step / 2, self.first + (length - 0.5) * self.step


@dataclass(frozen=True)
class Field:
    """Channels of values over one to three spatial axes: the original, or what a method made of it."""

    name: str
    values: NDArray[Any]  # (channels, *spatial)
    axes: tuple[Axis, ...]
    single: bool = False  # the one channel was added here: the user's array has none

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape[1:] if self.single and len(self.values) == 1 else self.values.shape

    def range(self) -> tuple[float, float] | None:
        """The smallest and the largest finite value, or None if there is none."""
        if self.values.dtype.kind != "f":
            return float(self.values.min()), float(self.values.max())
        finite = np.isfinite(self.values)
        if not finite.any():
            return None
        low = self.values.min(where=finite, initial=np.inf)
        return float(low), float(self.values.max(where=finite, initial=-np.inf))

    def missing(self) -> int:
        """How many values are NaN or infinite."""
        return 0 if self.values.dtype.kind != "f" else int(np.count_nonzero(~np.isfinite(self.values)))


@dataclass(frozen=True)
class Subject:
    """The field to pool, what it was made from, and how to draw it."""

    title: str
    field: Field
    source: tuple[str, tuple[int, ...], np.dtype[Any]] | None = None  # name, shape and type of what was read
    notes: tuple[str, ...] = ()
    unit: str = ""
    colours: str = "viridis"
    upwards: bool = False  # the first spatial axis grows upwards, as frequencies do
    rgb: bool = False
    limits: tuple[float, float] | None = None  # of the colours; by default those of the values
    square: bool = True  # cells are drawn as squares
    slices: str = "slice"  # what the maps of a volume are called
