"""The command line: one file a command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run `poolkit`."""
    try:
        from poolkit.cli.app import app
    except ModuleNotFoundError as error:
        from poolkit.cli.errors import missing

        if (line := missing(error)) is None:
            raise
        print(line, file=sys.stderr)
        sys.exit(2)
    app()
