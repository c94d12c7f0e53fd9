"""Calls of functions that pool by another method while a context lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import Module
from torch.overrides import TorchFunctionMode

from poolkit import functional
from poolkit._signatures import PREFIX, arguments_of
from poolkit.errors import ArgumentError
from poolkit.methods import METHODS
from poolkit.surgery.calls import Call, call_of
from poolkit.surgery.match import start
from poolkit.surgery.modules import pooling_of
from poolkit.surgery.owners import Owners
from poolkit.surgery.selectors import selected, unmatched
from poolkit.surgery.targets import Init, Target, refuse_unknown


class Routing(TorchFunctionMode):
    """Lasts as long as its `with` block; see `poolkit.swap.functional`."""

    def __init__(self, model: Module, targets: Mapping[str, Target], init: Init) -> None:
        super().__init__()
        for target in targets.values():
            if target.make is not None or target.name not in METHODS:
                raise ArgumentError(
                    f"methods: a call of a function can be replaced by one of {', '.join(METHODS)}, but got {target}"
                )
        self._targets, self._init, self._owners = targets, init, Owners(model)
        self._pools = {id(module) for module in model.modules() if pooling_of(module) is not None}
        self._used: set[str] = set()
        self._seen: dict[str, str] = {}  # what was called, by whom
        self._ran = False
        self._watched = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._used.clear()
        self._ran = False
        self._watched.enter_context(self._owners.watched())
        super().__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        self._watched.close()
        unused = [selector for selector in self._targets if selector not in self._used]
        if kind is None and self._ran and unused:
            if not self._seen:
                raise ArgumentError("the model calls no pooling function")
            raise unmatched(unused[0], self._seen)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        running = self._owners.running
        if not running:
            return func(*args, **named)
        self._ran = True
        if isinstance(func, torch._ops.OpOverload) or not self._pools.isdisjoint(map(id, running)):
            return func(*args, **named)
        call = call_of(func, args, named)
        if call is None or call.kind == "max":  # which gives the places of the maxima, too
            return func(*args, **named)
        means = call.pooling.method if call.kind == "function" else call.kind
        self._seen[self._owners.name] = means
        selector = selected(self._targets, (self._owners.name,), means)
        if selector is None:
            return func(*args, **named)
        self._used.add(selector)
        return _run(call, self._targets[selector], self._init, running[-1].training)


def _run(call: Call, target: Target, init: Init, training: bool) -> Any:
    """The call by the method of the target."""
    pooling, row, x = call.pooling, METHODS[target.name], call.input
    assert pooling.form != "layer"
    known = [argument.name for argument in arguments_of(row, pooling.form)]
    refuse_unknown(target.name, target.parameters, [name for name in known if name not in pooling.geometry])
    if pooling.arguments.get("return_indices") and "return_indices" not in known:
        raise ArgumentError(f"the call wants indices, which {target.name} has none of")
    arguments = {name: value for name, value in pooling.arguments.items() if name in known}
    arguments |= (start(target.name, pooling) if init == "match" else {}) | dict(target.parameters)
    if row.trains:
        arguments.setdefault("training", training)
    function = getattr(functional, f"{PREFIX[pooling.form]}{target.name}_pool{pooling.rank}d")
    y = function(x.movedim(-1, 1) if pooling.channels_last else x, **arguments)
    channel = -pooling.rank - 1
    if isinstance(y, Tensor) and y.shape[channel] != x.shape[-1 if pooling.channels_last else channel]:
        raise ArgumentError(f"{target} would change the number of channels")
    if pooling.flat:
        return y.flatten(channel)
    return y.movedim(1, -1) if pooling.channels_last else y
