"""Where output goes: tables to stdout, progress to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table


def show_table(table: Table) -> None:
    """Print a table as wide as it wants to be: a terminal that is too narrow wraps it, and no number is cut."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.width = max(console.width, Console(width=10_000).measure(table).maximum)
    console.print(table)


def progress() -> Progress:
    """A bar on stderr that disappears when the work is done; nothing if nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
