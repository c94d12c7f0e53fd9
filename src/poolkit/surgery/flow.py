"""What is known of the tensors of a running model: their receptive fields, and the poolings that decide their size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from poolkit import geometry
from poolkit.geometry import Axis, ReceptiveField, Windows
from poolkit.surgery.calls import Call
from poolkit.surgery.tensors import tensors

_CONVOLUTIONS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
_TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
#: What mixes the places of a map, so that a cell's field is no longer that of the cell at its place.
_MIXES = frozenset(
    (
        *("matmul", "__matmul__", "__rmatmul__", "bmm", "baddbmm", "einsum", "scaled_dot_product_attention"),
        *("multi_head_attention_forward", "roll", "flip", "gather", "rot90", "cumsum", "sort", "grid_sample"),
    )
)
#: The arguments of convolutions and linear layers, in order.
_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation")


@dataclasses.dataclass
class After:
    """What stands between a pooling and the next one that gives maps of a fixed size, or the end of the maps."""

    activations: int = 0  #: bytes of the maps that convolutions, matrix products and poolings write
    operations: int = 0  #: multiplications with weights
    parameters: int = 0  #: of the linear layers that read all cells of the map


class Known(NamedTuple):
    """What is known of a tensor."""

    #: The receptive field along each spatial axis, if it is known.
    fields: tuple[ReceptiveField, ...] | None
    #: The spatial axes, counted from the last; none where they are unknown.
    axes: tuple[int, ...]
    #: The poolings that the number of its cells depends on.
    poolings: frozenset[int]

    def size(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape[axis] for axis in self.axes)


class Flow:
    """Follows tensors from call to call."""

    def __init__(self) -> None:
        self.known = WeakTensorKeyDictionary()
        self.after: dict[int, After] = {}
        self.last: tuple[ReceptiveField, ...] | None = None  # of the pooling that came last

    def start(self, inputs: Any) -> None:
        """Maps (N, C, *spatial) that go into the model."""
        for x in _tensors(inputs):
            if x.is_floating_point() and 3 <= x.dim() <= 5:
                axes = tuple(range(2 - x.dim(), 0))
                self.known[x] = Known((ReceptiveField(1, 1, 0),) * len(axes), axes, frozenset())

    def pooled(self, number: int, output: Any, fixed: bool, inputs: Any) -> None:
        """A pooling wrote this; the size of its output may be fixed, whatever the input's is."""
        before = frozenset[int]() if fixed else self._poolings(inputs)
        self.after[number] = After()
        for y in _tensors(output):
            self._count(before, y, 0)
            old = self.known.get(y, Known(None, (), frozenset()))
            self.known[y] = old._replace(poolings=before | {number})

    def note(
        self, function: Callable[..., Any], given: Any, named: Mapping[str, Any], result: Any, call: Call | None
    ) -> None:
        outputs = list(_tensors(result))
        if not outputs:
            return
        name = getattr(function, "__name__", "")
        inputs = list(_tensors((given, named)))
        if call is not None:
            self._note_pooling(call, outputs)
        elif name in _CONVOLUTIONS or name in _TRANSPOSED:
            self._note_convolution(name, _named(given, named), outputs[0])
        elif name == "linear":
            self._note_linear(_named(given, named), outputs[0])
        elif name == "embedding":
            [y] = outputs
            self.known[y] = Known((ReceptiveField(1, 1, 0),), (-2,), frozenset())
        elif name in ("permute", "transpose", "movedim", "swapaxes", "moveaxis") and inputs:
            self._note_permuted(function, given, named, inputs[0], outputs[0])
        elif name == "pad" and inputs:
            self._note_padded(_amounts(given, named), inputs[0], outputs[0])
        else:
            for y in outputs:
                self.known[y] = self._joined(name, inputs, y)

    def _poolings(self, inputs: Any) -> frozenset[int]:
        known = (self.known.get(x) for x in _tensors(inputs))
        return frozenset().union(*(k.poolings for k in known if k is not None))

    def _joined(self, name: str, inputs: Sequence[Tensor], y: Tensor) -> Known:
        """Of the inputs, those with maps of the output's size decide; what is broadcast over them, a gate, does not."""
        every = [(x, known) for x in inputs if (known := self.known.get(x)) is not None]
        same = [
            known for x, known in every if known.axes and y.dim() >= -min(known.axes) and known.size(x) == known.size(y)
        ]
        if not same:
            return Known(None, (), frozenset().union(*(known.poolings for _, known in every)))
        fields = None if name in _MIXES else _widest([known.fields for known in same])
        return Known(fields, same[0].axes, frozenset().union(*(known.poolings for known in same)))

    def _note_pooling(self, call: Call, outputs: Sequence[Tensor]) -> None:
        known = self.known.get(call.input)
        pooling = call.pooling
        axes = tuple(axis - pooling.channels_last for axis in range(-pooling.rank, 0))
        fields = None
        if known is not None and known.fields is not None and known.axes == axes and call.windows is not None:
            fields = _through(known.fields, call.windows)
        self.last = fields
        poolings = known.poolings if known is not None else frozenset()
        for y in outputs:
            self.known[y] = Known(None, (), poolings) if pooling.flat else Known(fields, axes, poolings)

    def _note_convolution(self, name: str, arguments: Mapping[str, Any], y: Tensor) -> None:
        x, weight = arguments["input"], arguments["weight"]
        known = self.known.get(x)
        poolings = known.poolings if known is not None else frozenset()
        cells = math.prod(weight.shape[1:])
        self._count(poolings, y, (x if name in _TRANSPOSED else y).numel() * cells)
        rank = weight.dim() - 2
        axes = tuple(range(-rank, 0))
        fields = None
        if name in _CONVOLUTIONS and known is not None and known.fields is not None and known.axes == axes:
            fields = _through(known.fields, _windows_of_convolution(rank, x, weight, arguments))
        self.known[y] = Known(fields, axes, poolings)

    def _note_linear(self, arguments: Mapping[str, Any], y: Tensor) -> None:
        x, weight = arguments["input"], arguments["weight"]
        known = self.known.get(x, Known(None, (), frozenset()))
        if x.dim() <= 2:  # all cells of the map are one row
            for number in known.poolings:
                self.after[number].parameters += weight.numel()
            self._count(known.poolings, None, y.numel() * weight.shape[-1])
            self.known[y] = Known(None, (), frozenset())
            return
        self._count(known.poolings, y, y.numel() * weight.shape[-1])
        self.known[y] = known if known.axes and -1 not in known.axes else Known(None, (), known.poolings)

    def _note_permuted(
        self, function: Callable[..., Any], given: Any, named: Mapping[str, Any], x: Tensor, y: Tensor
    ) -> None:
        known = self.known.get(x)
        if known is None:
            return
        if not known.axes:
            self.known[y] = known
            return
        # Where each dimension went, told by sizes that are all different.
        marked = torch.empty(tuple(range(2, 2 + x.dim())), device="meta")
        tail = given[1:] if given and given[0] is x else given
        moved = function(marked, *tail, **{key: value for key, value in named.items() if value is not x})
        places = [size - 2 for size in moved.shape]
        axes = tuple(places.index(axis % x.dim()) - x.dim() for axis in known.axes)
        self.known[y] = known._replace(axes=axes)

    def _note_padded(self, amounts: Sequence[int], x: Tensor, y: Tensor) -> None:
        known = self.known.get(x)
        if known is None:
            return
        fields = known.fields
        if fields is not None:
            lows = [amounts[2 * (-1 - axis)] if 2 * (-1 - axis) < len(amounts) else 0 for axis in known.axes]
            fields = tuple(f._replace(start=f.start - low * f.stride) for f, low in zip(fields, lows, strict=True))
        self.known[y] = known._replace(fields=fields)

    def _count(self, poolings: frozenset[int], y: Tensor | None, operations: int) -> None:
        for number in poolings:
            self.after[number].operations += operations
            self.after[number].activations += y.numel() * y.element_size() if y is not None else 0


