"""Fractional max pooling: maps shrink by any factor, by regions whose sizes are drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from poolkit import geometry, layout, ops
from poolkit.errors import ArgumentError
from poolkit.geometry import Size
from poolkit.layers import fractional_ops
from poolkit.layers.base import Layer, check_floating, check_map, wide_dtype
from poolkit.layers.fractional_reference import Regions

SEQUENCES = ("pseudorandom", "random")
GRANULARITIES = ("channel", "sample", "batch")

Ratio = float | Sequence[float]


class _Settings(NamedTuple):
    """What is known before the input: sizes have one entry an axis."""

    kernel: tuple[int, ...] | None
    output_size: tuple[int, ...] | None
    output_ratio: tuple[float, ...] | None
    sequence: str
    overlapping: bool
    granularity: str


def _checked(
    rank: int,
    kernel_size: Size | None,
    output_size: Size | None,
    output_ratio: Ratio | None,
    sequence: str,
    overlapping: bool,
    granularity: str,
) -> _Settings:
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(
            f"give output_size or output_ratio, one of them, but got output_size={output_size!r} "
            f"and output_ratio={output_ratio!r}"
        )
    for name, value, allowed in (("sequence", sequence, SEQUENCES), ("granularity", granularity, GRANULARITIES)):
        if value not in allowed:
            raise ArgumentError(f"{name} must be one of {', '.join(map(repr, allowed))}, but got {value!r}")
    if kernel_size is not None and sequence == "random":
        raise ArgumentError(
            f"sequence must be 'pseudorandom' for windows of a kernel_size, but got 'random' and {kernel_size!r}"
        )
    if not isinstance(overlapping, bool):
        raise TypeError(f"overlapping must be a bool, but got {overlapping!r} ({type(overlapping).__name__})")
    return _Settings(
        None if kernel_size is None else geometry.per_axis("kernel_size", kernel_size, rank),
        None if output_size is None else geometry.per_axis("output_size", output_size, rank),
        None if output_ratio is None else _checked_ratio(output_ratio, rank),
        sequence,
        overlapping,
        granularity,
    )


def _checked_ratio(output_ratio: Ratio, rank: int) -> tuple[float, ...]:
    ratios = tuple(output_ratio) if isinstance(output_ratio, tuple | list) else (output_ratio,) * rank
    if len(ratios) != rank:
        raise ArgumentError(f"output_ratio must be a number or {rank} of them, but got {output_ratio!r}")
    for ratio in ratios:
        if isinstance(ratio, bool) or not isinstance(ratio, int | float):
            raise TypeError(f"output_ratio must be a number, but got {ratio!r} ({type(ratio).__name__})")
        if not 0 < ratio < 1:
            raise ArgumentError(f"output_ratio must be between 0 and 1, but got {output_ratio!r}")
    return cast("tuple[float, ...]", ratios)


def _check_samples(name: str, samples: Tensor, shape: tuple[int, ...], sequence: str) -> None:
    check_floating(name, _random_samples=samples)
    if sequence == "random":
        raise ArgumentError(f"{name}(): _random_samples must be None with sequence='random'")
    if tuple(samples.shape) != shape:
        raise ArgumentError(f"{name}(): _random_samples must have the shape {[*shape]}, but got {[*samples.shape]}")


def _output_size(name: str, size: tuple[int, ...], settings: _Settings) -> tuple[int, ...]:
    """How many regions each axis has."""
    if settings.output_size is not None:
        outs = settings.output_size
    else:
        assert settings.output_ratio is not None
        outs = tuple(int(n * ratio) for n, ratio in zip(size, settings.output_ratio, strict=True))
    for n, out, kernel in zip(size, outs, settings.kernel or (1,) * len(size), strict=True):
        if not 1 <= out <= n - kernel + 1:
            raise ArgumentError(
                f"{name}(): the output of an axis of {n} cells must have from 1 to {n - kernel + 1} cells"
                f"{'' if settings.kernel is None else f' for kernel_size {kernel}'}, but would have {out}"
            )
    return outs


def _spaced(u: Tensor, total: int, parts: int, rounding: Callable[[Tensor], Tensor]) -> Tensor:
    """Integers from 0 to total, as evenly apart as u allows: round((i + u) * total / parts) less what i = 0 gives.

    What i contributes stays whole, so that the ends are exact, and neighbours differ by no more than rounding does.
    """
    even = torch.arange(parts + 1, device=u.device) * total
    shift = u * total
    ahead = rounding((even % parts + shift) / parts) - rounding(shift / parts)
    return even // parts + ahead.to(torch.int64)


def _windows(u: Tensor, size: int, out: int, kernel: int) -> Regions:
    """torch's: of one size, from the axis' beginning to its end."""
    room = size - kernel
    first = _spaced(u, room, out - 1, torch.floor) if out > 1 else torch.full_like(u, room, dtype=torch.int64)
    return Regions(first, first + (kernel - 1), kernel)


def _between(boundaries: Tensor, longest: int, overlapping: bool) -> Regions:
    """Graham's: between neighbouring boundaries, which overlapping regions share."""
    first, last = boundaries[..., :-1], boundaries[..., 1:]
    return Regions(first, last, longest + 1) if overlapping else Regions(first, last - 1, longest)


