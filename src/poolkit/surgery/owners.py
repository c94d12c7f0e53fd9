"""Which module of a model is running."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import Module

Entered = Callable[[str, Module, Any], None]


class Owners:
    """The modules that are running, the innermost last, while `watched`."""

    def __init__(self, model: Module) -> None:
        self.names = {id(module): name for name, module in model.named_modules()}
        # TorchScript runs without Python's hooks.
        self.modules = [module for module in model.modules() if not isinstance(module, torch.jit.ScriptModule)]
        self.running: list[Module] = []

    @property
    def name(self) -> str:
        """The name of the innermost; empty for the model itself."""
        return self.names[id(self.running[-1])] if self.running else ""

    @contextlib.contextmanager
    def watched(self, enter: Entered | None = None, leave: Entered | None = None) -> Iterator[None]:
        """`enter` sees each module's name, the module and its inputs, `leave` its output."""

        def before(module: Module, inputs: Any) -> None:
            self.running.append(module)
            if enter is not None:
                enter(self.name, module, inputs)

        def after(module: Module, inputs: Any, output: Any) -> None:
            # Where a module raised, those inside it may have left without a word.
            while self.running and self.running[-1] is not module:
                self.running.pop()
            if leave is not None and self.running:
                leave(self.name, module, output)
            if self.running:
                self.running.pop()

        handles = []
        try:
            for module in self.modules:
                handles.append(module.register_forward_pre_hook(before))
                handles.append(module.register_forward_hook(after, always_call=True))
            yield
        finally:
            for handle in handles:
                handle.remove()
            self.running.clear()
