"""What goes wrong through no fault of poolkit is said in one line, without a traceback."""

from __future__ import annotations

from poolkit.errors import ArgumentError

SHOW = ("PIL", "librosa", "matplotlib", "rich", "soundfile", "typer")
OTHERS = {"torch": "torch", "nibabel": "volumes", "pydicom": "volumes", "av": "video"}
EXTRA = dict.fromkeys(SHOW, "show") | OTHERS  # which extra brings a package


def missing(error: ModuleNotFoundError) -> str | None:
    """The line for a package of an extra that is not installed; None if the error is another."""
    name = (error.name or "").partition(".")[0]
    return f'poolkit: this needs {name}: pip install "poolkit[{EXTRA[name]}]"' if name in EXTRA else None


def line(error: Exception) -> str | None:
    """The line for an error that the user can mend; None for any other, which deserves its traceback."""
    if isinstance(error, ModuleNotFoundError):
        return missing(error)
    if isinstance(error, MemoryError):
        return "poolkit: there is not enough memory for this"
    if hasattr(error, "format_message"):  # of the parser; not every Typer makes its class public
        return _joined(error.format_message())
    if isinstance(error, ArgumentError | OSError):
        return _joined(str(error))
    return None


def _joined(message: str) -> str:
    return "poolkit: " + " ".join(message.split())
