"""A table of numbers: text for people, values for programs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table


class Column(NamedTuple):
    key: str  #: for programs
    heading: str


class Cell(NamedTuple):
    """A number, or what else stands there, and how it is written."""

    value: Any = None
    text: str = ""


def number(value: float | None, form: str = ".3f", unit: str = "") -> Cell:
    """A number that may be missing."""
    return Cell() if value is None or not math.isfinite(value) else Cell(value, f"{value:{form}}{unit}")


@dataclass(frozen=True)
class Numbers:
    """Rows of cells under columns, the first of which names the row."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        keys = [column.key for column in self.columns]
        rows = [
            {key: cell.value for key, cell in zip(keys, row, strict=True) if cell.value is not None}
            for row in self.rows
        ]
        return {"title": self.title, "notes": list(self.notes), "rows": rows}

    def rich(self) -> Table:
        """As a terminal shows it."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(self.title, "bold"), caption=Text("\n".join(self.notes)), box=SIMPLE_HEAD, pad_edge=False
        )
        for place, column in enumerate(self.columns):
            table.add_column(column.heading, justify="right" if place else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*(Text(cell.text) for cell in row))
        return table
