"""One look at a file: its numbers, its picture, and where they are written to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import poolkit
from poolkit.errors import ArgumentError
from poolkit.show import table
from poolkit.show.field import Field, Subject
from poolkit.show.kept import Kept, kept
from poolkit.show.layers import SHOWN, check, pool_layer, said
from poolkit.show.loading import Selection, load
from poolkit.show.numbers import Numbers
from poolkit.show.page import page
from poolkit.show.panels import View
from poolkit.show.picture import FORMATS as PICTURES
from poolkit.show.picture import draw, draw_kept, draw_shifts, save
from poolkit.show.pooling import AnyArguments, WindowArguments, pool
from poolkit.show.shift import Shift
from poolkit.show.shift import shift as shift_of
from poolkit.show.track import Track, unwatched
from poolkit.show.writing import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What a report can be written as.
FORMATS = (*PICTURES, ".json", ".html")
WHAT = ("pooled", "kept")

Call = str | tuple[str, Mapping[str, Any]]  # a method, with its parameters if it needs any


@dataclass(frozen=True)
class Report:
    """What was looked at, what came of it, and its numbers as tables."""

    subject: Subject
    calls: tuple[tuple[str, Mapping[str, Any]], ...]
    windows: str
    results: tuple[Field, ...] | tuple[Kept, ...] | tuple[Shift, ...]
    tables: tuple[Numbers, ...]
    drawing: Callable[[], Figure]

    def figure(self) -> Figure:
        """The picture, drawn anew."""
        return self.drawing()

    def plain(self) -> dict[str, Any]:
        """The numbers, as JSON takes them."""
        subject, original = self.subject, self.subject.field
        return {
            "poolkit": poolkit.__version__,
            "title": subject.title,
            "original": {"shape": list(original.shape), "type": str(original.values.dtype), "unit": subject.unit},
            "windows": self.windows,
            "methods": [{"name": name, "parameters": dict(parameters)} for name, parameters in self.calls],
            "notes": list(subject.notes),
            "tables": [numbers.plain() for numbers in self.tables],
        }

    def save(self, path: str | Path) -> None:
        """Writes a picture, JSON or a page of HTML, as the ending of the path says; whole or not at all."""
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in FORMATS:
            raise ArgumentError(f"{path} should end in {', '.join(FORMATS)}, but got {path.suffix!r}")
        if suffix in PICTURES:
            save(self.figure(), path)
            return
        if suffix == ".json":
            text = json.dumps(self.plain(), indent=2, allow_nan=False) + "\n"
        else:
            text = page(
                self.subject.title, self.figure(), self.tables, f"poolkit {poolkit.__version__}, {self.windows}"
            )
        with whole(path) as stream:
            stream.write(text.encode())


def report(
    file: str | Path | Subject,
    methods: Sequence[Call] = ("max", "avg"),
    windows: AnyArguments | None = None,
    *,
    what: str = "pooled",
    shift: int | None = None,
    selection: Selection | None = None,
    channel: int | None = None,
    slice: int | None = None,
    restore: str = "repeat",
    seed: int = 0,
    track: Track = unwatched,
) -> Report:
    """Pools a file, a sample or a subject by each method, and compares what is left.

    Args:
        file: a path, a sample's name, or what :func:`load` gave.
        methods: names of methods and of layers that make maps, or pairs of a name and its parameters:
            ``["max", ("lp", {"norm_type": 3}), "blur"]``.
        windows: a :class:`WindowArguments` or an :class:`AdaptiveArguments`; 2 x 2 by default.
        what: "pooled": how large the maps are; "kept": where they came from and what was thrown away.
        shift: instead, how much maps change under shifts of 0 to this many cells.
        selection: which part of the file.
        channel, slice: what is drawn of an array with channels, of a volume or a video.
        restore: for "kept", "repeat" or "unpool", see :func:`kept`.
        seed: of what methods draw.
        track: hands on the items that are worked at, for a progress bar.

    Raises ArgumentError for anything that cannot be read, pooled or drawn.
    """
    if what not in WHAT:
        raise ArgumentError(f"what must be one of {', '.join(WHAT)}, but got {what!r}")
    if shift is not None and what != "pooled":
        raise ArgumentError(f"what={what!r} and shift={shift} are two reports: leave one away")
    if what != "kept" and restore != "repeat":
        raise ArgumentError(f"restore={restore!r} is for what='kept'")
    chosen = windows or WindowArguments()
    calls = tuple((call, {}) if isinstance(call, str) else call for call in methods)
    if not calls:
        raise ArgumentError("methods must name at least one method, but got none")
    for name, _ in calls:
        check(name)
    subject = file if isinstance(file, Subject) else load(file, selection)
    View(channel, slice).check(subject)
    windows_said, drawn = said((name for name, _ in calls), chosen), (channel, slice)
    tables: tuple[Numbers, ...]
    if shift is not None:
        windows_said = str(chosen)  # of strided subsampling, at least
        named = [(None, {}), *calls]
        shifts = tuple(
            shift_of(subject.field, name, chosen, parameters, shift, seed)
            for name, parameters in track(named, "shifting")
        )
        tables = table.shifts(subject, shifts, windows_said)
        return Report(subject, calls, windows_said, shifts, tables, partial(draw_shifts, subject, shifts, windows_said))
    if what == "kept":
        kepts = tuple(
            kept(subject.field, name, chosen, parameters, seed, restore=restore, track=track)
            for name, parameters in calls
        )
        tables = (table.losses(subject, kepts, windows_said),)
        return Report(
            subject, calls, windows_said, kepts, tables, partial(draw_kept, subject, kepts, windows_said, *drawn)
        )
    fields = tuple(
        each
        for name, parameters in track(calls, "pooling")
        for each in maps(subject.field, name, chosen, parameters, seed)
    )
    tables = (table.sizes(subject, fields, windows_said),)
    return Report(subject, calls, windows_said, fields, tables, partial(draw, subject, fields, windows_said, *drawn))


def maps(
    field: Field, name: str, windows: AnyArguments, parameters: Mapping[str, Any], seed: int = 0
) -> tuple[Field, ...]:
    """What a method or a layer makes of the field."""
    if name in SHOWN:
        return pool_layer(field, name, windows, parameters, seed)
    return (pool(field, name, windows, parameters, seed),)
