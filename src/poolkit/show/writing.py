"""A file is written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from poolkit.errors import ArgumentError


def check_target(path: Path, suffixes: tuple[str, ...], *keep: Path) -> None:
    """Refuse, before any work, a path that cannot be written or that is one of the files to `keep`."""
    if path.suffix.lower() not in suffixes:
        raise ArgumentError(f"{path} should end in {', '.join(suffixes)}, but got {path.suffix!r}")
    if not path.parent.is_dir():
        raise ArgumentError(f"{path} cannot be written: {path.parent} is not a folder")
    if path.exists() and not path.is_file():
        raise ArgumentError(f"{path} cannot be written: it exists and is not a regular file")
    if not os.access(path if path.exists() else path.resolve().parent, os.W_OK):
        raise ArgumentError(f"{path} cannot be written: permission denied")
    if path.exists() and any(path.samefile(other) for other in keep):
        raise ArgumentError(f"{path} cannot be written: it is the input")


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A stream for the new content of a file, which takes its place only after all is written."""
    target = path.resolve()  # a link stays a link
    part = target.with_name(f".{secrets.token_hex(8)}.part")  # beside it: replacing is one step
    try:
        with part.open("xb") as stream:
            yield stream
        os.replace(part, target)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
