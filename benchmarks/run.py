"""Pooling beside a copy of the same bytes and beside torch. See README.md.

python benchmarks/run.py --only resnet --method max --direction forward --quick
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import heap
import layers
import machine
import report
from contest import DIRECTIONS, Row, contest
from layers import Case
from peers import PEERS, Peer

from poolkit.methods import METHODS


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Pooling beside a copy of the same bytes and beside torch.")
    many: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("--only", metavar="WORD", help="layers whose file or name contains the word", **many)
    parser.add_argument("--method", choices=METHODS, help="these methods, where the layers have them", **many)
    parser.add_argument("--dtype", choices=layers.DTYPES, help="instead of those of the layers", **many)
    parser.add_argument("--peer", choices=PEERS, help="these contenders", **many)
    parser.add_argument("--direction", choices=(*DIRECTIONS, "both"), default="both")
    parser.add_argument("--state", choices=(*heap.STATES, "both"), default="both", help="of the heap")
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="for a row, five rounds at least")
    parser.add_argument("--quick", action="store_true", help="three rounds a row")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the results go")
    return parser.parse_args(argv)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, but got {value}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(argv)
    try:
        cases = layers.cases(layers.read(), given.only, given.method, given.dtype)
        if not cases:
            raise layers.LayerError("no layer fits --only, --method and --dtype")
        check_writable(given.json)
    except (layers.LayerError, OSError) as error:
        print(error, file=sys.stderr)
        return 2

    facts = machine.introduce(given.threads)
    peers = [peer for name, peer in PEERS.items() if not given.peer or name in given.peer]
    budget, fewest = (0.0, 3) if given.quick else (given.seconds, 5)
    states = list(heap.STATES) if given.state == "both" else [given.state]
    directions = DIRECTIONS if given.direction == "both" else (given.direction,)
    sections: list[dict[str, Any]] = []
    failed = False
    for state in states:
        heap.enter(state)
        for direction in directions:
            rows = section(cases, direction, state, peers, budget, fewest)
            failed = failed or any(row.wrong for row in rows)
            sections += [{"state": state, **row.as_dict()} for row in rows]

    settings = {"seconds": budget, "fewest_rounds": fewest}
    saved = save(given.json, {"machine": facts, "settings": settings, "rows": sections})
    return saved or int(failed)


def section(
    cases: Sequence[Case], direction: str, state: str, peers: Sequence[Peer], budget: float, fewest: int
) -> list[Row]:
    """Measure and print every case in one direction."""
    cases = [case for case in cases if direction == "forward" or case.trains]
    others = len(peers) > 2
    if not cases:
        return []
    print(report.heading(direction, state, heap.STATES[state], others), flush=True)
    rows = []
    for case in cases:
        row = contest(case, direction, peers, budget, fewest)
        print(report.line(row, others), flush=True)
        rows.append(row)
    print(report.summary(rows), flush=True)
    return rows


def check_writable(path: Path) -> None:
    """Make its folder, and refuse before the work, not after it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OSError(f"{path} cannot be written")


def save(path: Path, results: dict[str, Any]) -> int:
    """Write a file whole or not at all; 0, or 2 if it could not be written."""
    text = json.dumps(results, indent=1, allow_nan=False) + "\n"
    part = path.with_name(f".{secrets.token_hex(8)}.part")  # in the same folder, so that replacing is one step
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as error:
        print(f"{path} could not be written: {error.strerror}", file=sys.stderr)
        return 2
    finally:
        part.unlink(missing_ok=True)
    print(f"\nresults in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
