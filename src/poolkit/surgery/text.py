"""Figures and tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence


def amount(value: int | None, unit: str = "") -> str:
    """Three digits and a prefix: 4.82 MB."""
    if value is None:
        return "-"
    size, prefix = float(value), ""
    for prefix in ("", "k", "M", "G", "T"):
        if size < 999.5 or prefix == "T":
            break
        size /= 1000
    return f"{size:.3g} {prefix}{unit}".rstrip()


def shape(sizes: Sequence[int] | None) -> str:
    return "-" if sizes is None else "x".join(map(str, sizes))


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, the first one the heading, with two spaces between columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    heading, *rest = (line.rstrip() for line in padded)
    return "\n".join([heading, "  ".join(rule), *rest])
