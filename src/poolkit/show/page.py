"""A page of HTML that needs nothing beside itself: picture and tables in one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING

from poolkit.show.numbers import Numbers
from poolkit.show.picture import write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
body { max-width: 90rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; }
div { overflow-x: auto; }
img { max-width: 100%; }
table { border-collapse: collapse; margin: 1.5rem 0 .5rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
tr > :first-child { text-align: left; padding-left: 0; }
p { color: #555; margin: 0; }
footer { color: #555; margin-top: 2rem; font-size: .85rem; }
</style>
<h1>$title</h1>
<img alt="$alt" src="data:image/png;base64,$picture">
$tables
<footer>$footer</footer>
</html>
""")


def page(title: str, figure: Figure, tables: Sequence[Numbers], footer: str) -> str:
    """The page; every text in it is escaped."""
    stream = io.BytesIO()
    write(figure, stream, "png")
    return PAGE.substitute(
        title=escape(title),
        alt=escape(f"The picture of {title}; its numbers are in the tables below"),
        picture=base64.b64encode(stream.getvalue()).decode(),
        tables="\n".join(map(table, tables)),
        footer=escape(footer),
    )


def table(numbers: Numbers) -> str:
    headings = "".join(f'<th scope="col">{escape(column.heading)}</th>' for column in numbers.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(first.text)}</th>'
        + "".join(f"<td>{escape(cell.text)}</td>" for cell in cells)
        + "</tr>\n"
        for first, *cells in numbers.rows
    )
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in numbers.notes)
    return (
        f"<div><table><caption>{escape(numbers.title)}</caption>\n<thead><tr>{headings}</tr></thead>\n"
        f"<tbody>\n{rows}</tbody></table></div>\n{notes}"
    )
