"""The table: ratios first, geometric means last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from contest import Row
from layers import LAYOUTS
from peers import POOLKIT, TORCH

TITLES = {"forward": "Forward", "train": "Forward and backward"}


def heading(direction: str, state: str, words: str, others: bool) -> str:
    first = f"{'':38}{'times over the bound':^32}{'faster than torch':^18}"
    names = ("poolkit", "ch.last", "torch", "ch.last")
    second = f"{'layer':<28}{'method':<10}" + "".join(f"{name:>8}" for name in names)
    second += f"{'contig.':>9}{'ch.last':>9}{'goal':>6}"
    second += f"{'best peer':>24}" if others else f"{'poolkit':>10}{'spread':>8}{'new MB':>8}"
    title = f"{TITLES[direction]} · {state}: {words}"
    return "\n".join(("", title, "", first.rstrip(), second, "─" * len(second)))


def line(row: Row, others: bool) -> str:
    case = row.case
    name = case.layer.name if case.dtype == "float32" else f"{case.layer.name}, {case.dtype}"
    text = f"{name:<28.27}{case.method:<10}"
    for peer in (POOLKIT.name, TORCH.name):
        for layout in LAYOUTS:
            result = row.result(peer, layout)
            wrong = result is not None and result.wrong is not None
            text += f"{'WRONG' if wrong else times(row.over_bound(peer, layout)):>8}"
    for layout in LAYOUTS:
        text += f"{times(row.speed_up(layout)):>9}"
    text += f"{'' if row.goal is None else f'{row.goal:g}':>6}"
    if others:
        best = row.best_other
        return text + f"{f'{times(best[1])} {best[0]}' if best else '-':>24.24}"
    ours = next((r.timing for r in row.results if r.peer == POOLKIT.name and r.timing), None)
    if ours:
        text += f"{duration(ours.median):>10}{ours.spread:>8.0%}{ours.new_bytes / 2**20:>8.1f}"
    return text


def times(ratio: float | None) -> str:
    """Three digits at most: 0.95x, 1.2x, 12x."""
    if ratio is None:
        return "-"
    return f"{ratio:.2f}x" if ratio < 0.995 else f"{ratio:.1f}x" if ratio < 9.95 else f"{ratio:.0f}x"


def duration(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def summary(rows: Sequence[Row]) -> str:
    """Geometric means, the worst row, and the goals reached; then what is wrong."""
    lines = ["─" * 28 + " geometric means"]
    for words, chosen in groups(rows):
        for layout in LAYOUTS:
            known = [row for row in chosen if row.speed_up(layout)]
            if known:
                over = geometric_mean(row.over_bound(POOLKIT.name, layout) for row in known)
                mean = geometric_mean(row.speed_up(layout) for row in known)
                worst = min(known, key=lambda row: row.speed_up(layout) or math.inf)
                lines.append(
                    f"{words}, {layout.replace('_', ' ')}, {len(known)} rows: {times(over)} the bound, "
                    f"{times(mean)} as fast as torch; "
                    f"least {times(worst.speed_up(layout))}, {worst.case.layer.name} {worst.case.method}"
                )
    goals = [row for row in rows if row.goal]
    if goals:
        reached = sum(
            any((row.over_bound(POOLKIT.name, layout) or math.inf) <= (row.goal or 0) for layout in LAYOUTS)
            for row in goals
        )
        lines.append(f"goal reached in one layout at least: {reached} of {len(goals)} rows")
    for row in rows:
        name = f"{row.case.layer.name} {row.case.method} {row.case.dtype}"
        lines += [f"WRONG  {name}: {fault}" for fault in row.wrong]
    return "\n".join(lines)


def groups(rows: Sequence[Row]) -> Iterable[tuple[str, list[Row]]]:
    """All rows in float32, the two-dimensional among them, and the other dtypes."""
    float32 = [row for row in rows if row.case.dtype == "float32"]
    yield "float32", float32
    yield "float32 2-D", [row for row in float32 if row.case.layer.rank == 2]
    yield "other dtypes", [row for row in rows if row.case.dtype != "float32"]


def geometric_mean(ratios: Iterable[float | None]) -> float:
    logarithms = [math.log(ratio) for ratio in ratios if ratio]
    return math.exp(sum(logarithms) / len(logarithms))
