"""The pooling that replaces another: same windows, another method."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import Module

from poolkit import geometry, nn
from poolkit._signatures import CLASS_PREFIX, arguments_of
from poolkit.errors import ArgumentError, nearest
from poolkit.methods import LAYERS, METHODS, ROWS
from poolkit.surgery.changes import without_hooks
from poolkit.surgery.match import start
from poolkit.surgery.pooling import Pooling

Init = Literal["match", "default"]
Given = str | tuple[str, Mapping[str, Any]] | Callable[[Module], Module]

_USUAL = {"padding": (0, "valid"), "dilation": (1,), "ceil_mode": (False,)}


class Target(NamedTuple):
    """What a user gave: the name of a row or of a module of poolkit.nn without its rank, and parameters."""

    name: str
    parameters: Mapping[str, Any]
    make: Callable[[Module], Module] | None = None

    def __str__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        return f"{self.name}({given})" if given else self.name


def target_of(given: Any) -> Target:
    """Checks what does not depend on the pooling that is replaced."""
    if callable(given) and not isinstance(given, type):
        return Target(getattr(given, "__name__", type(given).__name__), {}, given)
    name, parameters = given if isinstance(given, tuple) and len(given) == 2 else (given, {})
    if not isinstance(name, str) or not isinstance(parameters, Mapping):
        raise TypeError(
            "methods: a target must be a method's name, (name, {parameters}) or a function from the old module to the "
            f"new one, but got {given!r}"
        )
    if name not in ROWS and not hasattr(nn, f"{name}2d"):
        raise ArgumentError(f"methods: no method or layer is named {name!r}{nearest(name, ROWS)}")
    return Target(name, parameters)


def check_init(init: Any) -> None:
    if init not in get_args(Init):
        raise ArgumentError(f"init must be one of {', '.join(map(repr, get_args(Init)))}, but got {init!r}")


def built(target: Target, pooling: Pooling, old: Module, init: Init, channels: int | None) -> Module:
    """The new module on the CPU. Raises ArgumentError where there can be none."""
    if target.make is not None:
        new = target.make(old)
        if not isinstance(new, Module):
            raise TypeError(f"{target} must return a torch.nn.Module, but got {type(new).__name__}")
        return new
    if pooling.form == "layer":
        if target.name == pooling.method == "blur" and not target.parameters:
            return _module("BlurPool", pooling.rank)(**pooling.arguments)
        raise ArgumentError(f"the windows of {pooling.method} mean nothing to {target.name}; give a function instead")
    parameters = (start(target.name, pooling) if init == "match" else {}) | dict(target.parameters)
    if target.name in METHODS:
        new = _of_method(target.name, pooling, old, parameters)
    else:
        new = _of_layer(target.name, pooling, parameters, channels)
    if pooling.zeros and target.name == "avg":
        new = ZerosUntilSame(new, pooling)
    return Rearranged(new, pooling) if pooling.channels_last or pooling.flat else new


def _module(stem: str, rank: int) -> Callable[..., Module]:
    found: Callable[..., Module] = getattr(nn, f"{stem}{rank}d")
    return found


def _of_method(name: str, pooling: Pooling, old: Module, parameters: Mapping[str, Any]) -> Module:
    assert pooling.form != "layer"
    row = METHODS[name]
    known = [argument.name for argument in arguments_of(row, pooling.form, module=True)]
    refuse_unknown(name, parameters, [key for key in known if key not in pooling.geometry])
    if pooling.parameters.get("return_indices") and "return_indices" not in known:
        raise ArgumentError(f"the pooling returns indices, which {name} has none of")
    arguments = {key: value for key, value in pooling.arguments.items() if key in known} | dict(parameters)
    if pooling.zeros and name != "avg":
        arguments["padding"] = "same"
    module = _module(f"{CLASS_PREFIX[pooling.form]}{row.class_name}Pool", pooling.rank)
    if isinstance(old, nn.Pool):
        pool: Any = old
        module = functools.partial(nn.Pool, name, rank=pool.rank)
    try:
        return module(**arguments)
    except TypeError as error:  # a parameter that has no default, or of a wrong type
        raise ArgumentError(f"{name}: {error}") from None


def _of_layer(name: str, pooling: Pooling, parameters: Mapping[str, Any], channels: int | None) -> Module:
    module = _layer_module(name, pooling.rank)
    signature = inspect.signature(module).parameters
    refuse_unknown(name, parameters, [key for key in signature if key not in pooling.geometry])
    if pooling.parameters.get("return_indices"):
        raise ArgumentError(f"the pooling returns indices, which {name} has none of")
    arguments = _windows_of_layer(name, pooling, signature) | {
        key: value for key, value in pooling.parameters.items() if key in signature
    }
    needed = signature.get("channels")
    if needed is not None and needed.default is needed.empty and "channels" not in parameters:
        if channels is None:
            raise ArgumentError(f"{name} needs the number of channels: give inputs=, which one run tells it from")
        arguments["channels"] = channels
    try:
        return module(**(arguments | dict(parameters)))
    except TypeError as error:
        raise ArgumentError(f"{name}: {error}") from None


def _layer_module(name: str, rank: int) -> Callable[..., Module]:
    stems = {name} if name not in LAYERS else {module.removesuffix(f"{rank}d") for module in LAYERS[name].modules}
    fitting = {stem: getattr(nn, f"{stem}{rank}d") for stem in stems if hasattr(nn, f"{stem}{rank}d")}
    pools = {
        stem: module
        for stem, module in fitting.items()
        if stem.endswith("Pool") and {"kernel_size", "stride"} & set(inspect.signature(module).parameters)
    }
    if len(pools) != 1:
        several = f"is several, name one: {', '.join(sorted(pools))}" if pools else f"has no windows of rank {rank}"
        raise ArgumentError(f"{name} {several}")
    [module] = pools.values()
    return module


def _windows_of_layer(name: str, pooling: Pooling, signature: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The arguments that give a layer the windows of the old pooling."""
    if pooling.form != "sliding":
        sizes = pooling.geometry.get("output_size", 1)
        whole = "kernel_size" in signature and signature["kernel_size"].default is None
        if not whole or set(sizes if isinstance(sizes, tuple | list) else (sizes,)) != {1}:
            raise ArgumentError(f"{name} has no form that gives the output the size {sizes}")
        return {}
    old = dict(pooling.geometry)
    old["stride"] = old.get("stride") or old["kernel_size"]
    if pooling.zeros:
        old["padding"] = "same"
    for key, usual in _USUAL.items():
        value = old.get(key, usual[0])
        same = value in usual or (isinstance(value, tuple | list) and set(value) <= set(usual))
        if key not in signature and not same:
            raise ArgumentError(f"{name} takes no {key}, but the pooling has {key}={value!r}")
    return {key: value for key, value in old.items() if key in signature}


