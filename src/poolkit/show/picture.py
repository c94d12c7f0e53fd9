"""The picture: the original and every pooled map side by side, each with its colour bar and its axes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import poolkit.numpy
from poolkit.errors import ArgumentError
from poolkit.show.field import Axis, Field, Subject, said
from poolkit.show.writing import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Limits = tuple[float, float]

FORMATS = (".png", ".jpg", ".pdf", ".svg")
MOST_CELLS = 2048  # of one axis are drawn: no panel has as many dots
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.edgecolor": "0.6",
    "axes.linewidth": 0.6,
    "axes.labelcolor": "0.25",
    "xtick.color": "0.6",
    "ytick.color": "0.6",
    "xtick.labelcolor": "0.25",
    "ytick.labelcolor": "0.25",
    "text.parse_math": False,  # names of files may hold dollars
}
ROUND = (1, 2, 5, 10)  # steps from tick to tick
NOT_FINITE = {"gray": "#c8503c"}  # where NaN and infinite values are; light grey in the other colours


@dataclass(frozen=True)
class Panel:
    """One map of the picture: (length,), (height, width) or (height, width, 3) values."""

    title: str
    values: NDArray[Any]
    axes: tuple[Axis, ...]
    cells: tuple[int, ...]  # along each axis, of which `values` may be a part


def draw(subject: Subject, pooled: Sequence[Field], windows: str, channel: int | None = None) -> Figure:
    """The figure; `channel` is the one to draw of an array that has several."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    channels = len(subject.field.values)
    if channel is not None and subject.rgb:
        raise ArgumentError(f"channel={channel} is for arrays: all channels of an image are drawn together")
    channel = channel or 0
    if not 0 <= channel < channels:
        raise ArgumentError(f"channel should be from 0 to {channels - 1}, but got {channel}")
    panels = [panel for field in (subject.field, *pooled) for panel in panels_of(subject, field, channel)]
    columns = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    width, height = panel_size(subject, panels[0])
    with rc_context(STYLE):
        figure = Figure(figsize=(columns * width, rows * height + 0.5), dpi=150, layout="constrained")
        figure.suptitle(f"{subject.title}   ·   {windows}", x=0.012, ha="left", fontsize=11, weight="bold")
        places = list(figure.subplots(rows, columns, squeeze=False).flat)
        for place in places[len(panels) :]:
            place.remove()
        for place, panel, limits in zip(places, panels, scales(subject, panels), strict=False):
            place.set_title(panel.title, loc="left")
            if len(panel.axes) == 1:
                draw_line(place, panel, limits, subject.unit)
            else:
                draw_map(place, panel, limits, subject)
    return figure


def panels_of(subject: Subject, field: Field, channel: int) -> Iterator[Panel]:
    """One panel a field; more if the method made several channels of each, as avg_max in mode "cat"."""
    channels = len(subject.field.values)
    groups = len(field.values) // channels
    for group in range(groups):
        title = f"{field.name} {group + 1}/{groups}" if groups > 1 else field.name
        title += f"   {said(field.shape)}"
        axes = field.axes
        if subject.rgb:
            colours = field.values[group * channels : (group + 1) * channels]
            yield Panel(title, np.moveaxis(thinned(colours), 0, -1), axes, colours.shape[1:])
            continue
        values = field.values[group * channels + channel]
        if channels > 1:
            title += f"   channel {channel}"
        if len(axes) == 3:
            middle = len(values) // 2
            title += f"   slice {middle}"
            values, axes = values[middle], axes[1:]
        yield Panel(title, thinned(values) if len(axes) == 2 else values, axes, values.shape)


def thinned(maps: NDArray[Any]) -> NDArray[Any]:
    """Every n-th row and column, with n as small as MOST_CELLS allows."""
    down, across = (math.ceil(length / MOST_CELLS) for length in maps.shape[-2:])
    return maps[..., ::down, ::across]


