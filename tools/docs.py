"""Writes docs/methods/<name>.md from the tables of methods and layers and the stories in docs/stories.

python tools/docs.py           write the pages and README's tables
python tools/docs.py --check   exit with 1 if they are not up to date
"""

from __future__ import annotations

import inspect
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import pictures  # noqa: E402
import requirements  # noqa: E402

from poolkit import functional, nn  # noqa: E402
from poolkit._signatures import Form, arguments_of, functions, signature  # noqa: E402
from poolkit.methods import KERNELS, LAYERS, METHODS, ROWS, Layer, Method, Row  # noqa: E402

FORMS: dict[Form, str] = {
    "sliding": "Sliding windows",
    "adaptive": "A target size",
    "global": "The whole plane",
}
INTEGERS = {"all": "bool, uint8, int8, int16, int32, int64", "int64": "int64", "none": "none"}
GRADIENTS = {
    "linear": "nothing but shapes",
    "winner": "the winner of each window, as an offset of 1, 2 or 4 bytes",
    "linear+winner": "the winner of each window, as an offset of 1, 2 or 4 bytes",
    "input": "the input and the output, by reference",
    "weights": "the input and the output, by reference",
    "shares": "the input, by reference",
    "cells": "the winners of two cells of each window, as offsets of 1, 2 or 4 bytes",
    "formula": "what the formula in PyTorch keeps, as many cells as all windows have",
}


def kept(method: Method) -> str:
    """What the method's samples keep for backward."""
    return "; or ".join(dict.fromkeys(GRADIENTS[KERNELS[kernel].gradient] for kernel in method.runs))


def page(method: Method) -> str:
    lines = opening(method)
    lines += ["## Functions and modules", "", "| form | function | module |", "|---|---|---|"]
    for form, title in FORMS.items():
        two = next(f for f in functions() if f.method == method.name and f.form == form and f.rank == 2)
        module = signature(arguments_of(method, form, module=True))
        lines.append(f"| {title} | `{two.name}(input, {signature(two.arguments)})` | `{two.class_name}({module})` |")
    lines += ["", "Each in 1-D, 2-D and 3-D, in `poolkit.functional`, `poolkit.nn` and `poolkit.numpy`.", ""]
    if method.params:
        lines += ["## Parameters", "", "| name | default | allowed | meaning |", "|---|---|---|---|"]
        for p in method.params:
            default = "required" if p.leading else f"`{p.default!r}`"
            lines.append(f"| `{p.name}` | {default} | {p.allowed} | {p.meaning} |")
        lines.append("")
    lines += ["## Types and memory", ""]
    lines += [f"- Floating types: float32, float64, float16, bfloat16. Integer types: {INTEGERS[method.integers]}."]
    lines += [f"- Kept for backward: {kept(method)}."]
    return "\n".join([*lines, *source(method)])


def opening(row: Row) -> list[str]:
    """The beginning of every page."""
    story = (ROOT / "docs" / "stories" / f"{row.name}.md").read_text().strip()
    return [f"# {row.title}", "", f"`{row.formula}`", "", row.summary, "", *pictures.page(row), story, ""]


def source(row: Row) -> list[str]:
    """The end of every page."""
    lines = ["", "## Source", "", f"{row.source[0].upper()}{row.source[1:]}.", ""]
    if row.papers:
        entries = "\n\n".join(paper.bibtex for paper in row.papers)
        lines += [f"`poolkit cite {row.name}` prints", "", "```bibtex", entries, "```", ""]
    if row.see:
        lines += ["See also: " + ", ".join(f"[{ROWS[name].title}]({name}.md)" for name in row.see) + ".", ""]
    return lines


def call(name: str, written: object) -> str:
    """The function or class as it is called, without annotations."""
    parameters = inspect.signature(written).parameters.values()  # type: ignore[arg-type]
    return f"{name}{inspect.Signature([p.replace(annotation=p.empty) for p in parameters])}"


def layer_page(layer: Layer) -> str:
    lines = opening(layer)
    for front, names in ((functional, layer.functions), (nn, layer.modules)):
        told: dict[str, list[str]] = {}  # ranks that say the same stand together
        for name in names:
            told.setdefault(inspect.getdoc(getattr(front, name)) or "", []).append(name)
        for text, same in told.items():
            lines += [f"## {', '.join(same)}", ""]
            lines += [f"`{front.__name__}.{call(name, getattr(front, name))}`\n" for name in same]
            lines += ["```text", text, "```", ""]
    return "\n".join([*lines[:-1], *source(layer)])


def layer_table() -> str:
    rows = ["| layer | functions | modules | value |", "|---|---|---|---|"]
    for layer in LAYERS.values():
        cells = (shortened(names) for names in (layer.functions, layer.modules))
        rows.append(f"| [{layer.title}](docs/methods/{layer.name}.md) | {' | '.join(cells)} | `{layer.formula}` |")
    return "\n".join(rows) + "\n"


def shortened(names: tuple[str, ...]) -> str:
    """The names of a cell; those of three ranks by the first."""
    return f"`{names[0]}` ... `3d`" if len(names) == 3 else ", ".join(f"`{name}`" for name in names)


def table() -> str:
    rows = ["| method | functions | modules | value of a window |", "|---|---|---|---|"]
    for m in METHODS.values():
        functions_cell = f"`{m.name}_pool1d` ... `3d`, `adaptive_`, `global_`"
        modules_cell = f"`{m.class_name}Pool1d` ... `3d`, `Adaptive`, `Global`"
        rows.append(f"| [{m.title}](docs/methods/{m.name}.md) | {functions_cell} | {modules_cell} | `{m.formula}` |")
    return "\n".join(rows) + "\n"


def pages() -> dict[pathlib.Path, str]:
    written = {ROOT / "docs" / "methods" / f"{m.name}.md": page(m) for m in METHODS.values()}
    written |= {ROOT / "docs" / "methods" / f"{layer.name}.md": layer_page(layer) for layer in LAYERS.values()}
    readme = (ROOT / "README.md").read_text()
    for name, rows in (("methods", table()), ("layers", layer_table())):
        start, end = f"<!-- {name}: written by tools/docs.py -->\n", f"<!-- end of {name} -->\n"
        head, _, rest = readme.partition(start)
        _, _, tail = rest.partition(end)
        readme = head + start + rows + end + tail
    written[ROOT / "README.md"] = readme
    written[ROOT / "docs" / "requirements.md"] = requirements.page()
    return written


def main() -> int:
    stale = {path: text for path, text in pages().items() if not path.exists() or path.read_text() != text}
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"stale: {', '.join(str(p.relative_to(ROOT)) for p in stale)}; run python tools/docs.py")
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
