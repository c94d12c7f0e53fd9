"""Time: all contenders of a case in turn, round after round, in one process."""

from __future__ import annotations

import gc
import random
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import heap
import torch

Call = Callable[[], object]

#: A shorter call is repeated within a round until it has lasted this long.
SHORTEST = 5e-3
#: One that is not longer than this comes after an untimed one, which brings its data into the caches and wakes the
#: threads.
LONGEST_WARMED = 0.1
MOST_REPEATS = 2000
MOST_ROUNDS = 101


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the median over the rounds and the quartiles; new memory touched a call, in bytes."""

    median: float
    low: float
    high: float
    rounds: int
    repeats: int
    new_bytes: float

    @property
    def spread(self) -> float:
        return (self.high - self.low) / self.median


def measure(calls: Mapping[str, Call], budget: float, fewest_rounds: int) -> dict[str, Timing]:
    """Rounds of every call in turn until `budget` seconds are over, `fewest_rounds` at least."""
    paces = {name: calibrate(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    faults: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls), random.Random(0).shuffle
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        end = time.perf_counter() + budget
        rounds = 0
        while rounds < fewest_rounds or (time.perf_counter() < end and rounds < MOST_ROUNDS):
            for name in order:
                seconds, new = timed(calls[name], paces[name])
                times[name].append(seconds)
                faults[name].append(new)
            shuffle(order)  # nobody always runs after the same neighbour
            rounds += 1
    finally:
        if collecting:
            gc.enable()
    result = {}
    for name, samples in times.items():
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        new_bytes = statistics.median(faults[name]) * resource.getpagesize()
        result[name] = Timing(median, low, high, len(samples), paces[name].repeats, new_bytes)
    return result


class Pace(NamedTuple):
    """How often a call is repeated within a round, and whether after one that is not timed."""

    repeats: int
    warmed: bool


def calibrate(call: Call) -> Pace:
    call()
    seconds, _ = timed(call, Pace(1, False))
    if seconds >= LONGEST_WARMED:
        return Pace(1, False)
    # The first ones may have waited for memory, or for a thread.
    seconds = min(seconds, *(timed(call, Pace(1, False))[0] for _ in range(3)))
    return Pace(min(max(round(SHORTEST / seconds), 1), MOST_REPEATS), True)


def timed(call: Call, pace: Pace) -> tuple[float, float]:
    """Seconds and page faults a call."""
    repeats = pace.repeats
    if pace.warmed:
        call()
    faults = heap.page_faults()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    seconds = time.perf_counter() - start
    return seconds / repeats, (heap.page_faults() - faults) / repeats


def copying(number_of_bytes: int, dtype: torch.dtype) -> Call:
    """The bound: a copy, into memory already touched, that reads and writes this many bytes together."""
    source = torch.ones(max(number_of_bytes // 2 // dtype.itemsize, 1), dtype=dtype)
    target = torch.zeros_like(source).copy_(source)
    return lambda: target.copy_(source)
