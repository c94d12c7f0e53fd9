"""What was replaced in a model, and how to take it back."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import torch
from torch.nn import Module

from poolkit.surgery.text import columns

#: The hooks that a module may have; the new one shares them, so that their handles go on removing them.
_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class Change(NamedTuple):
    """One module that was replaced."""

    name: str
    before: str  #: the method and its windows
    after: str
    old: Module
    new: Module


class Changes(Sequence[Change]):
    """The modules that were replaced in a model; `str` gives a table, `undo` puts the old ones back."""

    def __init__(self, model: Module, changes: Sequence[Change], applied: bool) -> None:
        self._model, self._changes = model, tuple(changes)
        self.applied = applied  #: whether the new modules are in place; not after `dry_run`, nor after `undo`
        if applied:
            self._exchange([(change.old, change.new) for change in self._changes])

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...
    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        return self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self._changes)

    def undo(self) -> None:
        """Put the old modules back, in the mode and on the device that the new ones are in now; twice does nothing."""
        if self.applied:
            self._exchange([(change.new, change.old) for change in self._changes])
            self.applied = False

    def _exchange(self, pairs: list[tuple[Module, Module]]) -> None:
        """Wherever an old module stands, the new one does then."""
        fresh = {id(old): new for old, new in pairs}
        for old, new in pairs:
            _take_over(old, new, self._model)
        for parent in list(self._model.modules()):
            for name, child in list(parent._modules.items()):  # named_children() shows each module once
                if id(child) in fresh:
                    setattr(parent, name, fresh[id(child)])

    def table(self) -> list[list[str]]:
        return [["module", "before", "after"], *([change.name, change.before, change.after] for change in self)]

    def __str__(self) -> str:
        return columns(self.table()) if self else "no changes"

    def __repr__(self) -> str:
        return str(self)


def _take_over(old: Module, new: Module, model: Module) -> None:
    """What belongs to the place of a module: its mode, its hooks, its device and dtype."""
    new.train(old.training)
    if not (_holds(new, old) or _holds(old, new)):  # where one wraps the other, hooks stay with the one inside
        for name in _HOOKS:
            setattr(new, name, getattr(old, name))
    nearby = itertools.chain(_floating(old), _floating(model))
    like: Any = next(nearby, None)
    if like is not None and next(_floating(new), None) is not None:
        new.to(device=like.device, dtype=like.dtype)


@contextlib.contextmanager
def without_hooks(module: Module) -> Iterator[None]:
    """The module and all inside it have no hooks while the context lasts."""
    kept = [(each, name, getattr(each, name)) for each in module.modules() for name in _HOOKS]
    bare = {name: value for name, value in vars(Module()).items() if name in _HOOKS}
    try:
        for each, name, _ in kept:
            setattr(each, name, copy.copy(bare[name]))
        yield
    finally:
        for each, name, hooks in kept:
            setattr(each, name, hooks)


def _holds(outer: Module, inner: Module) -> bool:
    return any(module is inner for module in outer.modules())


def _floating(module: Module) -> Iterator[torch.Tensor]:
    tensors = itertools.chain(module.parameters(), module.buffers())
    return (x for x in tensors if x.is_floating_point())
