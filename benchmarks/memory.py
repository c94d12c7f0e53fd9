"""Memory of a training step with max pooling: what is held until the backward pass, and the peak.

python benchmarks/memory.py [--only resnet] [--json memory.json]

Everything is said above the input and the output. A process of its own measures each step twice: by the storages of
the tensors that autograd saved, and by the resident size of the process (Linux and glibc).
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import heap
import layers
import torch
from layers import Case
from peers import PEERS, POOLKIT, TORCH, Function
from run import check_writable, save
from torch import Tensor
from verify import in_layout

#: A smaller step drowns in the pages that the process needs anyway.
SMALLEST_OUTPUT = 8 << 20


@dataclass(frozen=True)
class Step:
    """Bytes of one training step."""

    input: int
    output: int
    saved: int
    """Storages that autograd keeps, other than those of the input and the output."""
    held: int
    """Growth of the process over the forward pass, less the output."""
    peak: int
    """Growth of the process at its largest, less the output and the gradient of the input."""


def resident(key: str = "VmRSS") -> int:
    """Bytes of memory that this process has, or (VmHWM) has had at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {key}")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def saved_bytes(function: Function, x: Tensor) -> tuple[Tensor, int]:
    """The output, and the bytes saved for the backward pass besides input and output."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = function(x)
    for tensor in (x, y):
        storages.pop(tensor.untyped_storage().data_ptr(), None)
    return y, sum(storages.values())


def step(function: Function, shape: tuple[int, ...], layout: str) -> Step:
    """One training step in this process."""
    small = in_layout(torch.randn(1, 8, *(min(size, 64) for size in shape[2:])), layout).requires_grad_()
    function(small).sum().backward()  # loads what is loaded at the first call

    x = in_layout(torch.randn(shape), layout).requires_grad_()
    with torch.no_grad():
        output_shape = function(x).shape
    grad = in_layout(torch.randn(output_shape), layout)
    forget_peak()
    before = resident()
    y, saved = saved_bytes(function, x)
    after = resident()
    (gradient,) = torch.autograd.grad(y, x, grad)
    peak = resident("VmHWM")
    held = after - before - y.nbytes
    return Step(x.nbytes, y.nbytes, saved, held, peak - before - y.nbytes - gradient.nbytes)


def in_process(case: Case, peer: str, layout: str) -> Step:
    """The step measured in a new process."""
    command = [sys.executable, __file__, "--step", peer, layout, "--only", case.layer.name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return Step(**json.loads(done.stdout))


def large_cases(only: Sequence[str]) -> list[Case]:
    """Max pooling in float32 wherever the result is large enough to be seen in the size of a process."""
    chosen = layers.cases(layers.read(), only, ["max"], ["float32"])
    return [case for case in chosen if output_bytes(case) >= SMALLEST_OUTPUT]


def output_bytes(case: Case) -> int:
    function = TORCH.function(case)
    assert function is not None
    return function(torch.empty(case.layer.shape, device="meta")).numel() * 4


def line(case: Case, layout: str, ours: Step, torchs: Step) -> str:
    mib = 2**20
    name = f"{case.layer.name}{', ch.last' if layout == 'channels_last' else ''}"
    text = f"{name:<30}{ours.input / mib:>8.1f}{ours.output / mib:>8.1f}"
    for attribute in ("saved", "held", "peak"):
        mine, other = getattr(ours, attribute), getattr(torchs, attribute)
        text += f"{mine / max(other, 1):>10.3f}{mine / mib:>8.1f}{other / mib:>8.1f}"
    return text


HEADING = (
    f"\n{'':46}{'saved by autograd':^26}{'held by the process':^26}{'peak of the step':^16}\n"
    f"{'layer (MiB)':<30}{'input':>8}{'output':>8}" + f"{'ratio':>10}{'poolkit':>8}{'torch':>8}" * 3
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Memory of a training step with max pooling, beside torch's.")
    parser.add_argument("--only", metavar="WORD", action="append", default=[], help="as for run.py")
    parser.add_argument("--json", type=Path, default=Path("build/memory.json"), help="where the results go")
    parser.add_argument("--step", nargs=2, metavar=("PEER", "LAYOUT"), help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    cases = large_cases(given.only)
    if given.step:
        peer, layout = given.step
        [case] = [case for case in cases if case.layer.name in given.only]
        return one_step(case, PEERS[peer].function, layout)
    try:
        if not cases:
            raise layers.LayerError(f"no large layer with max pooling fits --only {' '.join(given.only)}")
        check_writable(given.json)
    except (layers.LayerError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(HEADING)
    print("─" * len(HEADING.splitlines()[-1]))
    rows = []
    for case in cases:
        for layout in case.layer.layouts:
            ours, torchs = (in_process(case, peer.name, layout) for peer in (POOLKIT, TORCH))
            print(line(case, layout, ours, torchs), flush=True)
            row = {"layer": case.layer.name, "layout": layout, "poolkit": asdict(ours), "torch": asdict(torchs)}
            rows.append((row, ours, torchs))
    for attribute in ("saved", "held", "peak"):
        ratios = [getattr(ours, attribute) / getattr(torchs, attribute) for _, ours, torchs in rows]
        mean = math.exp(sum(math.log(max(ratio, 1e-3)) for ratio in ratios) / len(ratios))
        print(f"{attribute}: {mean:.3f} of torch's in the geometric mean, {max(ratios):.3f} at most")
    return save(given.json, {"bytes": [row for row, _, _ in rows]})


def one_step(case: Case, function: Callable[[Case], Function | None], layout: str) -> int:
    heap.give_back_at_once()
    pool = function(case)
    assert pool is not None
    print(json.dumps(asdict(step(pool, case.layer.shape, layout))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
