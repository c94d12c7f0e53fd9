"""Other poolings in a model's places, all or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.nn import Module

from poolkit.errors import ArgumentError
from poolkit.surgery.changes import Change, Changes
from poolkit.surgery.modules import pooling_of
from poolkit.surgery.pooling import Pooling
from poolkit.surgery.routing import Routing
from poolkit.surgery.selectors import Place, check_selector, places_of, selected, unmatched
from poolkit.surgery.summary import check_model
from poolkit.surgery.targets import Given, Init, Target, built, check_init, check_shapes, shapes_to_try, target_of
from poolkit.surgery.trace import Trace

Filter = Callable[[Module, str], bool]


def _all(module: Module, name: str) -> bool:
    return True


class _Swap:
    """Replaces poolings of a model by others, in place, and returns what was replaced.

    A new pooling keeps the windows, the mode, the device, the dtype and the hooks of the old one, and its place: names
    in the `state_dict` stay, and a method that learns adds its own. If one replacement is impossible, none is made.

    Args:
        model: any module. Poolings of torch.nn, poolkit.nn and timm are found; for calls of functions see `functional`.
        methods: what to replace by what. A selector is a method's name such as "max", a module's name, "re:" and a
            regular expression that a module's whole name must match, or a type; where several mean a pooling, a name
            goes before an expression, a type and a method. The new pooling is a method's or layer's name, (name,
            {parameters}), or a function that takes the old module and returns the new one.
        filter_fn: takes a module and its name; only where it returns True the module is replaced.
        dry_run: whether to return what would be replaced, and replace nothing.
        init: "match" starts the new method as near to the old one as its parameters allow, where that is known;
            "default" with its defaults. Parameters that are given, and those that both methods have, come first.
        inputs: what the model takes, a tensor or a tuple; one run then tells the shapes that are checked and the
            channels that some layers need. Without it shapes are checked on a few sizes.

    Returns:
        :class:`Changes`: a sequence, printed as a table; `undo()` puts the old modules back.

    A trained model will not work as before: its weights were made for the old pooling (see :func:`poolkit.drift`).

    Raises ArgumentError (a ValueError) for a method or selector that is unknown, a selector that matches nothing, a
    model without pooling modules, and a replacement that cannot be or would change a shape; TypeError for a wrong type.
    """

    def __call__(
        self,
        model: Module,
        methods: Mapping[Any, Given],
        *,
        filter_fn: Filter = _all,
        dry_run: bool = False,
        init: Init = "match",
        inputs: Any = None,
    ) -> Changes:
        check_model("swap", model)
        targets = _targets(methods)
        for selector in targets:
            check_selector(selector)
        check_init(init)
        places = places_of(model)
        if not places:
            raise ArgumentError(
                "model has no pooling module that poolkit knows; calls of functions are replaced by swap.functional"
            )
        shapes = _shapes(model, inputs)
        chosen = [(place, targets[s]) for place, s in _choose(places, targets, filter_fn)]
        changes = [_change(place, target, init, shapes) for place, target in chosen]
        return Changes(model, changes, applied=not dry_run)

    def functional(self, model: Module, methods: Mapping[str, Given], *, init: Init = "match") -> Routing:
        """A context in which the functions that the model's code calls pool by other methods.

        Calls of torch.nn.functional inside the model's modules are replaced, but not those that pooling modules make,
        which `swap` replaces. Selectors are methods' names, names of modules whose code calls, or "re:" and an
        expression; "mean", "sum", "amax" and "amin" select reductions over whole maps or sequences. New
        methods are those of :data:`poolkit.METHODS`, by name or (name, {parameters}).

        Raises as `swap` does; a selector that matched no call of a model that ran raises when the context ends.
        """
        check_model("swap.functional", model)
        targets = _targets(methods)
        for selector in targets:
            check_selector(selector, types=False)
        check_init(init)
        return Routing(model, targets, init)


def _targets(methods: Any) -> dict[Any, Target]:
    if not isinstance(methods, Mapping):
        raise TypeError(f"methods must be a dict of selectors and methods, but got {type(methods).__name__}")
    if not methods:
        raise ArgumentError('methods must say what to replace by what, such as {"max": "soft"}, but got {}')
    return {selector: target_of(given) for selector, given in methods.items()}


def _choose(places: list[Place], targets: Mapping[Any, Target], filter_fn: Filter) -> list[tuple[Place, Any]]:
    """The places that are meant, each with its selector; every selector must have one."""
    pairs = [(place, selected(targets, place.names, place.pooling.method, place.seen)) for place in places]
    chosen = [(place, s) for place, s in pairs if s is not None and filter_fn(place.module, place.names[0])]
    used = {s for _, s in chosen}
    for selector in targets:
        if selector not in used:
            refused = any(s is selector for _, s in pairs)
            known = {place.names[0]: place.pooling.method for place in places}
            raise unmatched(selector, known, " that filter_fn lets through" if refused else "")
    return chosen


def _change(place: Place, target: Target, init: Init, shapes: Mapping[int, list[tuple[int, ...]]]) -> Change:
    old, pooling, name = place.module, place.pooling, place.names[-1]
    if not name:
        raise ArgumentError(
            "model is itself a pooling, which cannot be replaced in place; put it in a torch.nn.Sequential"
        )
    tried = shapes.get(id(old), [])
    channels = tried[0][-1 if pooling.channels_last else -pooling.rank - 1] if tried else None
    try:
        new = built(target, pooling, old, init, channels)
        check_shapes(target, old, new, tried or shapes_to_try(old, pooling))
    except ArgumentError as error:
        raise ArgumentError(f"{name}: {error}; nothing was swapped") from None
    return Change(name, f"{pooling.method} {pooling}", described(new, target), old, new)


def described(new: Module, target: Target) -> str:
    """The method and the parameters that the new module has."""
    inner: Any = getattr(new, "pool", new)
    pooling: Pooling | None = pooling_of(inner)
    if pooling is None or pooling.form == "layer":
        return (
            f"{type(new).__name__}({inner.extra_repr()})" if target.make is None else f"{target}: {type(new).__name__}"
        )
    own = {key: value for key, value in pooling.parameters.items() if key != "dtype" and value is not None}
    given = ", ".join(f"{key}={value}" for key, value in own.items() if key != "return_indices")
    return f"{pooling.method} {pooling}" + (f" ({given})" if given else "")


def _shapes(model: Module, inputs: Any) -> dict[int, list[tuple[int, ...]]]:
    """The shapes of the inputs that each pooling module sees in one run, by the module's id."""
    if inputs is None:
        return {}
    trace = Trace(model)
    trace.run(inputs if isinstance(inputs, tuple) else (inputs,), gradients=False)
    found: dict[int, list[tuple[int, ...]]] = {}
    places = {name: place.module for place in places_of(model) for name in place.names}
    for event in trace.events:
        if event.kind == "module" and event.name in places:
            found.setdefault(id(places[event.name]), []).append(event.input_shape)
    return found


swap = _Swap()
