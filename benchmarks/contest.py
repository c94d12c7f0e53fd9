"""One row: check every contender of a case, then time those that are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import measure
import torch
import verify
from layers import Case
from measure import Timing
from peers import POOLKIT, TORCH, Peer

DIRECTIONS = ("forward", "train")


@dataclass(frozen=True)
class Result:
    """What came of a contender: a time, or why there is none."""

    peer: str
    layout: str
    timing: Timing | None
    wrong: str | None = None
    refused: str | None = None


@dataclass(frozen=True)
class Row:
    case: Case
    direction: str
    number_of_bytes: int
    bound: Timing
    results: tuple[Result, ...]

    def result(self, peer: str, layout: str) -> Result | None:
        return next((r for r in self.results if (r.peer, r.layout) == (peer, layout)), None)

    def over_bound(self, peer: str, layout: str) -> float | None:
        result = self.result(peer, layout)
        return result.timing.median / self.bound.median if result and result.timing else None

    def speed_up(self, layout: str) -> float | None:
        """How many times as fast as torch in the same layout; None unless both are right."""
        ours, torchs = self.over_bound(POOLKIT.name, layout), self.over_bound(TORCH.name, layout)
        return torchs / ours if ours and torchs else None

    @property
    def goal(self) -> float | None:
        goals = self.case.layer.goals
        return goals[DIRECTIONS.index(self.direction)] if goals else None

    @property
    def best_other(self) -> tuple[str, float] | None:
        """The fastest of the peers that are neither poolkit nor plain torch, in any layout."""
        others = {
            f"{r.peer}{' ch.last' if r.layout == 'channels_last' else ''}": r.timing.median / self.bound.median
            for r in self.results
            if r.timing and r.peer not in (POOLKIT.name, TORCH.name)
        }
        return min(others.items(), key=lambda item: item[1]) if others else None

    @property
    def wrong(self) -> list[str]:
        return [f"{r.peer} {r.layout}: {r.wrong}" for r in self.results if r.wrong]

    def as_dict(self) -> dict[str, Any]:
        layer = self.case.layer
        return {
            "file": layer.file,
            "layer": layer.name,
            "method": self.case.method,
            "params": dict(self.case.params),
            "dtype": self.case.dtype,
            "shape": layer.shape,
            "form": layer.form,
            "geometry": dict(layer.geometry),
            "direction": self.direction,
            "bytes": self.number_of_bytes,
            "goal": self.goal,
            "bound": timing_as_dict(self.bound),
            "speed_up": {layout: self.speed_up(layout) for layout in layer.layouts},
            "contenders": [
                {
                    "peer": r.peer,
                    "layout": r.layout,
                    "over_bound": self.over_bound(r.peer, r.layout),
                    "wrong": r.wrong,
                    "refused": r.refused,
                    **(timing_as_dict(r.timing) if r.timing else {}),
                }
                for r in self.results
            ],
        }


def timing_as_dict(timing: Timing) -> dict[str, float]:
    return {
        "seconds": timing.median,
        "lower_quartile": timing.low,
        "upper_quartile": timing.high,
        "rounds": timing.rounds,
        "repeats": timing.repeats,
        "new_bytes": timing.new_bytes,
    }


def contest(case: Case, direction: str, peers: Sequence[Peer], budget: float, fewest_rounds: int) -> Row:
    """Check and time one case. A contender whose result is wrong gets no time."""
    inputs = verify.prepare(case, train=direction == "train")
    calls: dict[tuple[str, str], measure.Call] = {}
    wrong: dict[tuple[str, str], str | None] = {}
    refused: list[Result] = []
    for peer in peers:
        function = peer.function(case)
        if function is None or (direction == "train" and not peer.trains):
            continue
        for layout in case.layer.layouts:
            if layout not in peer.layouts:
                continue
            call: measure.Call
            check = call = verify.forward(function, inputs, layout)
            try:
                fault = verify.fault(check(), inputs)
                if direction == "train" and fault is None:
                    step = call = verify.train(function, inputs, layout)
                    fault = verify.fault(step(), inputs)
            except RuntimeError as error:
                # Not for this dtype or layout. Of poolkit itself no other reason is accepted.
                if peer.name == POOLKIT.name and not isinstance(error, NotImplementedError):
                    raise
                refused.append(Result(peer.name, layout, None, refused=str(error)))
                continue
            wrong[peer.name, layout] = fault
            if fault is None:
                calls[peer.name, layout] = call
    number_of_bytes = inputs.number_of_bytes
    bound = measure.copying(number_of_bytes, getattr(torch, case.dtype))
    del inputs  # the expected results need not lie about while the clock runs
    named = {" ".join(key): call for key, call in calls.items()}
    timings = measure.measure({"copy": bound, **named}, budget, fewest_rounds)
    results = tuple(Result(*key, timings.get(" ".join(key)), fault) for key, fault in wrong.items())
    return Row(case, direction, number_of_bytes, timings["copy"], (*results, *refused))
