"""The figures of an application over several seeds, for one pooling after the other: those of docs/choose.md.

python benchmarks/choose.py images --set net=lenet --pool max --pool avg --seeds 5
python benchmarks/choose.py text

A line a figure: the mean over the seeds, their standard deviation, and the seeds' own figures. Poolings that differ by
less than these deviations have not been told apart.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


def figures(name: str, options: Mapping[str, str], seeds: int, smoke: bool) -> dict[str, list[float]]:
    """What the application returns, seed by seed; what it prints is left out."""
    example = importlib.import_module(name)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        with contextlib.redirect_stdout(io.StringIO()):
            result = example.main(seed=seed, smoke=smoke, **options)
        for title, value in result.items():
            found.setdefault(title, []).append(value)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "data"))
    parser.add_argument("--pool", action="append", help="for examples that have the option; may be repeated")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another option of the example"
    )
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0 on")
    parser.add_argument("--smoke", action="store_true", help="learn for seconds only")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sys.path.insert(0, str(EXAMPLES))
    options = dict(text.split("=", 1) for text in given.set)
    for pool in given.pool or [None]:
        chosen = options if pool is None else options | {"pool": pool}
        for title, values in figures(given.example, chosen, given.seeds, given.smoke).items():
            label = title if pool is None else f"{pool}, {title}"
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            seeds = " ".join(f"{value:.3f}" for value in values)
            print(f"{given.example}: {label}: {statistics.mean(values):.3f} ± {spread:.3f} ({seeds})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
