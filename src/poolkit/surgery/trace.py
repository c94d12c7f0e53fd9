"""Runs a model and notes its poolings: modules, functions and reductions alike, which no graph of modules shows."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import Module
from torch.overrides import TorchFunctionMode

from poolkit import nn
from poolkit.geometry import ReceptiveField, Windows
from poolkit.surgery.calls import call_of
from poolkit.surgery.flow import Flow
from poolkit.surgery.modules import pooling_of
from poolkit.surgery.owners import Owners
from poolkit.surgery.pooling import Pooling


class Event:
    """One pooling that ran."""

    def __init__(self, name: str, kind: str, pooling: Pooling, inputs: Any) -> None:
        self.name, self.kind, self.pooling, self.inputs = name, kind, pooling, inputs
        self.windows: Windows | None = None
        self.input_shape: tuple[int, ...] = ()
        self.output_shape: tuple[int, ...] = ()
        self.read = self.written = self.saved = 0
        self.seconds = 0.0
        self.fields: tuple[ReceptiveField, ...] | None = None
        self._kept: set[int] = set()

    def keep(self, x: Tensor) -> None:
        """Autograd keeps a tensor; of parameters it keeps no copy, and what it keeps twice is there once."""
        key = x.untyped_storage()._cdata
        if key not in self._kept and not (x.is_leaf and x.requires_grad):
            self._kept.add(key)
            self.saved += x.numel() * x.element_size()


class Trace(TorchFunctionMode):
    """The poolings of one run, in the order in which they began."""

    def __init__(self, model: Module, follow: bool = True) -> None:
        """Without `follow` nothing is known of fields and of what follows, and the clock is disturbed less."""
        super().__init__()
        self.model, self.owners, self._follow = model, Owners(model), follow
        self.events: list[Event] = []
        self.flow = Flow()
        self._open: Event | None = None  # the outermost that is running
        self._within: Module | None = None  # the module that it is
        self._described: dict[int, Pooling | None] = {}

    def run(self, inputs: tuple[Any, ...], gradients: bool) -> Any:
        """The model's output in evaluation mode; with gradients, what autograd keeps is counted."""
        with evaluating(self.model), torch.set_grad_enabled(gradients), self._saved(gradients):
            if gradients:
                inputs = tuple(map(_wanting, inputs))
            self.flow.start(inputs)
            with self.owners.watched(self._enter, self._leave), self:
                return self.model(*inputs)

    @contextlib.contextmanager
    def _saved(self, gradients: bool) -> Iterator[None]:
        def pack(x: Tensor) -> Tensor:
            if self._open is not None:
                self._open.keep(x)
            return x

        with saved_tensors_hooks(pack, lambda x: x) if gradients else contextlib.nullcontext():
            yield

    def _enter(self, name: str, module: Module, inputs: Any) -> None:
        if self._open is not None:
            return
        if id(module) not in self._described:
            self._described[id(module)] = pooling_of(module)
        pooling = self._described[id(module)]
        if pooling is not None and inputs and isinstance(inputs[0], Tensor):
            if isinstance(module, nn.Pool):  # whose rank may be the input's
                pooling = dataclasses.replace(pooling, rank=inputs[0].dim() - 2)
            self._within = module
            self._begin(Event(name, "module", pooling, inputs))

    def _leave(self, name: str, module: Module, output: Any) -> None:
        if module is self._within and self._open is not None and output is not None:  # None where it raised
            self._end(output)
            self._within = None

    def _begin(self, event: Event) -> None:
        self._open = event
        self.events.append(event)
        x = event.inputs[0]
        event.input_shape, event.read = tuple(x.shape), _bytes(x)
        _wait(x)
        event.seconds -= time.perf_counter()

    def _end(self, output: Any) -> None:
        event = self._open
        assert event is not None
        outputs = output if isinstance(output, tuple | list) else (output,)
        _wait(outputs[0])
        event.seconds += time.perf_counter()
        event.output_shape = tuple(outputs[0].shape)
        event.written = sum(_bytes(y) for y in outputs if isinstance(y, Tensor))
        if self._follow:
            self._follow_pooling(event, output)
        event.inputs = ()
        self._open = None

    def _follow_pooling(self, event: Event, output: Any) -> None:
        fixed = event.pooling.form in ("adaptive", "global") or len(event.output_shape) < len(event.input_shape)
        event.fields = self.flow.last
        self.flow.pooled(len(self.events) - 1, output, fixed, event.inputs)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if getattr(func, "__name__", "") == "__get__":  # an attribute
            return func(*args, **named)
        call = call_of(func, args, named)
        own = call is not None and self._open is None
        if call is not None and own:
            self.flow.last = None
            self._begin(Event(self.owners.name, call.kind, call.pooling, (call.input,)))
        result = func(*args, **named)
        if self._follow:
            self.flow.note(func, args, named, result, call)
        if call is not None and self._open is not None:
            self._open.windows = call.windows
            if own:
                self._end(result)
        return result


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """The model in evaluation mode; afterwards every module is as it was."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def _wanting(value: Any) -> Any:
    """An input whose gradient will be asked for, and that operations in place may write to."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().requires_grad_().clone()
    return value


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
