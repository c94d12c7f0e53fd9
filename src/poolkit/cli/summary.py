"""poolkit summary: every pooling of a model."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument, Option

from poolkit.errors import ArgumentError

MODEL = Argument(metavar="MODULE:CALLABLE", help="A model or what returns one: torchvision.models:resnet18.")
INPUT = Option("--input", metavar="SHAPE[:TYPE]", help="Of what the model takes: 1,3,224,224 or 1,128:int64.")
TIME = Option("--time", help="Take each pooling's share of the time.")
JSON = Option("--json", help="As JSON.")


def summary(
    model: Annotated[str, MODEL],
    inputs: Annotated[list[str], INPUT],
    time: Annotated[bool, TIME] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """List every pooling that a model runs: its windows, receptive field and costs, and what it saves."""
    import poolkit
    from poolkit.cli import models

    given = [models.tensor(text) for text in inputs]
    net = models.load(model)
    try:
        told = poolkit.summary(net, *given, time=time)
    except Exception as error:
        raise ArgumentError(f"{model} fails on this input: {type(error).__name__}: {error}") from None
    if as_json:
        typer.echo(told.to_json())
        return
    if not told:
        typer.echo(f"{model} has no pooling")
        return
    for lines in (told.costs(), told.savings()):
        _show(lines)
    if told.seconds is not None:
        share = sum(row.share or 0 for row in told)
        typer.echo(f"model: {told.seconds * 1e3:.3f} ms, of which pooling {share:.1%}")


def _show(lines: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from poolkit.cli.output import show_table

    heading, *rest = lines
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in heading:
        table.add_column(name, no_wrap=True)
    for line in rest:
        table.add_row(*line)
    show_table(table)
