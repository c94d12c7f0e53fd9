"""The kernels for GPUs: are they right, and how fast beside a copy of the same bytes, torch and the recipes in use?

python benchmarks/gpu.py --seconds 540 --json build/gpu.json

Without a GPU, `TRITON_INTERPRET=1 python benchmarks/gpu.py --smoke` goes the same ways over tiny maps on the CPU; its
times say nothing.
"""

from __future__ import annotations

import argparse
import functools
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import layers
import report
import tasks
import torch
import verify
from gpu_checks import Clock, check_all, short
from layers import Case
from peers import POOLKIT, TORCH
from peers.torch_compile import COMPILE
from run import check_writable, positive, save
from torch import Tensor

from poolkit import ops
from poolkit import triton as gpu

#: Layers without windows of the table that run its kernels, and their recipes (tasks.py).
LAYERS = (
    "local importance",
    "detail preserving",
    "learnt mix",
    "gated",
    "SPPF",
    "spatial pyramid",
    "pooling as mixer",
    "RoI",
    "PS RoI",
    "mean over time",
    "max over time",
    "statistics",
    "segment",
    "blur",
    "max-blur",
)


@dataclass
class Row:
    """Microseconds a call of everyone who pools the same, and of copying the bytes that must be moved."""

    name: str
    dtype: str
    direction: str
    number_of_bytes: int
    copy: float
    times: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def timer(device: torch.device) -> Callable[[Callable[[], object]], float]:
    """Measures one call in microseconds, by events of the device where it has them."""
    if device.type == "cpu":

        def clocked(call: Callable[[], object]) -> float:
            start = time.perf_counter()
            call()
            return (time.perf_counter() - start) * 1e6

        return clocked

    module = getattr(torch, device.type)

    def by_events(call: Callable[[], object]) -> float:
        start, end = module.Event(enable_timing=True), module.Event(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e3

    return by_events


def median_time(device: torch.device, calls: Sequence[Callable[[], object]], seconds: float) -> float:
    """Each sample is one round over all inputs, so that none is still in the cache when its turn comes again."""
    measured = timer(device)

    def round_trip() -> None:
        for call in calls:
            call()

    fewest = 5 if seconds else 1
    for _ in range(fewest):
        round_trip()  # the first one compiles
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while len(samples) < fewest or (time.perf_counter() < end and len(samples) < 200):
        samples.append(measured(round_trip) / len(calls))
    return statistics.median(samples)


def sets(device: torch.device, number_of_bytes: int) -> int:
    """How many inputs are more than the cache holds."""
    if device.type == "cpu":
        return 1
    properties = getattr(torch, device.type).get_device_properties(device)
    cache = getattr(properties, "L2_cache_size", 0) or 64 * 2**20
    return max(2, min(32, math.ceil(3 * cache / number_of_bytes)))


def step_of(function: Callable[..., Tensor], inputs: Sequence[Tensor], train: bool) -> Callable[[], object]:
    if not train:
        return lambda: function(*inputs)
    grad = torch.ones_like(function(*inputs).detach())

    def both() -> object:
        y = function(*inputs)
        return torch.autograd.grad(y, inputs, grad)

    return both


def measure_row(
    name: str,
    dtype: torch.dtype,
    train: bool,
    shapes: Sequence[tuple[int, ...]],
    contenders: Mapping[tuple[str, str], Callable[..., Tensor]],
    device: torch.device,
    seconds: float,
) -> Row:
    """Everyone's time; `contenders` are known by name and layout."""

    def inputs_in(layout: str) -> tuple[Tensor, ...]:
        tensors = []
        for shape in shapes:
            x = torch.randn(shape, device=device)
            x = x.to(dtype) if dtype.is_floating_point else (x * 30).to(dtype)
            tensors.append((verify.in_layout(x, layout) if x.dim() > 3 else x).requires_grad_(train))
        return tuple(tensors)

    sample = inputs_in("contiguous")
    [first, *_] = contenders.values()
    moved = sum(x.nbytes for x in sample) + first(*sample).detach().nbytes
    moved *= 2 if train else 1
    many = sets(device, moved)
    pairs = [
        (
            torch.ones(moved // 2, dtype=torch.uint8, device=device),
            torch.empty(moved // 2, dtype=torch.uint8, device=device),
        )
        for _ in range(many)
    ]
    copies = [functools.partial(target.copy_, source) for source, target in pairs]
    row = Row(
        name,
        short(dtype),
        "train" if train else "forward",
        moved,
        median_time(device, copies, seconds),
    )
    del pairs, copies, sample
    for (who, layout), function in contenders.items():
        label = who if layout == "contiguous" else f"{who} ch.last"
        try:
            steps = [step_of(function, inputs_in(layout), train) for _ in range(many)]
            row.times[label] = median_time(device, steps, seconds)
        except Exception as error:  # a peer that has no such pooling on this device
            row.refused[label] = f"{type(error).__name__}: {str(error)[:200]}"
    return row


def tiny(case: Case) -> Case:
    """The same layer of a small map."""
    layer = case.layer
    return replace(case, layer=replace(layer, shape=(1, 2, *(min(size, 4) for size in layer.shape[2:]))))


def rows(device: torch.device, clock: Clock, smoke: bool, only: Sequence[str]) -> Iterator[Row]:
    """First every layer beside torch, then the recipes, then what torch.compile makes of the layers."""
    seconds = 0.0 if smoke else 0.05
    cases = layers.cases(layers.read(), only, (), ())
    given = tasks.tasks()
    chosen = [task for task in given if not only or any(word.lower() in task.name.lower() for word in only)]
    if smoke:
        cases = [tiny(case) for case in cases if case.method == "max" and case.layer.rank == 2][:1]
        chosen = [replace(task, shapes=((1, 2, 4, 4),)) for task in chosen if task.name.startswith("soft 2x2")]
    for case in cases:
        for train in (False, True) if case.trains else (False,):
            contenders = {
                (peer.name, layout): function
                for peer in (POOLKIT, TORCH)
                if (function := peer.function(case)) is not None
                for layout in case.layer.layouts
            }
            if clock.left <= 0:
                return
            name = f"{case.method} {case.layer.name}"
            yield measure_row(name, getattr(torch, case.dtype), train, [case.layer.shape], contenders, device, seconds)
    windowed = {
        f"{case.method} {case.layer.name}"
        for case in layers.cases(list(layers.read_file(Path(__file__).with_name("recipes.txt"))), (), (), ())
    }
    for task in chosen:
        if task.name not in windowed and not task.name.startswith(LAYERS):
            continue
        for train in (False, True):
            if clock.left <= 0:
                return
            by_name = {(who, "contiguous"): function for who, function in task.contenders.items()}
            yield measure_row(task.name, torch.float32, train, task.shapes, by_name, device, seconds)
    for case in cases:
        if clock.left <= 0 or smoke:
            return
        compiled = COMPILE.function(case)
        if compiled is None or case.dtype != "float32":
            continue
        both = {(POOLKIT.name, "contiguous"): POOLKIT.function(case), (COMPILE.name, "contiguous"): compiled}
        contenders = {key: function for key, function in both.items() if function is not None}
        name = f"{case.method} {case.layer.name}, compiled"
        yield measure_row(name, torch.float32, False, [case.layer.shape], contenders, device, seconds)


def line(row: Row) -> str:
    """poolkit in times over the copy; then how many times as long the others take as poolkit, at its best."""
    ours = {name: time for name, time in row.times.items() if name.startswith(POOLKIT.name)}
    text = f"{row.name:<34.33}{row.dtype:<10}{row.direction:<9}{row.copy:>9.1f}"
    if not ours:
        return f"{text}  poolkit: {row.refused.get(POOLKIT.name)}"
    text += "".join(
        f"{report.times(ours[name] / row.copy) if name in ours else '-':>9}" for name in ("poolkit", "poolkit ch.last")
    )
    best = min(ours.values())
    others = sorted((time / best, name) for name, time in row.times.items() if name not in ours)
    return text + "  " + ", ".join(f"{name} {report.times(ratio)}" for ratio, name in others)


HEADING = (
    f"{'row':<34}{'dtype':<10}{'':<9}{'copy µs':>9}{'poolkit':>9}{'ch.last':>9}  others, times as long as poolkit\n"
    + "─" * 110
)


# ---------------------------------------------------------------------------------------------------- main


def the_device(smoke: bool) -> torch.device | None:
    if smoke:
        return torch.device("cpu")
    for kind in sorted(gpu.DEVICES):
        if getattr(torch, kind).is_available():
            return torch.device(kind)
    return None


def interpret_on_the_cpu() -> torch.library.Library:
    """Sends the operators of CPU tensors to the interpreted kernels; for as long as what it returns lives."""
    import triton

    if not triton.knobs.runtime.interpret:
        raise RuntimeError("--smoke needs the environment variable TRITON_INTERPRET=1")
    library = torch.library.Library("poolkit", "IMPL")
    for name in gpu.OPERATORS:
        library.impl(name, gpu.operator(name), "CPU", allow_override=True)
    ops.ready = lambda *call: None  # the short way of calls made before leads to the compiled kernels
    return library


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The kernels for GPUs: correctness, then speed.")
    parser.add_argument("--only", metavar="WORD", action="append", default=[], help="rows whose name contains the word")
    parser.add_argument("--seconds", type=positive, default=540, help="for everything, a third of them for correctness")
    parser.add_argument("--smoke", action="store_true", help="tiny maps on the CPU, by Triton's interpreter")
    parser.add_argument("--json", type=Path, default=Path("build/gpu.json"), help="where the results go")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(argv)
    device = the_device(given.smoke)
    if device is None:
        print("There is no GPU here, so nothing was measured. --smoke tries the script on the CPU.", file=sys.stderr)
        return 2
    if not gpu.is_installed():
        print("The kernels for GPUs need triton, which is not installed.", file=sys.stderr)
        return 2
    check_writable(given.json)
    library = interpret_on_the_cpu() if given.smoke else None
    clock = Clock(given.seconds)
    name = "CPU, interpreted: the times mean nothing" if given.smoke else getattr(torch, device.type).get_device_name()
    print(f"{name}; torch {torch.__version__}", flush=True)
    correctness = check_all(device, Clock(given.seconds / 3), given.smoke)
    measured: list[Row] = []
    with device:  # recipes make their constants where their inputs are
        for row in rows(device, clock, given.smoke, given.only):
            measured.append(row)
            print(f"  {row.name} {row.direction}", flush=True)
    print(HEADING)
    print("\n".join(map(line, measured)))
    wrong, done = len(correctness["faults"]), correctness["checks"]
    print(f"{len(measured)} rows, {given.seconds - clock.left:.0f} s; wrong: {wrong} of {done} checks")
    results = {
        "device": name,
        "torch": torch.__version__,
        "correctness": correctness,
        "rows": [asdict(r) for r in measured],
    }
    saved = save(given.json, results)
    del library
    return saved or int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
