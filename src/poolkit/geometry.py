"""Windows: which cells each output of a pooling looks at, as plain integers.

Along one axis of ``L`` cells, output ``o`` looks at the positions ``o * stride - pad_low + t * dilation``,
``0 <= t < kernel``, that lie in ``[0, L)``. Adaptive windows cover ``[floor(o * L / O), ceil((o + 1) * L / O))``.
Everything that depends on kernel, stride, padding, dilation, ceil mode or a target size is decided here; no
other module of the package knows these rules. Nothing here imports torch or NumPy.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from poolkit.errors import ArgumentError

Size = int | Sequence[int]
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]

LARGEST = 2**31 - 1  # of kernel, stride, dilation and padding: their products stay exact everywhere
LARGEST_VOLUME = 2**60  # cells of a plane
LARGEST_TABLE = 2**24  # windows of an axis that are listed one by one
NAMED_PADDINGS = ("valid", "same", "same_lower")


class Tap(NamedTuple):
    """One window along one axis."""

    first: int  #: position of its first cell inside the input
    cells: int  #: how many of its cells lie inside the input, `dilation` apart
    padded: int  #: how many lie inside the padded input: a ceil-mode overhang never counts


class Reach(NamedTuple):
    """Where one tap of consecutive windows along one axis lies inside the input."""

    tap: int  #: which one, from 0 to before the kernel's size
    outputs: slice  #: of these outputs, counted from the first of them
    cells: slice  #: these cells, one for each


def _least(number: int, counts: Any) -> Any:
    """The smaller of both, of arrays too."""
    return counts - (counts - number) * (counts > number)


class Axis(NamedTuple):
    """The windows along one axis; ``kernel == 0`` stands for adaptive windows."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    pad_low: int
    pad_high: int

    def tap(self, o: Any) -> Tap:
        """The window of an output, or of many at once: of an int ints, of an array of ints arrays."""
        if self.kernel == 0:
            first = o * self.size // self.out
            cells = -(-(o + 1) * self.size // self.out) - first
            return Tap(first, cells, cells)
        start = o * self.stride - self.pad_low
        skipped = -(start // self.dilation) * (start < 0)
        inside = _least(self.kernel, (self.size - 1 - start) // self.dilation + 1)
        padded = _least(self.kernel, (self.size + self.pad_high - 1 - start) // self.dilation + 1)
        return Tap(start + skipped * self.dilation, inside - skipped, padded)

    def reaches(self, first: int, last: int) -> list[Reach]:
        """The taps of the outputs from `first` to before `last`, where they meet the input; of sliding windows."""
        start, end = first * self.stride - self.pad_low, (last - 1) * self.stride - self.pad_low
        taps = range(max(0, -(end // self.dilation)), min(self.kernel, (self.size - 1 - start) // self.dilation + 1))
        reaches = []
        for tap in taps:
            offset = tap * self.dilation - self.pad_low
            low = max(first, -(offset // self.stride))
            high = min(last, (self.size - 1 - offset) // self.stride + 1)
            if low < high:
                cells = slice(low * self.stride + offset, (high - 1) * self.stride + offset + 1, self.stride)
                reaches.append(Reach(tap, slice(low - first, high - first), cells))
        return reaches

    @property
    def extent(self) -> int:
        """The most cells that a window can have inside the input."""
        if self.kernel:
            return min(self.kernel, self.size)
        if self.out == 0:
            return 1
        quotient, rest = self.size // self.out, self.size % self.out  # symbols know no divmod
        if rest == 0:
            return quotient
        return quotient + (1 if rest == math.gcd(self.size, self.out) else 2)

    @property
    def side_by_side(self) -> bool:
        """Whether the windows lie side by side and hold every cell once."""
        if self.dilation != 1 or self.kernel != self.stride or self.pad_low or self.pad_high:
            return False
        # Of symbolic sizes only that of a window as large as the input is certain.
        return (self.out == 1 or isinstance(self.size, int)) and self.out * self.kernel == self.size


UNIT = Axis(1, 1, 1, 1, 1, 0, 0)


class Windows(NamedTuple):
    """The windows of a pooling, an :class:`Axis` for each spatial dimension."""

    axes: tuple[Axis, ...]

    @property
    def rank(self) -> int:
        return len(self.axes)

    @property
    def input_size(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes)

    @property
    def output_size(self) -> tuple[int, ...]:
        return tuple(axis.out for axis in self.axes)

    @property
    def extent(self) -> int:
        return math.prod([axis.extent for axis in self.axes])  # a list, which the compiler knows with symbols


class Sliding(NamedTuple):
    """Checked arguments of sliding windows, one entry an axis; padding is pairs or a name."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...] | str
    dilation: tuple[int, ...]
    ceil_mode: bool


def integer(name: str, value: object, *, positive: bool = False) -> int:
    """The value as an int; floats and bools are refused, integer scalars of other libraries are not."""
    number = _index(name, value)
    if positive and number < 1:
        raise ArgumentError(f"{name} must be greater than zero, but got {number}")
    if number > LARGEST:
        raise ArgumentError(f"{name} must be at most {LARGEST}, but got {number}")
    return number


def _index(name: str, value: object) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(cast(Any, value))
    except TypeError:
        raise TypeError(f"{name} must be an int, but got {value!r} ({type(value).__name__})") from None


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def per_axis(name: str, value: object, rank: int, *, positive: bool = True) -> tuple[int, ...]:
    """An int for every axis, or one for each."""
    if not _is_sequence(value):
        return (integer(name, value, positive=positive),) * rank
    values = tuple(cast("Sequence[object]", value))
    if len(values) == 1:
        values *= rank
    if len(values) != rank:
        expected = "a tuple of one int" if rank == 1 else f"a tuple of {rank} ints"
        raise ArgumentError(f"{name} must either be a single int, or {expected}, but got {values!r}")
    return tuple(integer(name, v, positive=positive) for v in values)


def _checked_padding(
    padding: object, rank: int, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...] | str:
    if isinstance(padding, str):
        if padding not in NAMED_PADDINGS:
            allowed = ", ".join(map(repr, NAMED_PADDINGS))
            raise ArgumentError(f"padding must be an int, a tuple or one of {allowed}, but got {padding!r}")
        return padding
    sided = _is_sequence(padding) and any(map(_is_sequence, cast("Sequence[object]", padding)))
    if not sided:
        sides = per_axis("padding", padding, rank, positive=False)
        pairs = tuple((side, side) for side in sides)
    else:
        entries = cast("Sequence[Sequence[object]]", padding)
        if len(entries) != rank or not all(_is_sequence(e) and len(e) == 2 for e in entries):
            raise ArgumentError(
                f"padding must be an int, {rank} ints, or {rank} pairs (low, high), but got {padding!r}"
            )
        pairs = tuple((integer("padding", low), integer("padding", high)) for low, high in entries)
    for pair, k, d in zip(pairs, kernel, dilation, strict=True):
        effective = d * (k - 1) + 1
        for side in pair:
            if side < 0:
                raise ArgumentError(f"padding: pad must be non-negative, but got pad: {side}")
            if not sided and side > effective // 2:
                raise ArgumentError(
                    "padding: pad should be at most half of effective kernel size, "
                    f"but got pad={side}, kernel_size={k} and dilation={d}"
                )
            if side >= effective:
                raise ArgumentError(
                    "padding: pad must be smaller than the effective kernel size, "
                    f"but got pad={side}, kernel_size={k} and dilation={d}"
                )
    return pairs


def check_sliding(
    rank: int,
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    dilation: object = 1,
    ceil_mode: object = False,
) -> Sliding:
    """Everything about sliding windows that can be checked before the input is known."""
    kernel = per_axis("kernel_size", kernel_size, rank)
    # An empty stride is torch's older way to say: the kernel size.
    strides = kernel if stride is None or (_is_sequence(stride) and not stride) else per_axis("stride", stride, rank)
    dilations = per_axis("dilation", dilation, rank)
    if not isinstance(ceil_mode, bool | int):
        raise TypeError(f"ceil_mode must be a bool, but got {ceil_mode!r} ({type(ceil_mode).__name__})")
    return Sliding(kernel, strides, _checked_padding(padding, rank, kernel, dilations), dilations, bool(ceil_mode))


def check_unpool(
    rank: int, kernel_size: object, stride: object = None, padding: object = 0
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Kernel, stride and padding of the pooling that is undone, one entry an axis."""
    kernel = per_axis("kernel_size", kernel_size, rank)
    strides = kernel if stride is None else per_axis("stride", stride, rank)
    pads = per_axis("padding", padding, rank, positive=False)
    if any(pad < 0 for pad in pads):
        raise ArgumentError(f"padding: pad must be non-negative, but got pad: {min(pads)}")
    return kernel, strides, pads


def unpooled_size(
    rank: int, size: Sequence[int], kernel_size: object, stride: object, padding: object, output_size: object
) -> list[int]:
    """The size before pooling: the one whose windows end at its edge, or the one asked for, less than a stride away."""
    kernel, strides, pads = check_unpool(rank, kernel_size, stride, padding)
    default = [(n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel, strides, pads, strict=True)]
    wanted = default
    if output_size is not None:
        given = cast("Sequence[object]", output_size)
        if not _is_sequence(output_size) or len(given) not in (rank, rank + 2):
            raise ArgumentError(
                f"output_size should be a sequence containing {rank} or {rank + 2} elements, but got {output_size!r}"
            )
        wanted = [integer("output_size", value) for value in given[-rank:]]
        for d, (value, middle, s) in enumerate(zip(wanted, default, strides, strict=True)):
            if not middle - s < value < middle + s:
                raise ArgumentError(
                    f'invalid output_size "{tuple(wanted)}" (dim {d} must be between {middle - s} and {middle + s})'
                )
    if any(value < 1 for value in wanted):
        raise ArgumentError(f"output_size must be positive, but got {tuple(wanted)} from an input of {tuple(size)}")
    if math.prod(wanted) >= LARGEST_VOLUME:
        raise ArgumentError(f"an output of size {tuple(wanted)} has more cells than any memory holds")
    return wanted


def _named_pads(name: str, size: int, effective: int, stride: int) -> tuple[int, int]:
    """TensorFlow's rule: ceil(size / stride) outputs, the odd cell of padding at the end (or the start)."""
    if name == "valid":
        return 0, 0
    total = effective - stride + -size % stride
    if stride > effective:  # else it is not negative, which nobody can say of a symbolic size
        total = max(total, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if name == "same" else (large, small)


def _slide(size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int, ceil_mode: bool) -> Axis:
    low, high = pads
    effective = dilation * (kernel - 1) + 1
    if ceil_mode:
        # Rounded up, but the last window has to start inside the input or its left padding.
        out = (size + low + min(high + stride - effective, 0) + stride - 1) // stride
    else:
        out = (size + low + high - effective) // stride + 1
    return Axis(size, out, kernel, stride, dilation, low, high)


def _floor_sum(n: int, step: int, start: int, modulus: int) -> int:
    """The sum of (start + o * step) // modulus over 0 <= o < n, in as many steps as Euclid's algorithm takes."""
    total = 0
    while n > 0:
        whole, step = divmod(step, modulus)
        total += whole * (n * (n - 1) // 2)
        whole, start = divmod(start, modulus)
        total += whole * n
        # Now the same staircase is summed along the other axis.
        n, start = divmod(start + n * step, modulus)
        step, modulus = modulus, step
    return total


def _first_empty(axis: Axis) -> int | None:
    """The first output whose window holds no cell.

    Padding is smaller than the window, so only a dilation larger than the input leaves one empty: where the window
    starts in the padding and its positions step over the input.
    """
    if axis.dilation <= axis.size or axis.kernel < 2:
        return None

    def empty_among(n: int) -> int:
        starts = (axis.stride, -axis.pad_low)
        reach = (axis.stride, axis.dilation - axis.size - axis.pad_low)
        return _floor_sum(n, *reach, axis.dilation) - _floor_sum(n, *starts, axis.dilation)

    low, high = 0, min(axis.out, -(-axis.pad_low // axis.stride))
    if empty_among(high) == 0:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if empty_among(middle) else (middle, high)
    return low


def _refuse_empty_windows(windows: Windows) -> None:
    for i, axis in enumerate(windows.axes):
        empty = _first_empty(axis)
        if empty is not None:
            raise ArgumentError(
                f"the window of output {empty} on spatial axis {i} lies wholly in the padding: input size {axis.size}, "
                f"kernel_size={axis.kernel}, stride={axis.stride}, dilation={axis.dilation}, "
                f"padding=({axis.pad_low}, {axis.pad_high})"
            )


def _plan(rank: int, input_size: tuple[int, ...], sliding: Sliding) -> Windows:
    axes = []
    for i, size in enumerate(input_size):
        kernel, stride, dilation = sliding.kernel[i], sliding.stride[i], sliding.dilation[i]
        if isinstance(sliding.padding, str):
            pads = _named_pads(sliding.padding, size, dilation * (kernel - 1) + 1, stride)
        else:
            pads = sliding.padding[i]
        axes.append(_slide(size, kernel, stride, pads, dilation, sliding.ceil_mode))
    windows = Windows(tuple(axes))
    if any(axis.out < 1 for axis in axes):
        given = "x".join(map(str, input_size))
        result = "x".join(str(axis.out) for axis in axes)
        raise ArgumentError(
            f"Given input size: ({given}). Calculated output size: ({result}). Output size is too small "
            f"(kernel_size={sliding.kernel}, stride={sliding.stride}, padding={sliding.padding}, "
            f"dilation={sliding.dilation}); Invalid computed output size: {min(axis.out for axis in axes)}"
        )
    _refuse_large(windows)
    _refuse_empty_windows(windows)
    return windows


def _refuse_large(windows: Windows) -> None:
    cells = math.prod(windows.output_size)
    if cells >= LARGEST_VOLUME:
        raise ArgumentError(f"an output of size {windows.output_size} has more cells than any memory holds")


_PLAIN = (int, str, type(None))


def _is_plain(value: object) -> bool:
    """Whether equal keys mean equal arguments: 2.0 and True equal 2 and 1, but are refused."""
    kind = type(value)
    if kind is tuple:
        return all(type(v) is int for v in cast("tuple[object, ...]", value))
    return kind in _PLAIN


def sliding(
    rank: int,
    input_size: tuple[int, ...],
    kernel_size: object,
    stride: object = None,
    padding: object = 0,
    dilation: object = 1,
    ceil_mode: object = False,
) -> Windows:
    """The windows of given kernel, stride, padding and dilation on an input of this spatial size."""
    return _plan(rank, input_size, check_sliding(rank, kernel_size, stride, padding, dilation, ceil_mode))


_slid_before = functools.lru_cache(maxsize=4096)(sliding)


def slid_before(
    rank: int,
    input_size: tuple[int, ...],
    kernel_size: object,
    stride: object,
    padding: object,
    dilation: object,
    ceil_mode: object,
) -> Windows:
    """`sliding`, remembered where that can be."""
    plain = _is_plain(kernel_size) and _is_plain(stride) and _is_plain(padding) and _is_plain(dilation)
    arguments = kernel_size, stride, padding, dilation, ceil_mode
    if plain and type(ceil_mode) is bool:
        try:
            return _slid_before(rank, input_size, *arguments)
        except TypeError:  # symbolic sizes cannot be looked up
            pass
    return sliding(rank, input_size, *arguments)


def check_output_size(rank: int, output_size: object) -> tuple[int | None, ...]:
    """The target of adaptive windows; None keeps an axis."""
    listed = _is_sequence(output_size)
    sizes = tuple(cast("Sequence[object]", output_size)) if listed else (output_size,) * rank
    if len(sizes) != rank:
        counted = "should contain one int" if rank == 1 else f"output_size must be {rank} ints"
        raise ArgumentError(f"'output_size' {counted} (or a single one for every axis), but got {output_size!r}")
    checked = tuple(None if size is None else integer("output_size", size) for size in sizes)
    if any(size is not None and size < 0 for size in checked):
        raise ArgumentError(
            f"elements of output_size must be greater than or equal to 0 but received {checked} "
            "(Trying to create tensor with negative dimension)"
        )
    return checked


def adaptive(rank: int, input_size: tuple[int, ...], output_size: object) -> Windows:
    """The windows that cut an input of this spatial size into `output_size` overlapping parts."""
    axes = []
    for size, target in zip(input_size, check_output_size(rank, output_size), strict=True):
        out = size if target is None else target
        if out > 0 and size % out == 0:  # an even split is a sliding window
            axes.append(Axis(size, out, size // out, size // out, 1, 0, 0))
        else:
            axes.append(Axis(size, out, 0, 1, 1, 0, 0))
    windows = Windows(tuple(axes))
    _refuse_large(windows)
    return windows


def pack(windows: Windows, count: int, divisor: int) -> list[int]:
    """The windows as the kernels read them (cpp/include/poolkit/problem.h)."""
    packed = [windows.rank, count, divisor]
    for axis in (UNIT,) * (3 - windows.rank) + windows.axes:
        packed += axis
    return packed


def unpack(packed: Sequence[int]) -> Windows:
    """The windows that were packed."""
    axes = tuple(Axis(*packed[i : i + 7]) for i in range(3, len(packed), 7))
    return Windows(axes[3 - packed[0] :])


#: `pack`, remembered; symbolic sizes cannot be looked up.
packed_before = functools.lru_cache(maxsize=4096)(pack)


def _as_tuple(size: Size) -> tuple[int, ...]:
    sizes = tuple(_index("input_size", s) for s in (size if _is_sequence(size) else (size,)))  # type: ignore[union-attr]
    if not 1 <= len(sizes) <= 3 or any(s < 1 for s in sizes):
        raise ArgumentError(f"input_size must be 1 to 3 positive ints, but got {size!r}")
    return sizes


def output_size(
    input_size: Size,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """The spatial size that pooling gives.

    ``floor((L + low + high - dilation * (kernel - 1) - 1) / stride) + 1`` an axis; in ceil mode rounded up, less
    one if the last window would start beyond the input.

    >>> output_size((28, 28), kernel_size=2)
    (14, 14)
    """
    sizes = _as_tuple(input_size)
    return sliding(len(sizes), sizes, kernel_size, stride, padding, dilation, ceil_mode).output_size


def window_table(
    input_size: Size,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[tuple[Tap, ...], ...]:
    """For each axis, each output's window: its first cell, its cells inside the input, and inside the padded input.

    >>> window_table(6, 3, stride=2, padding=1, ceil_mode=True)[0][-1]
    Tap(first=5, cells=1, padded=2)
    """
    sizes = _as_tuple(input_size)
    windows = sliding(len(sizes), sizes, kernel_size, stride, padding, dilation, ceil_mode)
    if max(windows.output_size) > LARGEST_TABLE:
        raise ArgumentError(
            f"a table of {windows.output_size} windows is too large: at most {LARGEST_TABLE} an axis are listed"
        )
    return tuple(tuple(axis.tap(o) for o in range(axis.out)) for axis in windows.axes)


class ReceptiveField(NamedTuple):
    """What one output cell sees of the input, along one axis."""

    size: int  #: cells it reaches
    stride: int  #: input cells between neighbouring outputs
    start: int  #: first cell that output 0 reaches; negative inside the padding


_LAYER_KEYS = frozenset(("kernel_size", "stride", "padding", "dilation", "ceil_mode"))


def receptive_field(layers: Iterable[dict[str, Any]], rank: int = 2) -> tuple[ReceptiveField, ...]:
    """The receptive field of a chain of layers, first layer first, an entry an axis.

    Each layer is a dict with ``kernel_size`` and, where they differ from the default, ``stride``, ``padding`` and
    ``dilation``; 'same' paddings depend on the input and are refused.

    >>> receptive_field([dict(kernel_size=3, stride=2, padding=1), dict(kernel_size=2)], rank=1)
    (ReceptiveField(size=5, stride=4, start=-1),)
    """
    if isinstance(rank, bool) or rank not in (1, 2, 3):
        raise ArgumentError(f"rank must be 1, 2 or 3, but got {rank!r}")
    fields = [ReceptiveField(1, 1, 0)] * rank
    for layer in layers:
        if not isinstance(layer, dict) or not {"kernel_size"} <= layer.keys() <= _LAYER_KEYS:
            raise ArgumentError(
                f"layers must be dicts with kernel_size and any of {', '.join(sorted(_LAYER_KEYS - {'kernel_size'}))}, "
                f"but got {layer!r}"
            )
        checked = check_sliding(rank, **layer)
        if isinstance(checked.padding, str):
            if checked.padding != "valid":
                raise ArgumentError(
                    f"padding={checked.padding!r} depends on the input size; give the pairs that it stands for"
                )
            padding: tuple[tuple[int, int], ...] = ((0, 0),) * rank
        else:
            padding = checked.padding
        fields = [
            widened(field, *axis)
            for field, *axis in zip(
                fields, checked.kernel, checked.stride, checked.dilation, (low for low, _ in padding), strict=True
            )
        ]
    return tuple(fields)


def widened(field: ReceptiveField, kernel: int, stride: int, dilation: int, pad_low: int) -> ReceptiveField:
    """What windows see, along one axis, of the input of what they slide over."""
    size = field.size + (kernel - 1) * dilation * field.stride
    return ReceptiveField(size, field.stride * stride, field.start - pad_low * field.stride)
