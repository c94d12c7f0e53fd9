"""Running commands, and what they leave in the folder that they run in."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from poolkit.cli.app import app


def run(*arguments: object) -> str:
    """The output of a command that succeeds, and says nothing on stderr because nobody watches."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def refused(*arguments: object) -> str:
    """The one line on stderr of a command that fails, and that leaves nothing behind."""
    before = contents()
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert contents() == before
    [line] = result.stderr.splitlines()
    assert line.startswith("poolkit: ")
    return line


def contents() -> dict[str, bytes | None]:
    return {path.name: path.read_bytes() if path.is_file() else None for path in Path.cwd().iterdir()}
