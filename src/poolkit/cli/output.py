"""Where output goes: tables to stdout, progress to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

    from poolkit.show.numbers import Numbers
    from poolkit.show.track import Track


def show_table(table: Table) -> None:
    """Print a table as wide as it wants to be: a terminal that is too narrow wraps it, and no number is cut."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.width = max(console.width, Console(width=10_000).measure(table).maximum)
    console.print(table)


def show_tables(tables: Iterable[Numbers]) -> None:
    for numbers in tables:
        show_table(numbers.rich())


class Watch(NamedTuple):
    """How work is watched: one piece of it by its name, or item after item."""

    piece: Callable[..., Any]
    items: Track


@contextmanager
def watched() -> Iterator[Watch]:
    """A bar on stderr that disappears when the work is done; nothing if nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console, silent = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=silent) as progress:

        def items(items: Sequence[Any], description: str) -> Iterable[Any]:
            task = progress.add_task(description)
            yield from progress.track(items, task_id=task)
            progress.remove_task(task)

        def piece(description: str, work: Callable[..., Any], *arguments: Any) -> Any:
            task = progress.add_task(description, total=None)
            done = work(*arguments)
            progress.remove_task(task)
            return done

        yield Watch(piece, items)
