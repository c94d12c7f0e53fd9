"""Puts the figures of a run into docs/performance.md, between their markers.

python benchmarks/page.py build/bench.json
python benchmarks/page.py build/recipes.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from machine import said
from report import TITLES, geometric_mean, times

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
RECIPES_HEAD = "| task | faster than the fastest recipe | bound | memory | recipe's |\n|---|---|---|---|---|\n"
HEAD = (
    "| layer | method | poolkit | ch. last | torch | ch. last | best other peer | goal |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def over_bound(row: dict[str, Any], peer: str, layout: str) -> float | None:
    found = (c for c in row["contenders"] if (c["peer"], c["layout"]) == (peer, layout))
    return next((c["over_bound"] for c in found), None)


def best_other(row: dict[str, Any]) -> str:
    others = [
        (c["over_bound"], c["peer"] + (" ch. last" if c["layout"] == "channels_last" else ""))
        for c in row["contenders"]
        if c["over_bound"] and c["peer"] not in ("poolkit", "torch")
    ]
    return f"{times(min(others)[0])} {min(others)[1]}" if others else "-"


def line(row: dict[str, Any]) -> str:
    name = row["layer"] if row["dtype"] == "float32" else f"{row['layer']}, {row['dtype']}"
    layouts = ("contiguous", "channels_last")
    figures = [times(over_bound(row, peer, layout)) for peer in ("poolkit", "torch") for layout in layouts]
    goal = "" if row["goal"] is None else f"{row['goal']:g}x"
    return "| " + " | ".join([name, row["method"], *figures, best_other(row), goal]) + " |\n"


def means(rows: list[dict[str, Any]]) -> str:
    text = ""
    for words, chosen in (
        ("float32", [r for r in rows if r["dtype"] == "float32"]),
        ("float32, 2-D", [r for r in rows if r["dtype"] == "float32" and len(r["shape"]) == 4]),
    ):
        for layout in ("contiguous", "channels_last"):
            known = [r for r in chosen if r["speed_up"].get(layout)]
            if known:
                faster = geometric_mean(r["speed_up"][layout] for r in known)
                over = geometric_mean(over_bound(r, "poolkit", layout) for r in known)
                text += (
                    f"- {words}, {layout.replace('_', ' ')}, {len(known)} rows: {times(over)} the bound, "
                    f"{times(faster)} as fast as torch in the same layout\n"
                )
    return text


def figures(results: dict[str, Any]) -> str:
    text = said(results["machine"]) + "\n"
    for state in dict.fromkeys(row["state"] for row in results["rows"]):
        for direction, title in TITLES.items():
            rows = [r for r in results["rows"] if (r["state"], r["direction"]) == (state, direction)]
            if rows:
                text += f"\n### {title}, memory: {state}\n\n{HEAD}{''.join(map(line, rows))}\n{means(rows)}"
    return text


def recipe_line(row: dict[str, Any]) -> str:
    ours = row["contenders"].get("poolkit")
    over = ours and ours["seconds"] / row["bound"]["seconds"]
    recipe = next(iter(row["faster_than"]), None)
    least = f"{times(row['faster_than_fastest'])} {recipe}" if recipe else "-"
    memory = (times(row["memory"].get(name)) for name in ("poolkit", recipe))
    return "| " + " | ".join([row["task"], least, times(over), *memory]) + " |\n"


def recipes(results: dict[str, Any]) -> str:
    text = said(results["machine"]) + "\n"
    for direction, title in TITLES.items():
        rows = [row for row in results["rows"] if row["direction"] == direction]
        known = [row["faster_than_fastest"] for row in rows if row["faster_than_fastest"]]
        if known:
            text += f"\n### {title}\n\n{RECIPES_HEAD}{''.join(map(recipe_line, rows))}\n"
            text += f"- {len(known)} rows: {times(geometric_mean(known))} as fast as the fastest recipe\n"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description="Puts the figures of a run into docs/performance.md.")
    parser.add_argument("results", type=Path, help="what run.py or recipes.py wrote")
    given = parser.parse_args()
    try:
        results = json.loads(given.results.read_text())
        section, write = ("recipes", recipes) if "task" in results["rows"][0] else ("figures", figures)
        begin, end = (f"<!-- {section}: {place} -->\n" for place in ("begin", "end"))
        before, _, rest = PAGE.read_text().partition(begin)
        _, marker, after = rest.partition(end)
        if not marker:
            raise ValueError(f"{PAGE} lacks the markers of {section}")
    except (OSError, ValueError, LookupError) as error:
        print(error, file=sys.stderr)
        return 2
    PAGE.write_text(before + begin + write(results) + end + after)
    print(f"figures of {len(results['rows'])} rows in {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
