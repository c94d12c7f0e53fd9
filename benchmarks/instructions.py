"""Instructions that the kernels run, counted by callgrind and compared with instructions.json. See README.md.

python benchmarks/instructions.py [--update]
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import layers
from layers import Case
from peers.foreign import windows_of
from run import check_writable, save

from poolkit import geometry
from poolkit.methods import METHODS

COUNTS = Path(__file__).with_suffix(".json")
TOLERANCE = 0.03
FUNCTION = "measured"  # of cpp/bench/instructions.cpp

#: Direction, layout, and a layer of shapes/*.txt with one image, or with fewer channels: each costs the same.
ROWS = (
    ("forward", "contiguous", "ResNet stem | max     | 1x16x112x112 | kernel 3 stride 2 padding 1"),
    ("forward", "channels_last", "ResNet stem | max  | 1x16x112x112 | kernel 3 stride 2 padding 1"),
    ("forward", "contiguous", "VGG pool 1  | max avg | 1x16x112x112 | kernel 2 stride 2"),
    ("forward", "contiguous", "SPPF 5x5    | max     | 1x64x20x20   | kernel 5 stride 1 padding 2"),
    ("forward", "contiguous", "Global 7x7  | avg     | 1x2048x7x7   | global"),
    ("backward", "contiguous", "VGG pool 1 | max     | 1x16x112x112 | kernel 2 stride 2"),
)


class Uncounted(RuntimeError):
    """Why there are no counts."""


@dataclass(frozen=True)
class Counts:
    """Instructions of every row, with what they depend on."""

    compiler: str
    isa: str
    rows: dict[str, int]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Count the instructions of the kernels and compare.")
    parser.add_argument("--driver", type=Path, default=Path("build/make/instructions"), help="the built program")
    parser.add_argument("--json", type=Path, default=COUNTS, help="the counts to compare with")
    parser.add_argument("--update", action="store_true", help="write them instead")
    given = parser.parse_args(argv)
    try:
        if given.update:
            check_writable(given.json)
            return save(given.json, vars(count(given.driver)))
        known = read(given.json)
        return compare(known, given.driver)
    except (Uncounted, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def read(path: Path) -> Counts:
    if not path.exists():
        raise Uncounted(f"{path} is missing: write it with --update")
    try:
        known = Counts(**json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise Uncounted(f"{path} cannot be read ({error}): write it anew with --update") from None
    return known


def compare(known: Counts, driver: Path) -> int:
    """0 if no row takes more instructions than before."""
    built = built_with(driver)
    if (known.compiler, known.isa) != built:
        print(f"skipped: the counts are of {known.compiler}, {known.isa}; this is {', '.join(built)}")
        return 0
    rows = count(driver).rows
    changes = {name: change(known.rows.get(name), instructions) for name, instructions in rows.items()}
    for name, instructions in rows.items():
        print(f"{name:<44}{instructions:>12,}{said(changes[name]):>24}")
    for name in known.rows.keys() - rows.keys():
        print(f"{name:<44}{'no longer a row: --update':>36}")
    return int(any(ratio > TOLERANCE for ratio in changes.values()))


def change(before: int | None, now: int) -> float:
    """How many more instructions than before, in parts; infinitely many where there is no count."""
    return now / before - 1 if before else math.inf


def said(change: float) -> str:
    if change == math.inf:
        return "new: --update"
    words = "MORE" if change > TOLERANCE else "fewer: --update" if change < -TOLERANCE else ""
    return f"{change:+.1%} {words}".rstrip()


def count(driver: Path) -> Counts:
    """Every row counted, or none."""
    compiler, isa = built_with(driver)
    rows: dict[str, int] = {}
    for direction, layout, line in ROWS:
        for case in layers.cases([layers.parse(line, COUNTS.stem)], (), (), ()):
            name = f"{case.layer.name}, {case.method} {direction}, {layout.replace('_', ' ')}"
            rows[name] = instructions(driver, case, direction, layout)
    return Counts(compiler, isa, rows)


def built_with(driver: Path) -> tuple[str, str]:
    """The compiler of the driver, and the instruction set that it chooses inside valgrind."""
    compiler, isa = valgrind(driver, "--tool=none").splitlines()
    return compiler, isa


def instructions(driver: Path, case: Case, direction: str, layout: str) -> int:
    """Of one call, after another that planned it and made its scratch memory."""
    batch, channels = case.layer.shape[:2]
    outer, inner = (batch, channels) if layout == "channels_last" else (batch * channels, 1)
    method = METHODS[case.method]
    [step] = method.plan(False, *(case.params.get(p.name, p.default) for p in method.params))
    windows = geometry.pack(windows_of(case.layer), step.counting, step.divisor)
    arguments = (step.kernel, direction, outer, inner, *windows, *step.floats)
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        tool = ("--tool=callgrind", f"--toggle-collect={FUNCTION}", f"--callgrind-out-file={profile}")
        valgrind(driver, *tool, arguments=tuple(map(str, arguments)))
        [total] = [line.split()[1] for line in profile.read_text().splitlines() if line.startswith("totals:")]
    return int(total)


def valgrind(driver: Path, *options: str, arguments: Sequence[str] = ()) -> str:
    """What the driver prints under valgrind."""
    if shutil.which("valgrind") is None:
        raise Uncounted("valgrind is missing: install it, on Debian with apt-get install valgrind")
    if not driver.is_file():
        raise Uncounted(f"{driver} is missing: build it with make bench-check")
    done = subprocess.run(["valgrind", "-q", *options, str(driver), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Uncounted(f"{driver} {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