def panel_size(subject: Subject, panel: Panel) -> tuple[float, float]:
    """Width and height in inches."""
    if len(panel.axes) == 1:
        return 4.6, 2.8
    if not square(subject, panel):
        return 4.8, 3.6
    height, width = panel.values.shape[:2]
    return 4.6, min(max(3.4 * height / width + 0.75, 1.8), 6.0)


def square(subject: Subject, panel: Panel) -> bool:
    """Cells are drawn as squares unless they would make a thread of the map."""
    height, width = panel.values.shape[:2]
    return subject.square and 1 / 4 <= height / width <= 4


def scales(subject: Subject, panels: Sequence[Panel]) -> Iterator[Limits]:
    """The original's scale for every map whose values it covers, so that colours compare; else its own."""
    shared = subject.limits or limits_of(panels[0].values)
    for panel in panels:
        low, high = limits_of(panel.values)
        yield shared if shared[0] <= low and high <= shared[1] else (low, high)


def limits_of(values: NDArray[Any]) -> Limits:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if math.isinf(high - low):
        raise ArgumentError(f"values from {low:g} to {high:g} lie too far apart to be drawn")
    if low < high:
        return low, high
    margin = abs(low) / 100 or 0.5
    return low - margin, high + margin


def draw_map(place: Axes, panel: Panel, limits: Limits, subject: Subject) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    scale = Normalize(*limits)
    colours = colormaps[subject.colours].with_extremes(bad=NOT_FINITE.get(subject.colours, "0.85"))
    values = panel.values.astype(np.float64)
    vertical, horizontal = (axis.edges(cells) for axis, cells in zip(panel.axes, panel.cells, strict=True))
    place.imshow(
        scale(values).filled(0) if subject.rgb else np.ma.masked_invalid(values),
        cmap=colours,
        norm=scale,
        extent=(*horizontal, *(vertical if subject.upwards else reversed(vertical))),
        origin="lower" if subject.upwards else "upper",
        aspect="equal" if square(subject, panel) else "auto",
    )
    place.set_xlabel(panel.axes[1].label)
    place.set_ylabel(panel.axes[0].label)
    if subject.square:  # positions are whole numbers
        place.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND, integer=True))
        place.yaxis.set_major_locator(MaxNLocator(8, steps=ROUND, integer=True))
    bar = place.inset_axes((1.03, 0, 0.035, 1))  # as high as the map, also where cells are squares
    label = "each channel" if subject.rgb else subject.unit
    place.figure.colorbar(ScalarMappable(scale, colours), cax=bar, label=label)


def draw_line(place: Axes, panel: Panel, limits: Limits, unit: str) -> None:
    """A curve; a long one as its smallest and largest value in each run of cells, so that no peak is lost."""
    from matplotlib.ticker import MaxNLocator

    (axis,), values = panel.axes, panel.values.astype(np.float64)
    step = math.ceil(len(values) / MOST_CELLS)
    cells = np.arange(len(values) // step) * step + (step - 1) / 2
    if step > 1:
        runs = (poolkit.numpy.min_pool1d(values[None], step), poolkit.numpy.max_pool1d(values[None], step))
        values, cells = np.concatenate(runs).T.ravel(), cells.repeat(2)
    place.plot(axis.first + cells * axis.step, values, color="#31688e", linewidth=0.9, marker=marker(panel))
    margin = (limits[1] - limits[0]) / 20
    place.set_ylim(limits[0] - margin, limits[1] + margin)
    place.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND, integer=True))
    place.set_xlabel(axis.label)
    place.set_ylabel(unit)
    place.grid(color="0.92", linewidth=0.6)


def marker(panel: Panel) -> str:
    return "." if len(panel.values) <= 64 else ""


def save(figure: Figure, path: Path) -> None:
    """Write the figure, in the format that the ending of the path names."""
    with warnings.catch_warnings(), whole(path) as stream:
        warnings.filterwarnings("ignore", "Glyph")  # letters of a file's name that the font lacks
        figure.savefig(stream, format=path.suffix[1:].lower())
