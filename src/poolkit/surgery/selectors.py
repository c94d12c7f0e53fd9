"""Which poolings of a model a user means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from torch.nn import Module

from poolkit.errors import ArgumentError, nearest
from poolkit.methods import ROWS
from poolkit.surgery.modules import poolings, slot_of
from poolkit.surgery.pooling import Pooling

REGEX = "re:"


class Place(NamedTuple):
    """A pooling of a model that may be replaced: the module that is, and all names of it."""

    names: tuple[str, ...]
    module: Module
    pooling: Pooling
    #: What a selector may mean by a type: the module itself, and one around it that does nothing else.
    seen: tuple[Module, ...]


def places_of(model: Module) -> list[Place]:
    """Every pooling module of a model, once."""
    found: dict[int, Place] = {}
    for name, outer, pooling in poolings(model):
        slot, module = slot_of(name, outer)
        names = dict.fromkeys((name, slot))
        if id(module) in found:
            names = dict.fromkeys((*found[id(module)].names, *names))
        found[id(module)] = Place(tuple(names), module, pooling, tuple({id(m): m for m in (module, outer)}.values()))
    return list(found.values())


def check_selector(selector: Any, types: bool = True) -> None:
    """What can be said without a model."""
    if isinstance(selector, type) and types:
        if not issubclass(selector, Module):
            raise TypeError(f"methods: a selector's type must be that of a module, but got {selector.__name__}")
    elif not isinstance(selector, str):
        allowed = "a method's name, a module's name" + (", a type" * types) + ' or "re:" and a regular expression'
        raise TypeError(f"methods: a selector must be {allowed}, but got {selector!r}")
    elif selector.startswith(REGEX):
        try:
            re.compile(selector.removeprefix(REGEX))
        except re.error as error:
            raise ArgumentError(f"methods: {selector!r} is no regular expression: {error}") from None


def selected(selectors: Iterable[Any], names: Iterable[str], method: str, seen: Iterable[Module] = ()) -> Any:
    """The selector that means this pooling, the most particular first: a name, an expression, a type, a method."""
    names, given = tuple(names), list(selectors)
    ranks: tuple[Callable[[Any], bool], ...] = (
        lambda s: isinstance(s, str) and s in names and s not in ROWS,
        lambda s: isinstance(s, str) and s.startswith(REGEX) and any(re.fullmatch(s[len(REGEX) :], n) for n in names),
        lambda s: isinstance(s, type) and any(isinstance(module, s) for module in seen),
        lambda s: s == method,
    )
    for fits in ranks:
        for selector in given:
            if fits(selector):
                return selector
    return None


def unmatched(selector: Any, known: Mapping[str, str], more: str = "") -> ArgumentError:
    """The error for a selector that means nothing; `known` has the methods of the poolings by their names."""
    text = selector.__name__ if isinstance(selector, type) else repr(selector)
    methods = sorted(set(known.values()))
    hint = nearest(selector, [*known, *methods]) if isinstance(selector, str) else ""
    there = f"the model has {', '.join(methods)} in {', '.join(name or '(model)' for name in list(known)[:8])}"
    more_there = ", ..." if len(known) > 8 else ""
    return ArgumentError(f"methods: the selector {text} matches no pooling{more}; {there}{more_there}{hint}")
