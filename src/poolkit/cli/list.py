"""poolkit list: every method and layer."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from typer import Option

JSON = Option("--json", help="As JSON, with formulas, functions and modules besides.")


def list_all(as_json: Annotated[bool, JSON] = False) -> None:
    """List every method and layer: what it takes, what it learns, how training differs, what serves it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from poolkit._catalogue import catalogue
    from poolkit.cli.output import show_table

    entries = catalogue()
    if as_json:
        typer.echo(json.dumps([entry.plain() for entry in entries], indent=2))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, leading=1, caption="kernel: a native one computes it on CPU")
    columns = {"name": 20, "method": 26, "ranks": 5, "parameters": 32, "learns": 21, "train\n≠ eval": 6, "forms": 9}
    for column, width in (columns | {"kernel": 6}).items():
        table.add_column(column, max_width=width, overflow="fold")
    for entry in entries:
        table.add_row(
            entry.row.name,
            entry.row.title,
            " ".join(map(str, entry.ranks)),
            ", ".join(map(str, entry.parameters)),
            ", ".join(entry.learnable),
            _yes(entry.training_differs),
            "\n".join(entry.forms) or "layer",
            _yes(entry.native),
        )
    show_table(table)


def _yes(fact: bool) -> str:
    return "yes" if fact else ""
