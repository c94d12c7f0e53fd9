"""The error that bad arguments raise."""

from __future__ import annotations


class ArgumentError(ValueError, RuntimeError):
    """An argument has a value that pooling does not allow.

    It is a ``ValueError``, and a ``RuntimeError`` too because that is what torch raises, so that code
    written around ``torch.nn.functional`` still catches it.
    """
