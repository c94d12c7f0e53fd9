"""Pictures: the original beside pooled maps, what methods kept and threw away, and how they take shifts."""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from poolkit.show.field import Field, Subject
from poolkit.show.kept import Kept
from poolkit.show.maps import draw_panel
from poolkit.show.panels import Panel, View, panels_of, scales
from poolkit.show.shift import SUBSAMPLED, Shift
from poolkit.show.writing import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".jpg", ".pdf", ".svg")
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


def draw(
    subject: Subject, pooled: Sequence[Field], windows: str, channel: int | None = None, slice: int | None = None
) -> Figure:
    """The original and every map; `channel` is the one to draw of an array that has several, `slice` of a volume."""
    view = View(channel, slice)
    view.check(subject)
    panels = [panel for field in (subject.field, *pooled) for panel in panels_of(subject, field, view)]
    columns = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    return arranged(f"{subject.title}   ·   {windows}", rows)


def draw_kept(
    subject: Subject, results: Sequence[Kept], windows: str, channel: int | None = None, slice: int | None = None
) -> Figure:
    """Beside the original, below one another: what each method made of it, where that is from, what it threw away."""
    view = View(channel, slice)
    view.check(subject)
    shares = [flat(subject, result.shares) for result in results]
    losses = [flat(subject, magnitudes(result.lost)) for result in results]
    of_losses = heat(subject, losses, subject.unit)
    rows: list[list[Panel | None]] = [
        [next(panels_of(subject, field, view)) for field in (subject.field, *(result.pooled for result in results))],
        [None, *(next(panels_of(heat(subject, [field], "outputs"), field, view)) for field in shares)],
        [None, *(next(panels_of(of_losses, field, view)) for field in losses)],
    ]
    return arranged(f"{subject.title}   ·   {windows}", rows)


def flat(subject: Subject, field: Field) -> Field:
    """The mean of red, green and blue; other fields stay as they are."""
    if not subject.rgb:
        return field
    return dataclasses.replace(field, values=field.values.mean(axis=0, keepdims=True), single=True)


def magnitudes(field: Field) -> Field:
    return dataclasses.replace(field, values=np.abs(field.values))


def heat(subject: Subject, fields: Sequence[Field], unit: str) -> Subject:
    """Whose colours heat maps have: one scale, from 0 to the largest value of all."""
    most = max((limits[1] for field in fields if (limits := field.range()) is not None), default=0.0)
    return dataclasses.replace(
        subject, field=fields[0], colours="inferno", rgb=False, unit=unit, limits=(0.0, most or 1.0)
    )


def draw_shifts(subject: Subject, results: Sequence[Shift], windows: str) -> Figure:
    """Two plots: the change of each map under shifts, and what is left where the map may move along."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.2), dpi=150, layout="constrained")
        figure.suptitle(f"{subject.title}   ·   {windows}", x=0.012, ha="left", fontsize=11, weight="bold")
        places = figure.subplots(1, 2, sharey=True)
        titles = ("change of the map", "beyond a move of the map by whole cells")
        for place, title, kind in zip(places, titles, ("change", "moved"), strict=True):
            for result in results:
                values = getattr(result, kind)
                baseline = {"color": "0.6", "linestyle": "--"} if result.name == SUBSAMPLED else {}
                place.plot(range(len(values)), values, marker=".", label=result.name, linewidth=1.2, **baseline)
            place.set_title(title, loc="left")
            place.set_xlabel("circular shift along the last axis (cells)")
            place.xaxis.set_major_locator(MaxNLocator(10, steps=(1, 2, 5, 10), integer=True))
            place.set_ylim(bottom=0)
            place.grid(color="0.92", linewidth=0.6)
        places[0].set_ylabel("RMS change / standard deviation")
        places[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return figure


def arranged(title: str, rows: Sequence[Sequence[Panel | None]]) -> Figure:
    """Panels in a grid, which may have gaps."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    columns = max(map(len, rows))
    panels = [panel for row in rows for panel in row if panel is not None]
    width, height = panels[0].size
    with rc_context(STYLE):
        figure = Figure(figsize=(columns * width, len(rows) * height + 0.5), dpi=150, layout="constrained")
        figure.suptitle(title, x=0.012, ha="left", fontsize=11, weight="bold")
        grid = figure.subplots(len(rows), columns, squeeze=False)
        limits = iter(list(scales(panels)))
        for places, row in zip(grid, rows, strict=True):
            for place, panel in itertools.zip_longest(places, row):
                if panel is None:
                    place.remove()
                else:
                    draw_panel(place, panel, next(limits))
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write the figure, in the format that the ending of the path names."""
    with whole(path) as stream:
        write(figure, stream, path.suffix[1:].lower())


def write(figure: Figure, stream: BinaryIO, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # letters of a file's name that the font lacks
        figure.savefig(stream, format=kind)
