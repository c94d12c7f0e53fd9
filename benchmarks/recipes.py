"""Poolings that torch does not have beside what people write instead: time and peak memory. See README.md.

python benchmarks/recipes.py --only median --direction forward --quick
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import heap
import layers
import machine
import measure
import torch
import verify
from contest import DIRECTIONS, timing_as_dict
from measure import Timing
from memory import forget_peak, resident
from peers import POOLKIT
from report import TITLES, duration, geometric_mean, times
from run import check_writable, positive, save
from tasks import HAS_TORCHVISION, Contender, Task, tasks
from torch import Tensor

#: How much faster than the fastest recipe poolkit wants to be, and how much memory it wants to take at most.
FASTER, MEMORY = 10, 1.2
#: The mean of draws may be off by this many standard errors: one false alarm in five hundred million.
DEVIATIONS = 6


@dataclass(frozen=True)
class Row:
    task: Task
    direction: str
    number_of_bytes: int
    """Of inputs and output, and in training of their gradients: what must be held at once, and read or written."""
    bound: Timing
    timings: Mapping[str, Timing]
    memory: Mapping[str, float]
    """Bytes at the peak, in multiples of those."""
    wrong: Mapping[str, str]

    @property
    def faster(self) -> dict[str, float]:
        """How many times as fast as each recipe poolkit is, the fastest recipe first."""
        ours = self.timings.get(POOLKIT.name)
        others = {name: timing.median for name, timing in self.timings.items() if name != POOLKIT.name}
        return {name: others[name] / ours.median for name in sorted(others, key=others.__getitem__)} if ours else {}

    @property
    def least(self) -> float | None:
        return next(iter(self.faster.values()), None)

    def as_dict(self) -> dict[str, Any]:
        return {
            "task": self.task.name,
            "shapes": self.task.shapes,
            "direction": self.direction,
            "bytes": self.number_of_bytes,
            "bound": timing_as_dict(self.bound),
            "faster_than_fastest": self.least,
            "faster_than": self.faster,
            "contenders": {name: timing_as_dict(timing) for name, timing in self.timings.items()},
            "memory": dict(self.memory),
            "wrong": dict(self.wrong),
        }


def call(contender: Contender, inputs: Sequence[Tensor], grad: Tensor | None) -> list[Tensor]:
    """The output, and the gradients of the inputs if that of the output is given."""
    y = contender(*inputs)
    return [y.detach(), *torch.autograd.grad(y, inputs, grad)] if grad is not None else [y]


def expected(task: Task, layout: str, train: bool) -> tuple[list[Tensor], Tensor | None]:
    """poolkit's results in float64, and the gradient of the output that they were made with."""
    inputs = task.inputs(layout, train, torch.float64)
    with torch.set_grad_enabled(train):
        y = (task.expectation or task.poolkit)(*inputs)
        if not train:
            return [y], None
        grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
        grad = verify.in_layout(grad, layout) if y.dim() > 3 else grad
        return [y.detach(), *torch.autograd.grad(y, inputs, grad.double())], grad


def fault(task: Task, results: Sequence[Tensor], truth: Sequence[Tensor]) -> str | None:
    """What is wrong with a contender; of draws only the mean is known, and no gradient."""
    if task.expectation:
        errors = (results[0].double() - truth[0]).flatten(2).mean(2).flatten()
        allowed = DEVIATIONS * float(errors.std()) / len(errors) ** 0.5
        mean = float(errors.mean())
        return None if abs(mean) <= allowed else f"mean of the draws off by {mean:.3g}, allowed is {allowed:.3g}"
    names = ["values", *("gradients" for _ in truth[1:])]
    pairs = zip(names, results, truth, strict=True)
    return next(filter(None, (verify.difference(name, y, exact, torch.float32) for name, y, exact in pairs)), None)


def contest(task: Task, direction: str, layout: str, budget: float, fewest: int, elsewhere: Executor) -> Row:
    """Check every contender, time those that are right, and weigh them in another process."""
    train = direction == "train"
    truth, grad = expected(task, layout, train)
    inputs = task.inputs(layout, train)
    moved = sum(x.nbytes for x in inputs) + truth[0].numel() * inputs[0].itemsize
    moved *= 2 if train else 1
    calls: dict[str, measure.Call] = {"copy": measure.copying(moved, torch.float32)}
    wrong = {}
    for name, contender in task.contenders.items():
        if reason := fault(task, call(contender, inputs, grad), truth):
            wrong[name] = reason
        else:
            calls[name] = lambda contender=contender: call(contender, inputs, grad)  # type: ignore[misc]
    del truth
    timings = measure.measure(calls, budget, fewest)
    grown = elsewhere.submit(peaks, task.name, layout, train).result()
    held = sum(x.nbytes for x in inputs) + (0 if grad is None else grad.nbytes)
    memory = {name: (held + growth) / moved for name, growth in grown.items()}
    return Row(task, direction, moved, timings.pop("copy"), timings, memory, wrong)