def _permuted(shape: tuple[int, ...], total: int, out: int, device: torch.device, generator: Any) -> Tensor:
    """Boundaries from 0 to total whose distances, the two nearest to total / out, come in any order."""
    numbers = torch.rand((*shape, out), generator=generator, device=device)
    longer = numbers.argsort(-1) < total % out
    return torch.nn.functional.pad((longer + total // out).cumsum(-1), (1, 0))


def _regions(
    x: Tensor,
    outs: tuple[int, ...],
    settings: _Settings,
    samples: Tensor | None,
    training: bool,
    generator: torch.Generator | None,
) -> list[Regions]:
    """The regions of every axis."""
    rank = len(outs)
    shared = {"channel": tuple(x.shape[:2]), "sample": (x.shape[0], 1), "batch": (1, 1)}[settings.granularity]
    device = x.device if generator is None else generator.device
    drawn = training and settings.sequence == "random"
    if samples is None and training and not drawn:
        samples = torch.rand((*shared, rank), generator=generator, device=device, dtype=wide_dtype(x.dtype))
    if samples is None:
        samples = torch.full((1, 1, rank), 0.5, device=x.device)
    samples = samples.to(x.device, torch.float64)
    if rank == 2:  # torch gives the width its number first, but not so in 3-D
        samples = samples.flip(-1)
    regions = []
    for axis, (size, out) in enumerate(zip(x.shape[2:], outs, strict=True)):
        u = samples[..., axis : axis + 1]
        if settings.kernel is not None:
            regions.append(_windows(u, size, out, settings.kernel[axis]))
            continue
        total = size - settings.overlapping
        if drawn:
            boundaries = _permuted(shared, total, out, device, generator).to(x.device)
        else:
            boundaries = _spaced(u, total, out, torch.ceil)
        regions.append(_between(boundaries, -(-total // out), settings.overlapping))
    return regions


def _pool(
    rank: int,
    input: Tensor,
    settings: _Settings,
    return_indices: bool,
    samples: Tensor | None,
    training: bool,
    generator: Any,
) -> Tensor | tuple[Tensor, Tensor]:
    """The maxima of the regions, and if wanted where they stand."""
    name = f"fractional_max_pool{rank}d"
    check_map(name, input, rank)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"{name}(): generator must be a torch.Generator or None, but got {type(generator).__name__}")
    if not isinstance(training, bool):
        raise TypeError(f"{name}(): training must be a bool, but got {training!r} ({type(training).__name__})")
    batched = input.dim() == rank + 2
    x = input if batched else input.unsqueeze(0)
    if samples is not None:
        _check_samples(name, samples, (*x.shape[:2], rank), settings.sequence)
    outs = _output_size(name, tuple(x.shape[2:]), settings)
    with torch.no_grad():
        regions = _regions(x, outs, settings, samples, training, generator)
    y, positions = fractional_ops.pool(x, regions, return_indices)
    if layout.is_channels_last(x, rank) and not ops.why_formula(x):
        y = y.contiguous(memory_format=layout.format_of(True, rank))
    y = y if batched else y.squeeze(0)
    if positions is None:
        return y
    return y, positions if batched else positions.squeeze(0)


_DOC = """The maxima of regions whose number, not whose size, is given, so that maps shrink by any factor.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    kernel_size: of all windows, one int or one an axis: torch's way. None takes the paper's regions instead, which lie
        between boundaries and cover the map.
    output_size: how many regions there are, one int or one an axis.
    output_ratio: the same as a part of the input's size, between 0 and 1, rounded down. One of the two must be given.
    return_indices: return also where in its plane each maximum stood, as max pooling does.
    _random_samples: numbers u from 0 to 1 to use instead of draws, (N, C, rank); of two axes the width comes first, of
        three the depth, as torch has it. A batch of 1 stands for an input without one.
    sequence: how boundaries are drawn. 'pseudorandom' spaces them evenly from a place that u says:
        a_i = ceil((i + u) * ratio) - ceil(u * ratio), where the ratio is that of cells to regions, of cells less one
        if they overlap. 'random' has the same distances in any order.
    overlapping: whether neighbouring regions share the cell at their boundary. Windows of a kernel_size overlap or
        leave gaps as their starts say: floor((i + u) * ratio) - floor(u * ratio), the ratio being
        (cells - kernel_size) / (regions - 1).
    granularity: what shares a draw: 'channel' draws for each channel of each sample, 'sample' for each sample, 'batch'
        once.
    training: whether to draw. If not, u is 1/2 for all, whatever the sequence.
    generator: what draws; by default torch's own.

Returns:
    (N, C, *output) or (C, *output), and with return_indices the indices, int64, of the same shape.

The whole gradient goes to the winner, the first of equals in row-major order; NaN wins, the last of several.
Boundaries are computed from whole numbers in double precision: the first and last are the map's edges.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""


def fractional_max_pool1d(
    input: Tensor,
    kernel_size: Size | None,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
    *,
    sequence: str = "pseudorandom",
    overlapping: bool = True,
    granularity: str = "channel",
    training: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    settings = _checked(1, kernel_size, output_size, output_ratio, sequence, overlapping, granularity)
    return _pool(1, input, settings, return_indices, _random_samples, training, generator)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Size | None,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
    *,
    sequence: str = "pseudorandom",
    overlapping: bool = True,
    granularity: str = "channel",
    training: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    settings = _checked(2, kernel_size, output_size, output_ratio, sequence, overlapping, granularity)
    return _pool(2, input, settings, return_indices, _random_samples, training, generator)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Size | None,
    output_size: Size | None = None,
    output_ratio: Ratio | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
    *,
    sequence: str = "pseudorandom",
    overlapping: bool = True,
    granularity: str = "channel",
    training: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    settings = _checked(3, kernel_size, output_size, output_ratio, sequence, overlapping, granularity)
    return _pool(3, input, settings, return_indices, _random_samples, training, generator)


for _function in (fractional_max_pool1d, fractional_max_pool2d, fractional_max_pool3d):
    _function.__doc__ = _DOC


class _FractionalMaxPool(Layer):
    """Fractional max pooling, :func:`poolkit.functional.fractional_max_pool2d` as a layer.

    Args:
        kernel_size, output_size, output_ratio, return_indices: as the function takes them.
        sequence, overlapping, granularity: as the function takes them.
        _random_samples: numbers u to use instead of draws, (N, C, rank), kept as a buffer.
        random_in_eval: draw in evaluation too, as torch's layer does. Otherwise evaluation takes u = 1/2 and
            gives the same result each time.

    forward takes (N, C, *spatial) or (C, *spatial) and gives the same with the output's size; with return_indices also
    the indices.
    """

    _shown = (
        *("kernel_size", "output_size", "output_ratio", "sequence", "overlapping"),
        *("granularity", "random_in_eval"),
    )
    _rank: int
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Size | None,
        output_size: Size | None = None,
        output_ratio: Ratio | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
        *,
        sequence: str = "pseudorandom",
        overlapping: bool = True,
        granularity: str = "channel",
        random_in_eval: bool = False,
    ) -> None:
        super().__init__()
        _checked(self._rank, kernel_size, output_size, output_ratio, sequence, overlapping, granularity)
        if not isinstance(random_in_eval, bool):
            raise TypeError(f"random_in_eval must be a bool, but got {random_in_eval!r}")
        self.kernel_size, self.output_size, self.output_ratio = kernel_size, output_size, output_ratio
        self.return_indices, self.sequence, self.overlapping = return_indices, sequence, overlapping
        self.granularity, self.random_in_eval = granularity, random_in_eval
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        regions = self.kernel_size, self.output_size, self.output_ratio
        settings = _checked(self._rank, *regions, self.sequence, self.overlapping, self.granularity)
        drawing = self.training or self.random_in_eval
        return _pool(self._rank, input, settings, self.return_indices, self._random_samples, drawing, None)


class FractionalMaxPool1d(_FractionalMaxPool):
    __doc__ = _FractionalMaxPool.__doc__
    _rank = 1


class FractionalMaxPool2d(_FractionalMaxPool):
    __doc__ = _FractionalMaxPool.__doc__
    _rank = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    __doc__ = _FractionalMaxPool.__doc__
    _rank = 3