def refuse_unknown(name: str, parameters: Iterable[str], known: list[str]) -> None:
    for key in parameters:
        if key not in known:
            allowed = f"allowed: {', '.join(known)}" if known else "none is allowed"
            raise ArgumentError(f"{key!r} is no parameter of {name}; {allowed}{nearest(key, known)}")


class ZerosUntilSame(Module):
    """Pads by zeros, which count as cells, until 'same' holds, as timm's AvgPool2dSame does."""

    def __init__(self, pool: Module, pooling: Pooling) -> None:
        super().__init__()
        self.pool = pool
        self._arguments = pooling.geometry | {"padding": "same", "ceil_mode": False}
        self._rank = pooling.rank

    def forward(self, input: Tensor) -> Tensor:
        axes = geometry.sliding(self._rank, tuple(input.shape[-self._rank :]), **self._arguments).axes
        amounts = [side for axis in reversed(axes) for side in (axis.pad_low, axis.pad_high)]
        output: Tensor = self.pool(torch.nn.functional.pad(input, amounts))
        return output


class Rearranged(Module):
    """Pools maps (N, *spatial, C), or gives (N, C) instead of one cell a channel."""

    def __init__(self, pool: Module, pooling: Pooling) -> None:
        super().__init__()
        self.pool = pool
        self.channels_last, self.flat = pooling.channels_last, pooling.flat

    def extra_repr(self) -> str:
        return f"channels_last={self.channels_last}, flat={self.flat}"

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.pool(input.movedim(-1, 1) if self.channels_last else input)
        if self.flat:
            return output.flatten(1)
        return output.movedim(1, -1) if self.channels_last else output


# --- Shapes


def shapes_to_try(old: Module, pooling: Pooling) -> list[tuple[int, ...]]:
    """Inputs of a few sizes, even and odd; they are on the meta device and cost nothing."""
    channels = getattr(old, "channels", None)
    channels = channels if isinstance(channels, int) else 8
    spatial = [(12,) * pooling.rank, (13,) * pooling.rank]
    if pooling.form == "sliding":
        given = {key: value for key, value in pooling.geometry.items() if key != "output_size"}
        checked = geometry.check_sliding(pooling.rank, **given)
        reaches = [
            d * (k - 1) + 1 + 3 * s for k, s, d in zip(checked.kernel, checked.stride, checked.dilation, strict=True)
        ]
        spatial = [tuple(reach + more for reach in reaches) for more in (0, 1)]
    if pooling.channels_last:
        return [(2, *sizes, channels) for sizes in spatial]
    return [(2, channels, *sizes) for sizes in spatial]


def check_shapes(target: Target, old: Module, new: Module, shapes: Iterable[tuple[int, ...]]) -> None:
    """Refuses a pooling whose output has another shape than the old one's."""
    before, after = _on_meta(old), _on_meta(new)
    for shape in shapes:
        x = torch.empty(shape, device="meta")
        expected = _shapes(before.forward(x))
        try:
            got = _shapes(after.forward(x))
        except (RuntimeError, TypeError, ValueError) as error:
            raise ArgumentError(f"{target} fails on an input of shape {list(shape)}: {error}") from None
        if got != expected:
            raise ArgumentError(
                f"{target} would change the output's shape from {expected} to {got}, for an input of {list(shape)}"
            )


def _on_meta(module: Module) -> Module:
    with without_hooks(module):  # what watches the module is neither copied nor called
        return copy.deepcopy(module).to("meta").eval()


def _shapes(output: Any) -> str:
    outputs = output if isinstance(output, tuple | list) else (output,)
    return " and ".join(str(list(y.shape)) for y in outputs)
