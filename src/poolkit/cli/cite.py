"""poolkit cite: BibTeX of the papers behind methods and layers."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument


def cite(
    names: Annotated[list[str], Argument(metavar="NAME...", help="Methods and layers, as in poolkit list.")],
) -> None:
    """Print the BibTeX entries of the papers that methods and layers come from."""
    import poolkit

    typer.echo(poolkit.cite(*names))
