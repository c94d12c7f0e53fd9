"""Pooling whose windows depend on their own contents, block by block.

A block is a few planes, or a few rows of a large one, whose windows fit into the processor's cache together: they are
gathered there, summed up and forgotten, and in backward gathered again. Nothing larger than input and output is made.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from poolkit import geometry
from poolkit.geometry import Windows
from poolkit.layers.base import wide_dtype
from poolkit.reference import Cells

#: Cells of all windows of a block: large enough for two threads, small enough for their caches.
LARGEST_BLOCK = 2**17


class Block(Cells):
    """The cells of some windows of planes (N, C, *spatial): those of the given rows of outputs."""

    def __init__(self, planes: Tensor, windows: Windows, rows: slice) -> None:
        first, *others = windows.axes
        size = (rows.stop - rows.start, *windows.output_size[1:])
        axes = [first.reaches(rows.start, rows.stop), *(axis.reaches(0, axis.out) for axis in others)]
        self.taps = [tuple(zip(*tap, strict=True)) for tap in itertools.product(*axes)]
        everywhere = tuple(slice(0, n) for n in size)
        self.whole = all(outputs == everywhere for _, outputs, _ in self.taps)
        # Taps come first in memory, so that sums over them run along outputs, and last for the formulas.
        shape = (len(self.taps), *planes.shape[:2], *size)
        values = planes.new_zeros(shape, dtype=wide_dtype(planes.dtype))
        mask = torch.ones((), dtype=torch.bool, device=planes.device)
        if not self.whole:
            mask = mask.new_zeros((len(self.taps), *size))
        for number, (_, outputs, cells) in enumerate(self.taps):
            values[(number, ..., *outputs)] = planes[(..., *cells)]
            if not self.whole:
                mask[(number, *outputs)] = True
        self.values = values.movedim(0, -1)
        counts = torch.promote_types(values.dtype, torch.float32)
        if self.whole:
            self.mask, self.count = mask, values.new_tensor(len(self.taps), dtype=counts)
        else:
            self.mask, self.count = mask.movedim(0, -1), mask.sum(0).to(counts)

    def inside(self, parts: Tensor, rest: float = 0) -> Tensor:
        return parts if self.whole else super().inside(parts, rest)

    def add_to(self, planes: Tensor, parts: Tensor) -> None:
        """Adds a number for each cell to the cell."""
        for number, (_, outputs, cells) in enumerate(self.taps):
            planes[(..., *cells)] += parts[(..., *outputs, number)]


Part = tuple[slice, ...]


def _parts(x: Tensor, windows: Windows) -> Iterator[tuple[Part, list[Part]]]:
    """Planes of x, and rows of their outputs, so many that a block has the largest size or a plane's row."""
    samples, channels = x.shape[:2]
    size = windows.output_size
    most = LARGEST_BLOCK // windows.extent
    planes = max(1, most // math.prod(size))
    rows = max(1, most // math.prod(size[1:]))
    step = max(1, planes // channels)
    for n, c in itertools.product(range(0, samples, step), range(0, channels, planes)):
        part = (slice(n, n + step), slice(c, c + planes))
        yield part, [(*part, slice(row, min(row + rows, size[0]))) for row in range(0, size[0], rows)]


def like_output(x: Tensor, packed: Sequence[int]) -> Tensor:
    """A tensor like the result of `pool`."""
    return x.new_empty((*x.shape[:2], *geometry.unpack(packed).output_size))


def pool(x: Tensor, windows: Windows, formula: Callable[[Block, Part], Tensor]) -> Tensor:
    """The formula's value for all windows of x, (N, C, *spatial)."""
    y = x.new_empty((*x.shape[:2], *windows.output_size))
    for planes, parts in _parts(x, windows):
        for part in parts:
            y[part] = formula(Block(x[planes], windows, part[-1]), part)
    return y


def pull(x: Tensor, windows: Windows, gradient: Callable[[Block, Part], Tensor]) -> Tensor:
    """The gradient of x from that of the cells of each block."""
    result = torch.empty_like(x)
    for planes, parts in _parts(x, windows):
        total = torch.zeros_like(x[planes], dtype=wide_dtype(x.dtype))
        for part in parts:
            block = Block(x[planes], windows, part[-1])
            block.add_to(total, gradient(block, part))
        result[planes] = total
    return result
