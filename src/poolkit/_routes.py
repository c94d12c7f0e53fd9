"""Which of torch's pooling calls poolkit serves with the same result, and how."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling, is_exporting
from torch.fx.experimental.symbolic_shapes import has_static_value

from poolkit import functional, ops, transforms

_EXACT = frozenset((torch.float32, torch.float64))
_HALVES = frozenset((torch.float16, torch.bfloat16))
_FLOATS = _EXACT | _HALVES
_INTEGERS = frozenset((torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64))

Values = Mapping[str, Any]

_FLAGS = frozenset(("ceil_mode", "count_include_pad", "return_indices"))
_OPTIONAL = frozenset(("stride", "divisor_override", "output_size"))
_SPECIAL = frozenset((("norm_type", float), ("indices", Tensor)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """One of torch's functions: its signature, where torch and poolkit agree, and poolkit's function."""

    name: str
    method: str
    #: torch's parameters, in order.
    parameters: tuple[str, ...]
    #: What torch takes, too: it refuses some dtypes that poolkit pools.
    dtypes: frozenset[torch.dtype] = _FLOATS
    #: Whether autocast has torch compute half precision in float32.
    widened: bool = False
    #: Why a call is torch's, from its arguments by name; None if poolkit gives the same.
    unless: Callable[..., str | None] = lambda values: None
    #: Why torch gets every call.
    never: str | None = None
    serve: Callable[..., Any]

    @functools.cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.parameters)

    def arguments(self, args: tuple[Any, ...], kwargs: Values, least: int) -> dict[str, Any] | str:
        """The arguments by name if poolkit serves the call, or else why torch does."""
        x: Any = args[0] if args else kwargs.get("input")
        if reason := why_torch(x):
            return reason
        if x.dtype not in self.dtypes:
            return str(x.dtype)
        if self.never:
            return self.never
        if x.numel() < least:
            return f"fewer than {least} cells"
        if self.widened and x.dtype in _HALVES and torch.is_autocast_enabled("cpu"):
            return "autocast computes it in float32"
        values = dict(zip(self.parameters, args, strict=False))
        plain = len(values) == len(args) and not values.keys() & kwargs.keys() and kwargs.keys() <= self.names
        values |= kwargs
        if not plain or not all(name == "input" or _is_plain(name, value) for name, value in values.items()):
            return "not arguments that both take"
        return self.unless(values) or values


def why_torch(x: object) -> str | None:
    """Why torch should see this input itself, whatever the function; None if poolkit has kernels for it."""
    if type(x) not in (Tensor, torch.nn.Parameter):
        return f"the input is a {type(x).__name__}"
    assert isinstance(x, Tensor)
    if not ops.HAS_KERNELS:
        return "poolkit was built without torch"
    if not x.is_cpu:
        return f"the input is on {x.device.type!r}"
    if x.layout is not torch.strided:
        return f"the input's layout is {x.layout}"
    if is_compiling():
        if is_exporting():
            return "torch.export writes torch's operators"
        # Programs for all sizes cannot train with poolkit's adaptive windows.
        return None if all(has_static_value(n) for n in x.shape) else "the input's shape is dynamic"
    if transforms.active():
        return "a torch.func or forward-mode transform is active"
    if transforms.recorded():
        return "torch.jit.trace writes torch's operators"
    if torch._C._len_torch_dispatch_stack():
        return "a TorchDispatchMode is active"
    if _trains(x) and torch._C._autograd._top_saved_tensors_default_hooks(True) is not None:
        # A checkpoint runs its code again in the backward, which no block of ours reaches, and wants the same saved.
        return "hooks look at what is saved for the gradient"
    return None


def _is_plain(name: str, value: Any) -> bool:
    """Whether torch and poolkit read an argument in the same way: padding by name or by side is poolkit's alone."""
    kind = type(value)
    if name in _FLAGS:
        return kind is bool
    if isinstance(value, tuple | list):
        return all(type(item) is int or (item is None and name == "output_size") for item in value)
    return kind is int or (value is None and name in _OPTIONAL) or (name, kind) in _SPECIAL


def _axes(value: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value or ())
    return values * rank if len(values) == 1 else values


def _trains(x: Tensor) -> bool:
    return x.requires_grad and torch.is_grad_enabled()


def _unless_max(rank: int, values: Values, indices: bool = False) -> str | None:
    if (indices or values.get("return_indices")) and _trains(values["input"]):
        return "torch watches over the indices that it needs for the gradient"
    dilation, padding = _axes(values.get("dilation", 1), rank), _axes(values.get("padding", 0), rank)
    if any(d != 1 for d in dilation) and any(padding):
        return "the borders of dilated windows are torch's own"
    return None


def _unless_empty(values: Values) -> str | None:
    return "torch refuses gradients of nothing" if 0 in _axes(values.get("output_size", 1), 1) else None


def _unless_adaptive_avg(rank: int, values: Values) -> str | None:
    x, sizes = values["input"], _axes(values.get("output_size"), rank)
    if all(size == 1 for size in sizes) and x.is_contiguous():
        return "torch is as fast for means of contiguous maps"
    return _unless_empty(values)


