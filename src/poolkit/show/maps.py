"""One map, drawn with its colour bar and its axes; or one curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

import poolkit.numpy
from poolkit.show.panels import MOST_CELLS, Limits, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROUND = (1, 2, 5, 10)  # steps from tick to tick
NOT_FINITE = {"gray": "#c8503c", "gray_r": "#c8503c"}  # where NaN and infinite values are; light grey in other colours


def draw_panel(place: Axes, panel: Panel, limits: Limits) -> None:
    place.set_title(panel.title, loc="left")
    draw = draw_line if len(panel.axes) == 1 else draw_map
    draw(place, panel, limits)


def draw_map(place: Axes, panel: Panel, limits: Limits) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    scale, subject = Normalize(*limits), panel.subject
    colours = colormaps[subject.colours].with_extremes(bad=NOT_FINITE.get(subject.colours, "0.85"))
    values = panel.values.astype(np.float64)
    vertical, horizontal = (axis.edges(cells) for axis, cells in zip(panel.axes, panel.cells, strict=True))
    place.imshow(
        scale(values).filled(0) if subject.rgb else np.ma.masked_invalid(values),
        cmap=colours,
        norm=scale,
        extent=(*horizontal, *(vertical if subject.upwards else reversed(vertical))),
        origin="lower" if subject.upwards else "upper",
        aspect="equal" if panel.square else "auto",
    )
    place.set_xlabel(panel.axes[1].label)
    place.set_ylabel(panel.axes[0].label)
    if subject.square:  # positions are whole numbers
        place.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND, integer=True))
        place.yaxis.set_major_locator(MaxNLocator(8, steps=ROUND, integer=True))
    bar = place.inset_axes((1.03, 0, 0.035, 1))  # as high as the map, also where cells are squares
    label = "each channel" if subject.rgb else subject.unit
    place.figure.colorbar(ScalarMappable(scale, colours), cax=bar, label=label)


def draw_line(place: Axes, panel: Panel, limits: Limits) -> None:
    """A curve; a long one as its smallest and largest value in each run of cells, so that no peak is lost."""
    from matplotlib.ticker import MaxNLocator

    (axis,), values = panel.axes, panel.values.astype(np.float64)
    step = math.ceil(len(values) / MOST_CELLS)
    cells = np.arange(len(values) // step) * step + (step - 1) / 2
    if step > 1:
        runs = (poolkit.numpy.min_pool1d(values[None], step), poolkit.numpy.max_pool1d(values[None], step))
        values, cells = np.concatenate(runs).T.ravel(), cells.repeat(2)
    marker = "." if len(panel.values) <= 64 else ""
    place.plot(axis.first + cells * axis.step, values, color="#31688e", linewidth=0.9, marker=marker)
    margin = (limits[1] - limits[0]) / 20
    place.set_ylim(limits[0] - margin, limits[1] + margin)
    place.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND, integer=panel.subject.square))
    place.set_xlabel(axis.label)
    place.set_ylabel(panel.subject.unit)
    place.grid(color="0.92", linewidth=0.6)
