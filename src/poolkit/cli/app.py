"""The commands together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import poolkit
from poolkit.cli import errors
from poolkit.cli.cite import cite
from poolkit.cli.explain import explain
from poolkit.cli.list import list_all
from poolkit.cli.samples import samples
from poolkit.cli.show import show
from poolkit.cli.summary import summary

FAILED = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """Commands whose errors are one line on stderr and exit code 2."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        run = partial(super().main, args, prog_name, complete_var, False, windows_expand_args, **extra)
        if not standalone_mode:
            return run()
        try:
            sys.exit(run())
        except typer.Abort:
            sys.exit(INTERRUPTED)
        except Exception as error:
            if (line := errors.line(error)) is None:
                raise
            typer.echo(line, err=True)
            sys.exit(FAILED)


app = typer.Typer(
    name="poolkit",
    cls=Commands,
    help="Pooling for PyTorch and NumPy: see what it does, and what serves it.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    add_completion=False,
)


def version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"poolkit {poolkit.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command()(show)
app.command()(samples)
app.command()(explain)
app.command("list")(list_all)
app.command()(cite)
app.command()(summary)
