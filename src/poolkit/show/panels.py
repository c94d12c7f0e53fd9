"""What a picture is made of: maps, each with its title, its place and the subject whose colours it has."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poolkit.errors import ArgumentError
from poolkit.show.field import Axis, Field, Subject, said

Limits = tuple[float, float]

MOST_CELLS = 2048  # of one axis are drawn: no panel has as many dots


@dataclasses.dataclass(frozen=True)
class Panel:
    """One map of the picture: (length,), (height, width) or (height, width, 3) values."""

    title: str
    values: NDArray[Any]
    axes: tuple[Axis, ...]
    cells: tuple[int, ...]  # along each axis, of which `values` may be a part
    subject: Subject

    @property
    def square(self) -> bool:
        """Cells are drawn as squares unless they would make a thread of the map."""
        height, width = self.values.shape[:2]
        return self.subject.square and 1 / 4 <= height / width <= 4

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        if len(self.axes) == 1:
            return 4.6, 2.8
        if not self.square:
            return 4.8, 3.6
        height, width = self.values.shape[:2]
        return 4.6, min(max(3.4 * height / width + 0.75, 1.8), 6.0)


@dataclasses.dataclass(frozen=True)
class View:
    """Which part of an array is drawn: the channel of several, the cell of a volume's first axis."""

    channel: int | None = None
    slice: int | None = None

    def check(self, subject: Subject) -> None:
        """Refuse what the subject does not have."""
        channels, *spatial = subject.field.values.shape
        if self.channel is not None and subject.rgb:
            raise ArgumentError(f"channel={self.channel} is for arrays: all channels of an image are drawn together")
        if self.channel is not None and not 0 <= self.channel < channels:
            raise ArgumentError(f"channel should be from 0 to {channels - 1}, but got {self.channel}")
        if self.slice is not None and len(spatial) != 3:
            raise ArgumentError(
                f"slice={self.slice} is for volumes and videos, and {subject.title} has {len(spatial)} axes"
            )
        if self.slice is not None and not 0 <= self.slice < spatial[0]:
            raise ArgumentError(f"slice should be from 0 to {spatial[0] - 1}, but got {self.slice}")

    def place(self, subject: Subject, field: Field) -> int:
        """The cell of the field's first axis that lies nearest to the slice; by default the subject's middle."""
        length = subject.field.values.shape[1]
        wanted = length // 2 if self.slice is None else self.slice
        of_subject, own = subject.field.axes[0], field.axes[0]
        place = round((of_subject.first + wanted * of_subject.step - own.first) / own.step)
        return min(max(place, 0), field.values.shape[1] - 1)


def panels_of(subject: Subject, field: Field, view: View) -> Iterator[Panel]:
    """One panel a field; more if the method made several channels of each, as avg_max in mode "cat"."""
    channels = len(subject.field.values)
    if len(field.values) < channels:  # pooled along the channels: a grey map beside a coloured one
        subject, channels = dataclasses.replace(subject, rgb=False), 1
    groups = len(field.values) // channels
    for group in range(groups):
        title = f"{field.name} {group + 1}/{groups}" if groups > 1 else field.name
        title += f"   {said(field.shape)}"
        maps = field.values[group * channels : (group + 1) * channels]
        if channels > 1 and not subject.rgb:
            title += f"   channel {view.channel or 0}"
        axes = field.axes
        if len(axes) == 3:
            place = view.place(subject, field)
            title += f"   {subject.slices} {place}"
            maps, axes = maps[:, place], axes[1:]
        cells = maps.shape[1:]
        if subject.rgb:
            values = np.moveaxis(thinned(maps), 0, -1)
        else:
            values = maps[view.channel or 0 if channels > 1 else 0]
            values = thinned(values) if len(axes) == 2 else values
        yield Panel(title, values, axes, cells, subject)


def thinned(maps: NDArray[Any]) -> NDArray[Any]:
    """Every n-th row and column, with n as small as MOST_CELLS allows."""
    down, across = (math.ceil(length / MOST_CELLS) for length in maps.shape[-2:])
    return maps[..., ::down, ::across]


def scales(panels: Sequence[Panel]) -> Iterator[Limits]:
    """The scale of the subject's first panel where it covers a map's values, for colours to compare; else the map's."""
    shared: dict[int, Limits] = {}
    for panel in panels:
        low, high = extremes(panel.values)
        if id(panel.subject) not in shared:
            shared[id(panel.subject)] = panel.subject.limits or widened(low, high)
        least, most = shared[id(panel.subject)]
        yield (least, most) if least <= low and high <= most else widened(low, high)


def extremes(values: NDArray[Any]) -> Limits:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def widened(low: float, high: float) -> Limits:
    """Limits with room between them."""
    if math.isinf(high - low):
        raise ArgumentError(f"values from {low:g} to {high:g} lie too far apart to be drawn")
    if low < high:
        return low, high
    margin = abs(low) / 100 or 0.5
    return low - margin, high + margin
