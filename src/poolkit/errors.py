"""The error that bad arguments raise."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ArgumentError(ValueError, RuntimeError):
    """An argument has a value that pooling does not allow.

    It is a ``ValueError``, and a ``RuntimeError`` too because that is what torch raises, so that code
    written around ``torch.nn.functional`` still catches it.
    """


def nearest(name: object, known: Iterable[str]) -> str:
    """How the message ends that refuses a name: which of the known ones may be meant, if any is near."""
    near = difflib.get_close_matches(str(name), list(known))
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
