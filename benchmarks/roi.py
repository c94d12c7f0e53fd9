"""RoI align and RoI pool beside a copy of the same bytes and, where it is installed, torchvision.

python benchmarks/roi.py [--boxes 1000] [--threads 2] [--seconds 2.0] [--dtype float32]

The map and the boxes are those of Faster R-CNN: 256 channels of 50 x 68 cells of 16 pixels, 7 x 7 bins, boxes of 25 to
300 pixels. A result that differs from poolkit's plain formulas in float64 gets no time, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Callable, Sequence

import machine
import measure
import torch
from run import positive
from torch import Tensor

from poolkit import functional
from poolkit.layers import region_reference

CHANNELS, HEIGHT, WIDTH, STRIDE = 256, 50, 68, 16
SIZE, SCALE = [7, 7], 1 / STRIDE
#: Largest difference from the exact result, in parts of its largest value.
ALLOWED = {torch.float32: 2e-5, torch.float64: 1e-11, torch.float16: 4e-3, torch.bfloat16: 3e-2}

Pooling = Callable[[Tensor, Tensor], Tensor]


def proposals(count: int) -> Tensor:
    """Boxes of all sizes and shapes, those at the border clipped to the picture: (count, 5)."""
    random = torch.Generator().manual_seed(0)
    limits = torch.tensor([WIDTH, HEIGHT]) * STRIDE
    sides = torch.exp(torch.rand(count, 2, generator=random) * math.log(12) + math.log(25))
    centres = torch.rand(count, 2, generator=random) * limits
    corners = [(centres - sides / 2).clamp(min=0), torch.minimum(centres + sides / 2, limits - 1)]
    return torch.cat([torch.zeros(count, 1), *corners], 1)


def contenders() -> dict[str, dict[str, Pooling]]:
    """For each row what computes it, by name."""

    def pool(x: Tensor, boxes: Tensor) -> Tensor:
        y = functional.roi_pool(x, boxes, SIZE, SCALE)
        assert isinstance(y, Tensor)
        return y

    rows: dict[str, dict[str, Pooling]] = {
        "align, 2 x 2 samples": {"poolkit": lambda x, boxes: functional.roi_align(x, boxes, SIZE, SCALE, 2)},
        "align, adaptive": {"poolkit": lambda x, boxes: functional.roi_align(x, boxes, SIZE, SCALE)},
        "pool": {"poolkit": pool},
    }
    try:
        peer = importlib.import_module("torchvision.ops")
    except ImportError:
        print("torchvision is not installed and left out")
        return rows
    rows["align, 2 x 2 samples"]["torchvision"] = lambda x, boxes: peer.roi_align(x, boxes, SIZE, SCALE, 2, True)
    rows["align, adaptive"]["torchvision"] = lambda x, boxes: peer.roi_align(x, boxes, SIZE, SCALE, -1, True)
    rows["pool"]["torchvision"] = lambda x, boxes: peer.roi_pool(x, boxes, SIZE, SCALE)
    return rows


def exact(row: str, x: Tensor, boxes: Tensor) -> Tensor:
    x, boxes = x.detach().double(), boxes.double()
    if row == "pool":
        return region_reference.pool(x, boxes, SIZE, SCALE)[0]
    return region_reference.align(x, boxes, SIZE, SCALE, 2 if "2" in row else 0, True)


def training(pooling: Pooling, x: Tensor, boxes: Tensor, gradient: Tensor) -> measure.Call:
    leaf = x.detach().requires_grad_()
    return lambda: torch.autograd.grad(pooling(leaf, boxes), leaf, gradient)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="RoI align and RoI pool beside a copy of the same bytes.")
    parser.add_argument("--boxes", type=positive, default=1000)
    parser.add_argument("--threads", type=positive, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="for a row, three rounds at least")
    parser.add_argument("--dtype", choices=[str(dtype).removeprefix("torch.") for dtype in ALLOWED], default="float32")
    given = parser.parse_args(argv)
    machine.introduce(given.threads)
    dtype: torch.dtype = getattr(torch, given.dtype)
    boxes = proposals(given.boxes).to(dtype)
    wrong = False
    print(f"{'':52}{'time':>12}{'bound':>12}{'times':>8}")
    for row, names in contenders().items():
        for layout, memory_format in (("", torch.contiguous_format), (", ch.last", torch.channels_last)):
            x = torch.randn(1, CHANNELS, HEIGHT, WIDTH).to(dtype).contiguous(memory_format=memory_format)
            expected = exact(row, x, boxes)
            right = {}
            for name, pooling in names.items():
                try:
                    y = pooling(x, boxes)
                except (NotImplementedError, RuntimeError) as error:
                    print(f"{row + layout:<32}{name:<12}refused: {str(error).splitlines()[0]}")
                    continue
                difference = (y - expected).abs().max() / expected.abs().max()
                if difference <= ALLOWED[dtype]:
                    right[name] = pooling
                else:
                    wrong = True
                    print(f"{row + layout:<32}{name:<12}WRONG by {float(difference):.1e}")
            gradient = expected.to(x)
            moved = (x.numel() + gradient.numel()) * dtype.itemsize
            for direction, factor in (("forward", 1), ("train", 2)):
                calls: dict[str, measure.Call] = {"copy": measure.copying(factor * moved, dtype)}
                for name, pooling in right.items():
                    if direction == "train":
                        calls[name] = training(pooling, x, boxes, gradient)
                    else:
                        calls[name] = lambda pooling=pooling, x=x: pooling(x, boxes)  # type: ignore[misc]
                timings = measure.measure(calls, given.seconds, 3)
                bound = timings.pop("copy").median
                for name, timing in timings.items():
                    label = f"{row + layout:<32}{direction:<8}{name:<12}"
                    text = f"{timing.median * 1e3:>9.2f} ms{bound * 1e3:>9.2f} ms{timing.median / bound:>8.1f}"
                    print(label + text, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
