"""Poolings among the modules of torch.nn, poolkit.nn and timm, which is told by names and never imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch.nn import Module

from poolkit import nn
from poolkit._signatures import Form, arguments_of, functions
from poolkit.methods import LAYERS, METHODS
from poolkit.surgery.pooling import Pooling

#: The modules of windows, by their class: the method, the form and the rank.
_WINDOWED: dict[type, tuple[str, Form, int]] = {
    getattr(front, function.class_name): (function.method, function.form, function.rank)
    for front in (torch.nn, nn)
    for function in functions()
    if hasattr(front, function.class_name)
}
#: The modules of layers, and torch's of the same name.
_LAYERED: dict[type, str] = {
    getattr(front, name): layer.name
    for front in (torch.nn, nn)
    for layer in LAYERS.values()
    for name in layer.modules
    if hasattr(front, name)
}


def own_forward(kind: type) -> type | None:
    """The class of the tables whose forward instances of this class run; None if they run code of their own."""
    for base in kind.__mro__:
        if base in _WINDOWED or base in _LAYERED:
            return base
        if "forward" in vars(base):
            return None
    return None


def is_ours(module: Module) -> bool:
    """Whether poolkit's code runs it already."""
    base = own_forward(type(module))
    return isinstance(module, nn.Pool) or (base is not None and not base.__module__.startswith("torch."))


def pooling_of(module: Module) -> Pooling | None:
    """The pooling that a module is, without its children; None if it is none that is known."""
    if isinstance(module, nn.Pool):
        pool: Any = module
        rank = pool.rank or pool._likely_rank()
        return Pooling(method=pool.method, rank=rank, form=pool.form, arguments=dict(pool.arguments))
    base = own_forward(type(module))
    if base in _WINDOWED:
        return _windowed(module, *_WINDOWED[base])
    if base in _LAYERED:
        return _layered(module, base)
    for name in (kind.__name__ for kind in type(module).__mro__):
        if name in _OF_TIMM:
            try:
                return _OF_TIMM[name](module)
            except AttributeError:  # another module of the same name
                return None
    return None


def _windowed(module: Module, method: str, form: Form, rank: int) -> Pooling:
    row = METHODS[method]
    known = arguments_of(row, form, module=True)
    # What torch's older modules lack has its default.
    arguments = {a.name: getattr(module, a.name, a.default) for a in known if a.name != "keepdim"}
    return Pooling(method=method, rank=rank, form=form, arguments=arguments, flat=not getattr(module, "keepdim", True))


def _layered(module: Module, base: type) -> Pooling:
    name = base.__name__
    rank = int(name[-2]) if name[-2:] in ("1d", "2d", "3d") else 0
    shown = {key: getattr(module, key) for key in ("kernel_size", "stride", "padding") if hasattr(module, key)}
    return Pooling(method=_LAYERED[base], rank=rank, form="layer", arguments=shown)


# --- timm's


def _fast(method: str, **parameters: Any) -> Callable[[Any], Pooling]:
    """Means and maxima by reductions over the axes in `dim`."""

    def describe(module: Any) -> Pooling:
        last = tuple(getattr(module, "dim", None) or module.dim_reduce) == (1, 2)
        return Pooling(
            method=method, rank=2, form="global", arguments=parameters, channels_last=last, flat=module.flatten
        )

    return describe


def _adaptive(mode: str) -> Callable[[Any], Pooling]:
    def describe(module: Any) -> Pooling:
        arguments = {"output_size": module.output_size, "mode": mode}
        return Pooling(method="avg_max", rank=2, form="adaptive", arguments=arguments)

    return describe


def _same(method: Literal["max", "avg"]) -> Callable[[Any], Pooling]:
    """Maxima leave the padding out; averages count its zeros, unless a module of one stride says otherwise."""

    def describe(module: Any) -> Pooling:
        old = _windowed(module, method, "sliding", 2)
        zeros = method == "avg"
        arguments = dict(old.arguments) | ({} if zeros else {"padding": "same"})
        return Pooling(method=method, rank=2, form="sliding", arguments=arguments, zeros=zeros)

    return describe


def _blur(module: Any) -> Pooling:
    mode = {"constant": "zeros"}.get(module.pad_mode, module.pad_mode)
    given = {"filter_size": module.filt_size, "stride": module.stride, "padding_mode": mode, "sizes": "timm"}
    return Pooling(method="blur", rank=2, form="layer", arguments=given)


def _selected(module: Any) -> Pooling | None:
    return pooling_of(module.pool)


def _attention(rank: int) -> Callable[[Any], Pooling]:
    return lambda module: Pooling(method="attention", rank=rank, form="layer")


_OF_TIMM: dict[str, Callable[[Any], Pooling | None]] = {
    "SelectAdaptivePool2d": _selected,
    "FastAdaptiveAvgPool": _fast("avg"),
    "FastAdaptiveMaxPool": _fast("max"),
    "FastAdaptiveAvgMaxPool": _fast("avg_max"),
    "FastAdaptiveCatAvgMaxPool": _fast("avg_max", mode="cat"),
    "AdaptiveAvgMaxPool2d": _adaptive("add"),
    "AdaptiveCatAvgMaxPool2d": _adaptive("cat"),
    "AvgPool2dSame": _same("avg"),
    "MaxPool2dSame": _same("max"),
    "BlurPool2d": _blur,
    "AttentionPool2d": _attention(2),
    "RotAttentionPool2d": _attention(2),
    "AttentionPoolLatent": _attention(0),
}


def poolings(model: Module) -> Iterator[tuple[str, Module, Pooling]]:
    """The poolings of a model that are modules, the outermost where one holds another, under each of their names."""
    inside: list[str] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if any(name.startswith(outer) for outer in inside):
            continue
        if (pooling := pooling_of(module)) is not None:
            inside.append(f"{name}.")
            yield name, module, pooling


def slot_of(name: str, module: Module) -> tuple[str, Module]:
    """What to replace where a module pools: timm's heads ask their SelectAdaptivePool2d what it is, so it stays."""
    if own_forward(type(module)) is None and "SelectAdaptivePool2d" in (kind.__name__ for kind in type(module).__mro__):
        return f"{name}.pool" if name else "pool", module.get_submodule("pool")
    return name, module