def _unless_adaptive_max(rank: int, values: Values, indices: bool = False) -> str | None:
    return _unless_empty(values) or _unless_max(rank, values, indices)


def _unless_avg3d(values: Values) -> str | None:
    kernel = _axes(values.get("kernel_size", 1), 3)
    if any(n < k for n, k in zip(values["input"].shape[-3:], kernel, strict=False)):
        return "the input is smaller than the kernel"
    return None


def _unless_lp(values: Values) -> str | None:
    norm = values.get("norm_type")
    if type(norm) not in (int, float) or norm <= 0 or norm % 2 != 0:  # type: ignore[operator]
        return f"torch's norm {norm} has signs"
    return "torch scales the border's windows in ceil mode" if values.get("ceil_mode") else None


def _unless_unpool(values: Values) -> str | None:
    return "its gradient differs where indices repeat" if _trains(values["input"]) else None


_MAX = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVG = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_LP = ("input", "norm_type", "kernel_size", "stride", "ceil_mode")
_UNPOOL = ("input", "indices", "kernel_size", "stride", "padding", "output_size")


def _with_indices(function: Callable[..., Any]) -> Callable[..., Any]:
    def serve(return_indices: object = None, **values: Any) -> Any:
        return function(**values, return_indices=True)

    return serve


def _of_rank(rank: int) -> dict[Any, Route]:
    """The functions of one rank in torch.nn.functional, and those of torch that these call."""
    home, own = torch.nn.functional, torch if rank == 1 else torch._C._nn

    def named(name: str) -> dict[str, Any]:
        return {"name": name, "serve": getattr(functional, name)}

    most = Route(
        **named(f"max_pool{rank}d"),
        method="max",
        parameters=_MAX,
        dtypes=_FLOATS if rank == 1 else _FLOATS | _INTEGERS,
        widened=rank == 3,
        unless=functools.partial(_unless_max, rank),
    )
    adaptive = Route(
        **named(f"adaptive_max_pool{rank}d"),
        method="max",
        parameters=("input", "output_size", "return_indices"),
        widened=rank == 3,
        unless=functools.partial(_unless_adaptive_max, rank),
    )
    routes = {
        getattr(home, most.name): most,
        getattr(torch, most.name): dataclasses.replace(most, parameters=_MAX[:-1]),
        getattr(home, adaptive.name): adaptive,
        getattr(home, f"avg_pool{rank}d"): Route(
            **named(f"avg_pool{rank}d"),
            method="avg",
            parameters=_AVG[:-1] if rank == 1 else _AVG,
            dtypes=(_EXACT if rank == 3 else _FLOATS) | {torch.int64},
            unless=_unless_avg3d if rank == 3 else lambda values: None,
        ),
        getattr(home, f"lp_pool{rank}d"): Route(
            **named(f"lp_pool{rank}d"),
            method="lp",
            parameters=_LP,
            dtypes=_EXACT if rank == 3 else _FLOATS,
            unless=_unless_lp,
        ),
        getattr(home, f"max_unpool{rank}d"): Route(
            **named(f"max_unpool{rank}d"), method="max", parameters=_UNPOOL, widened=True, unless=_unless_unpool
        ),
    }
    average = Route(
        **named(f"adaptive_avg_pool{rank}d"),
        method="avg",
        parameters=("input", "output_size"),
        dtypes=_EXACT if rank == 3 else _FLOATS,
        unless=functools.partial(_unless_adaptive_avg, rank),
    )
    routes |= dict.fromkeys((getattr(home, average.name), getattr(own, average.name)), average)
    for route, functions in (
        (most, ((home, most.parameters), (own, most.parameters[:-1]))),
        (adaptive, ((home, adaptive.parameters), (own, adaptive.parameters[:-1]))),
    ):
        for place, parameters in functions:
            # torch's own adaptive functions return indices, whatever their name.
            suffix = "" if place is own and route is adaptive else "_with_indices"
            routes[getattr(place, route.name + suffix)] = dataclasses.replace(
                route,
                name=f"{route.name}_with_indices",
                parameters=parameters,
                unless=functools.partial(route.unless, indices=True),
                serve=_with_indices(route.serve),
            )
    return routes


def _fractional(name: str) -> Route:
    return Route(
        name=name,
        method="max",
        parameters=("input", "kernel_size", "output_size", "output_ratio", "return_indices", "_random_samples"),
        never="poolkit finds where windows start from whole numbers, torch from rounded products",
        serve=getattr(functional, name.removesuffix("_with_indices")),
    )


#: Every pooling function of torch.
POOLING: dict[Any, Route] = {
    **_of_rank(1),
    **_of_rank(2),
    **_of_rank(3),
    **{
        getattr(torch.nn.functional, name): _fractional(name)
        for rank in (2, 3)
        for name in (f"fractional_max_pool{rank}d", f"fractional_max_pool{rank}d_with_indices")
    },
}
#: What routes can be chosen by.
METHODS = tuple(sorted({route.method for route in POOLING.values()}))