def _tensors(value: Any) -> Iterator[Tensor]:
    """Those that flow: parameters do not."""
    return (x for x in tensors(value) if not isinstance(x, torch.nn.Parameter))


def _widest(all_fields: list[tuple[ReceptiveField, ...] | None]) -> tuple[ReceptiveField, ...] | None:
    """The field of a sum: together they reach from the first start to the last end."""
    fields = [each for each in all_fields if each is not None]
    if len(fields) != len(all_fields) or len({tuple(f.stride for f in each) for each in fields}) != 1:
        return None
    joined = []
    for along in zip(*fields, strict=True):
        start, end = min(f.start for f in along), max(f.start + f.size for f in along)
        joined.append(ReceptiveField(end - start, along[0].stride, start))
    return tuple(joined)


def _through(fields: tuple[ReceptiveField, ...], windows: Windows) -> tuple[ReceptiveField, ...] | None:
    if any(axis.kernel == 0 for axis in windows.axes):
        return None
    return tuple(
        geometry.widened(field, axis.kernel, axis.stride, axis.dilation, axis.pad_low)
        for field, axis in zip(fields, windows.axes, strict=True)
    )


def _windows_of_convolution(rank: int, x: Tensor, weight: Tensor, arguments: Mapping[str, Any]) -> Windows:
    kernel = tuple(weight.shape[2:])
    strides, dilations = (geometry.per_axis(n, arguments.get(n, 1), rank) for n in ("stride", "dilation"))
    padding = arguments.get("padding", 0)
    if isinstance(padding, str):
        lows = tuple(d * (k - 1) // 2 if padding == "same" else 0 for k, d in zip(kernel, dilations, strict=True))
    else:
        lows = geometry.per_axis("padding", padding, rank, positive=False)
    axes = zip(x.shape[-rank:], kernel, strides, dilations, lows, strict=True)
    return Windows(tuple(Axis(size, 1, k, s, d, low, low) for size, k, s, d, low in axes))


def _named(given: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(_ARGUMENTS, given, strict=False)) | dict(named)


def _amounts(given: Sequence[Any], named: Mapping[str, Any]) -> Sequence[int]:
    amounts: Sequence[int] = named["pad"] if "pad" in named else given[1]
    return amounts
