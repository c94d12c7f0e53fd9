"""What a call costs where the map is so small that nothing else counts, beside torch: eager and compiled.

python benchmarks/calls.py [--seconds 2.0] [--size 8]

Microseconds a call on one thread; forward without a gradient, forward that keeps what the gradient needs, and forward
and backward. All contenders of a row run in turn, round after round; a figure is the median over the rounds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import machine
import measure
import torch
import torch.nn.functional as F
from run import positive
from torch import Tensor

from poolkit import functional

Pooling = Callable[[Tensor], Any]

ROWS: dict[str, tuple[Pooling, Pooling]] = {
    "max 2x2/2": (lambda x: functional.max_pool2d(x, 2), lambda x: F.max_pool2d(x, 2)),
    "avg 2x2/2": (lambda x: functional.avg_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2)),
    "adaptive max to 2": (lambda x: functional.adaptive_max_pool2d(x, 2), lambda x: F.adaptive_max_pool2d(x, 2)),
    "adaptive avg to 2": (lambda x: functional.adaptive_avg_pool2d(x, 2), lambda x: F.adaptive_avg_pool2d(x, 2)),
    "global avg": (lambda x: functional.global_avg_pool2d(x), lambda x: F.adaptive_avg_pool2d(x, 1)),
    "lp 2x2/2": (lambda x: functional.lp_pool2d(x, 2.0, 2), lambda x: F.lp_pool2d(x, 2.0, 2)),
}
HEAD = "| call | | poolkit | torch | times | compiled | torch compiled | times |\n|---|---|---|---|---|---|---|---|"


def forward_and_backward(pooling: Pooling, x: Tensor) -> measure.Call:
    gradient = torch.ones_like(pooling(x))
    return lambda: torch.autograd.grad(pooling(x), x, gradient)


def directions(pooling: Pooling, x: Tensor) -> dict[str, measure.Call]:
    leaf = x.clone().requires_grad_()
    return {
        "no gradient": lambda: pooling(x),
        "keeps for it": lambda: pooling(leaf),
        "and backward": forward_and_backward(pooling, leaf),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The time of calls on small maps, beside torch.")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each line, three rounds at least")
    parser.add_argument("--size", type=positive, default=8, help="the map's height and width, of 8 channels")
    given = parser.parse_args(argv)
    machine.introduce(1)
    x = torch.rand(1, 8, given.size, given.size)
    print(HEAD)
    for row, (ours, theirs) in ROWS.items():
        torch.testing.assert_close(ours(x), theirs(x))
        torch.compiler.reset()
        contenders = {"poolkit": ours, "torch": theirs}
        contenders |= {f"{name} compiled": torch.compile(pooling) for name, pooling in contenders.items()}
        calls = {name: directions(pooling, x) for name, pooling in contenders.items()}
        for direction in calls["poolkit"]:
            timings = measure.measure({name: call[direction] for name, call in calls.items()}, given.seconds, 3)
            figures = []
            for suffix in ("", " compiled"):
                own, other = (timings[name + suffix].median * 1e6 for name in ("poolkit", "torch"))
                figures += [f"{own:.1f}", f"{other:.1f}", f"{own / other:.1f}x"]
            print(f"| {row} | {direction} | " + " | ".join(figures) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
