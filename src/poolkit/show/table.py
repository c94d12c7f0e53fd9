"""The numbers: what every map holds, and how much smaller it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from poolkit.show.field import TIMES, Field, Subject, said

if TYPE_CHECKING:
    from rich.table import Table


def table(subject: Subject, pooled: Sequence[Field], windows: str) -> Table:
    """A row for what was read, for the field made of it, and for each pooled map beside that field."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    caption = "\n".join((*subject.notes, windows))
    result = Table(title=Text(subject.title, "bold"), caption=Text(caption), box=SIMPLE_HEAD, pad_edge=False)
    result.add_column("map", no_wrap=True)
    for column in ("shape", "type", "bytes", "fewer\nvalues", "fewer\nbytes", "range"):
        result.add_column(column, justify="right", no_wrap=True)

    if subject.source is not None:
        name, shape, dtype = subject.source
        result.add_row(name, said(shape), str(dtype), f"{math.prod(shape) * dtype.itemsize:,}")
    original = subject.field
    for field in (original, *pooled):
        values, stored = field.values, original.values
        fewer = (times(stored.size, values.size), times(stored.nbytes, values.nbytes))
        result.add_row(
            Text(field.name, "" if field is original else "bold"),
            said(field.shape),
            str(values.dtype),
            f"{values.nbytes:,}",
            *(("", "") if field is original else fewer),
            limits(field, subject.unit),
        )
    return result


def times(before: int, after: int) -> str:
    return f"{before / after:.2f}{TIMES}"


def limits(field: Field, unit: str) -> str:
    words = []
    if (limits := field.range()) is not None:
        words.append(" … ".join(f"{limit:.4g}" for limit in limits) + (f" {unit}" if unit else ""))
    if missing := field.missing():
        words.append(f"{missing:,} NaN or ±inf" if np.isinf(field.values).any() else f"{missing:,} NaN")
    return ", ".join(words)