def peaks(name: str, layout: str, train: bool) -> dict[str, int]:
    """By how many bytes this process grows during a call of each contender."""
    [task] = [task for task in tasks() if task.name == name]
    inputs = task.inputs(layout, train)
    growth = {}
    for contender, function in task.contenders.items():
        y = function(*inputs)
        grad = torch.ones_like(y.detach()) if train else None
        del y
        call(function, inputs, grad)  # loads what is loaded at the first call
        gc.collect()  # what lies in cycles would be given back, unseen, during the call
        heap.give_back_holes()
        forget_peak()
        before = resident()
        call(function, inputs, grad)
        growth[contender] = resident("VmHWM") - before
    return growth


def prepare_to_weigh(threads: int) -> None:
    torch.set_num_threads(threads)
    heap.give_back_at_once()


def heading(direction: str, layout: str, state: str) -> str:
    first = f"{'':31}{'times as fast as':>17}{'times':>8}{'':>12}{'peak memory':>17}"
    second = f"{'task':<31}{'the best recipe':>17}{'the bound':>11}{'poolkit':>12}{'poolkit':>9}{'recipe':>8}"
    second += "  times as fast as each recipe"
    title = f"{TITLES[direction]} · {layout} · {state}: {heap.STATES[state]}"
    return "\n".join(("", title, "", first, second, "─" * len(second)))


def line(row: Row) -> str:
    ours = row.timings.get(POOLKIT.name)
    text = f"{row.task.name:<31.31}{times(row.least):>17}"
    text += f"{times(ours.median / row.bound.median):>11}{duration(ours.median):>12}" if ours else f"{'WRONG':>23}"
    best = next(iter(row.faster), "")
    text += f"{times(row.memory[POOLKIT.name]):>9}{times(row.memory.get(best)):>8}  "
    text += ", ".join(f"{name} {times(ratio)}" for name, ratio in row.faster.items())
    return "\n".join([text, *(f"  WRONG  {name}: {reason}" for name, reason in row.wrong.items())])


def summary(rows: Sequence[Row]) -> str:
    """Geometric mean and least favourable rows."""
    known = [row for row in rows if row.least]
    lines = []
    if known:
        slow = sorted((row.least or 0, f"{row.task.name} {row.direction}") for row in known)
        lines.append(
            f"geometric mean over {len(known)} rows: poolkit {times(geometric_mean(row.least for row in known))} "
            f"as fast as the fastest recipe; {FASTER}x or more in {sum(ratio >= FASTER for ratio, _ in slow)}, "
            f"less than 1x in {sum(ratio < 1 for ratio, _ in slow)}; least {times(slow[0][0])}, {slow[0][1]}"
        )
    large = sorted((row.memory[POOLKIT.name], f"{row.task.name} {row.direction}") for row in rows)
    lines.append(
        f"peak memory: poolkit at most {MEMORY}x of what must be held in {sum(much <= MEMORY for much, _ in large)} "
        f"of {len(large)} rows; most {times(large[-1][0])}, {large[-1][1]}"
    )
    return "\n".join(lines)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Poolings beside the recipes that people write: time and memory.")
    parser.add_argument("--only", metavar="WORD", action="append", default=[], help="tasks whose name contains it")
    parser.add_argument("--direction", choices=(*DIRECTIONS, "both"), default="both")
    parser.add_argument("--layout", choices=layers.LAYOUTS, default=layers.LAYOUTS[0], help="of maps and volumes")
    parser.add_argument("--state", choices=heap.STATES, default="default", help="of the heap")
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--seconds", type=float, default=0.5, help="for a row, three rounds at least")
    parser.add_argument("--quick", action="store_true", help="two rounds a row")
    parser.add_argument("--json", type=Path, default=Path("build/recipes.json"), help="where the results go")
    return parser.parse_args(argv)


def named(task: Task, words: Sequence[str]) -> bool:
    return any(word.lower() in task.name.lower() for word in words)


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(argv)
    chosen = [task for task in tasks() if not given.only or named(task, given.only)]
    try:
        if not chosen:
            raise layers.LayerError(f"no task fits --only {' '.join(given.only)}")
        check_writable(given.json)
    except (layers.LayerError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    facts = machine.introduce(given.threads)
    if not HAS_TORCHVISION:
        print("torchvision is not installed and left out")
    heap.enter(given.state)
    budget, fewest = (0.0, 2) if given.quick else (given.seconds, 3)
    rows: list[Row] = []
    # Weighed in a process that gives back what it frees, which would spoil the times.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, prepare_to_weigh, (given.threads,)) as elsewhere:
        for direction in DIRECTIONS if given.direction == "both" else (given.direction,):
            print(heading(direction, given.layout, given.state), flush=True)
            part = []
            for task in chosen:
                part.append(contest(task, direction, given.layout, budget, fewest, elsewhere))
                print(line(part[-1]), flush=True)
            print(summary(part), flush=True)
            rows += part
    if given.direction == "both":
        print(f"\nBoth directions\n{summary(rows)}")
    settings = {"seconds": budget, "fewest_rounds": fewest, "state": given.state, "layout": given.layout}
    saved = save(given.json, {"machine": facts, "settings": settings, "rows": [row.as_dict() for row in rows]})
    return saved or int(any(row.wrong for row in rows))


if __name__ == "__main__":
    sys.exit(main())
