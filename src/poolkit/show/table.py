"""What is told in numbers: how much smaller maps are, what they kept, how they take shifts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from poolkit.show.field import TIMES, Field, Subject, said
from poolkit.show.kept import Kept
from poolkit.show.numbers import Cell, Column, Numbers, number
from poolkit.show.shift import Shift

_MAP = Column("map", "map")
_SHAPE = Column("shape", "shape")


def sizes(subject: Subject, pooled: Sequence[Field], windows: str) -> Numbers:
    """A row for what was read, for the field made of it, and for each pooled map beside that field."""
    columns = (Column("type", "type"), Column("bytes", "bytes"))
    fewer = (Column("fewer_values", "fewer\nvalues"), Column("fewer_bytes", "fewer\nbytes"))
    original, rows = subject.field, []
    if subject.source is not None:
        name, shape, dtype = subject.source
        rows.append((*named(name, shape, dtype, math.prod(shape) * dtype.itemsize), Cell(), Cell(), Cell()))
    for field in (original, *pooled):
        values, stored = field.values, original.values
        ratios = (stored.size / values.size, stored.nbytes / values.nbytes)
        compared = [Cell() if field is original else number(ratio, ".2f", TIMES) for ratio in ratios]
        known = named(field.name, field.shape, values.dtype, values.nbytes)
        rows.append((*known, *compared, Cell(field.range(), limits(field, subject.unit))))
    headings = (_MAP, _SHAPE, *columns, *fewer, Column("range", "range"))
    return Numbers(subject.title, headings, tuple(rows), (*subject.notes, windows))


def named(name: str, shape: tuple[int, ...], dtype: np.dtype, size: int) -> tuple[Cell, ...]:
    return Cell(name, name), Cell(shape, said(shape)), Cell(str(dtype), str(dtype)), Cell(size, f"{size:,}")


def limits(field: Field, unit: str) -> str:
    words = []
    if (limits := field.range()) is not None:
        words.append(" … ".join(f"{limit:.4g}" for limit in limits) + (f" {unit}" if unit else ""))
    if missing := field.missing():
        words.append(f"{missing:,} NaN or ±inf" if np.isinf(field.values).any() else f"{missing:,} NaN")
    return ", ".join(words)


def losses(subject: Subject, results: Sequence[Kept], windows: str) -> Numbers:
    """A row for each method: where its outputs came from, and how well the input can be had back."""
    columns = (
        Column("used", "cells\nused"),
        Column("contributors", "cells behind\nan output"),
        Column("repeated", "error,\nrepeated"),
        Column("fitted", "error,\nfitted"),
        Column("unpooled", "error,\nunpooled"),
    )
    rows = tuple(
        (
            Cell(result.pooled.name, result.pooled.name),
            Cell(result.pooled.shape, said(result.pooled.shape)),
            Cell(result.used, f"{result.used:.1%}"),
            number(result.contributors, ".2f"),
            number(result.repeated),
            number(result.fitted),
            number(result.unpooled),
        )
        for result in results
    )
    notes = (
        "errors: RMS, in standard deviations of the input",
        "repeated: each cell takes the output with the nearest window; fitted: then the best scale and offset",
        "unpooled: each value goes back to the cell that it came from, zeros elsewhere",
    )
    return Numbers(subject.title, (_MAP, _SHAPE, *columns), rows, (*subject.notes, windows, *notes))


def shifts(subject: Subject, results: Sequence[Shift], windows: str) -> tuple[Numbers, Numbers]:
    """The change under each shift, and what is left of it when the map may move along."""
    axis = subject.field.axes[-1].label
    around = f"circular shifts along the last axis, {axis}; RMS, in standard deviations of the unshifted map"
    parts = (
        ("change of the map", [result.change for result in results], (*subject.notes, windows, around)),
        ("change beyond a move of the map by whole cells", [result.moved for result in results], (around,)),
    )
    columns = (_MAP, *(Column(f"shift_{cells}", str(cells)) for cells in range(len(results[0].change))))
    first, second = (
        Numbers(
            f"{subject.title}: {title}",
            columns,
            tuple(
                (Cell(result.name, result.name), *map(number, row)) for result, row in zip(results, values, strict=True)
            ),
            notes,
        )
        for title, values, notes in parts
    )
    return first, second
