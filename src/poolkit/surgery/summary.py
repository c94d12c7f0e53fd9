"""Every pooling of a model, what it costs, and what it saves."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import Module

from poolkit.errors import ArgumentError
from poolkit.geometry import Windows
from poolkit.surgery.text import amount, columns, shape
from poolkit.surgery.trace import Event, Trace, evaluating

RUNS = 5  # whose median is the time


@dataclasses.dataclass(frozen=True)
class Row:
    """One pooling of one run of the model.

    `name` is that of the module that pools or that calls a function; `kind` is "module", "function", or the name of the
    reduction over all places, "mean" and so on. Sizes are in bytes. `operations` counts the cells that the windows
    read, an addition or a comparison for each. `saved` is what autograd keeps for backward, the input too where the
    operator keeps it. Receptive field and stride are those of the output on the model's input, an entry an axis.

    What the pooling saves: `shrinks` is how many times larger its output were without it. So many times as large were
    then `activations_after`, `operations_after` (multiplications with weights) and `parameters_after` (of the linear
    layers that read whole maps): all that follows until a pooling to a fixed size.
    """

    name: str
    kind: str
    method: str
    form: str
    geometry: dict[str, Any]
    parameters: dict[str, Any]
    windows: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    receptive_field: tuple[int, ...] | None
    stride: tuple[int, ...] | None
    read: int
    written: int
    operations: int | None
    saved: int
    seconds: float | None
    share: float | None
    shrinks: float
    activations_after: int
    operations_after: int
    parameters_after: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """The poolings of a model in the order in which they ran; `str` gives tables, `to_dict` plain data."""

    rows: tuple[Row, ...]
    #: Of the model, and of a run; None where no time was taken.
    parameters: int
    seconds: float | None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, default=str)

    def costs(self) -> list[list[str]]:
        """What each pooling is and costs; the first line is the heading."""
        timed = self.seconds is not None
        lines = [["pooling", "method", "kind", "windows", "input", "output", "field", "stride", "read", "written"]]
        lines[0] += ["operations", "kept", *(["time", "share"] if timed else [])]
        for row in self.rows:
            line = [row.name or "(model)", row.method, row.kind, row.windows]
            line += [shape(row.input_shape), shape(row.output_shape)]
            line += [shape(row.receptive_field), shape(row.stride), amount(row.read, "B"), amount(row.written, "B")]
            line += [amount(row.operations), amount(row.saved, "B")]
            if timed:
                line += [f"{(row.seconds or 0) * 1e3:.3f} ms", f"{row.share or 0:.1%}"]
            lines.append(line)
        return lines

    def savings(self) -> list[list[str]]:
        """What follows each pooling, with it and without it."""
        lines = [["pooling", "map", "activations after", "operations after", "parameters after"]]
        for row in self.rows:
            line = [row.name or "(model)", f"{row.shrinks:.4g}x smaller"]
            for value, unit in (
                (row.activations_after, "B"),
                (row.operations_after, ""),
                (row.parameters_after, ""),
            ):
                without = amount(round(value * row.shrinks), unit)
                line.append(f"{amount(value, unit)}, else {without}" if value and row.shrinks != 1 else "-")
            lines.append(line)
        return lines

    def __str__(self) -> str:
        if not self.rows:
            return "no pooling"
        parts = [columns(self.costs()), columns(self.savings())]
        if self.seconds is not None:
            share = sum(row.share or 0 for row in self.rows)
            parts.append(f"model: {self.seconds * 1e3:.3f} ms, of which pooling {share:.1%}")
        return "\n\n".join(parts)


def summary(model: Module, *inputs: Any, time: bool = False) -> Summary:
    """Every pooling that a model runs on these inputs: what it is, what it costs and what it saves.

    Modules of torch.nn, poolkit.nn and timm are found, calls of torch.nn.functional and poolkit.functional, and means,
    sums, maxima and minima over all places of a map or all tokens of a sequence. The model runs in evaluation mode, as
    a whole, and is left as it was. On the meta device nothing is computed.

    Args:
        model: any module; convolutions count into receptive fields, too.
        *inputs: what its forward takes, maps (N, C, *spatial) first.
        time: whether to run it some times more and take each pooling's share of the time.

    Returns:
        a :class:`Summary`. Receptive fields are None behind what cannot be followed, such as attention or slices;
        normalisation and gates, which see the whole map, are not counted.

    Raises TypeError for a model that is no module, ArgumentError without inputs, and what the model raises.
    """
    check_model("summary", model)
    if not inputs:
        raise ArgumentError("summary(): inputs must be what the model takes, such as torch.zeros(1, 3, 224, 224)")
    trace = Trace(model)
    trace.run(inputs, gradients=True)
    seconds, each = _times(model, inputs, len(trace.events)) if time else (None, None)
    rows = tuple(
        _row(trace, number, event, each[number] if each else (None, None)) for number, event in enumerate(trace.events)
    )
    return Summary(rows, sum(weight.numel() for weight in model.parameters()), seconds)


def check_model(caller: str, model: Any, name: str = "model") -> None:
    if not isinstance(model, Module):
        raise TypeError(f"{caller}(): {name} must be a torch.nn.Module, but got {type(model).__name__}")


def _row(trace: Trace, number: int, event: Event, taken: tuple[float | None, float | None]) -> Row:
    pooling, after = event.pooling, trace.flow.after[number]
    fields = event.fields
    return Row(
        name=event.name,
        kind=event.kind,
        method=pooling.method,
        form=pooling.form,
        geometry=pooling.geometry,
        parameters=pooling.parameters,
        windows=str(pooling),
        input_shape=event.input_shape,
        output_shape=event.output_shape,
        receptive_field=None if fields is None else tuple(field.size for field in fields),
        stride=None if fields is None else tuple(field.stride for field in fields),
        read=event.read,
        written=event.written,
        operations=_operations(event),
        saved=event.saved,
        seconds=taken[0],
        share=taken[1],
        shrinks=_shrinks(event),
        activations_after=after.activations,
        operations_after=after.operations,
        parameters_after=after.parameters,
    )


def _shrinks(event: Event) -> float:
    pooling = event.pooling
    if pooling.rank == 0:  # of sequences, whose steps are gone
        return math.prod(event.input_shape) / max(1, math.prod(event.output_shape))
    flat = pooling.flat or len(event.output_shape) <= pooling.rank
    cells = 1 if flat else math.prod(pooling.spatial(event.output_shape))
    return math.prod(pooling.spatial(event.input_shape)) / max(1, cells)


def _operations(event: Event) -> int | None:
    windows: Windows | None = event.windows
    if windows is None:
        return None
    places = math.prod(event.pooling.spatial(event.input_shape))
    planes = math.prod(event.input_shape) // places if places else 0
    return planes * math.prod(sum(axis.tap(o).cells for o in range(axis.out)) for axis in windows.axes)


def _times(
    model: Module, inputs: tuple[Any, ...], count: int
) -> tuple[float, list[tuple[float | None, float | None]] | None]:
    """Medians of some runs: of the model as it is, and of each pooling and its share, where the clock looks on."""
    whole = [_clocked(lambda: model(*inputs), model) for _ in range(RUNS + 1)][1:]
    runs, totals = [], []
    for _ in range(RUNS):
        trace = Trace(model, follow=False)
        totals.append(_clocked(functools.partial(trace.run, inputs, gradients=False), model))
        runs.append([event.seconds for event in trace.events])
    if any(len(run) != count for run in runs):  # another way through the model
        return statistics.median(whole), None
    each: list[tuple[float | None, float | None]] = []
    for taken in zip(*runs, strict=True):
        shares = [seconds / total for seconds, total in zip(taken, totals, strict=True)]
        each.append((statistics.median(taken), statistics.median(shares)))
    return statistics.median(whole), each


def _clocked(run: Callable[[], Any], model: Module) -> float:
    with evaluating(model), torch.no_grad():
        start = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - start
