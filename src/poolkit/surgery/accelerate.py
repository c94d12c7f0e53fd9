"""The same poolings of a model by poolkit's kernels."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch.nn import Module

from poolkit.errors import ArgumentError
from poolkit.surgery.changes import Change, Changes
from poolkit.surgery.modules import is_ours
from poolkit.surgery.selectors import Place, places_of
from poolkit.surgery.summary import Summary, check_model, summary
from poolkit.surgery.targets import Target, built, check_shapes, shapes_to_try
from poolkit.surgery.text import columns


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of a run before and after: of the model, and of each pooling module, by its name."""

    before: float
    after: float
    layers: dict[str, tuple[float, float]]


class Accelerated(Changes):
    """What was replaced, and, where inputs were given, how long everything takes now."""

    times: Times | None = None

    def __str__(self) -> str:
        if self.times is None:
            return super().__str__()
        times = self.times
        named = [(change.name, times.layers.get(change.name)) for change in self]
        lines = [["module", "before", "after", "times as fast"]]
        lines += [[name, *_figures(*pair)] for name, pair in [*named, ("model", (times.before, times.after))] if pair]
        return "\n\n".join((super().__str__(), columns(lines)))


def _figures(before: float, after: float) -> list[str]:
    return [f"{before * 1e3:.3f} ms", f"{after * 1e3:.3f} ms", f"{before / after:.2f}" if after else "-"]


def accelerate(model: Module, *inputs: Any) -> Accelerated:
    """Replaces the pooling modules of torch.nn and timm by those of poolkit.nn: the same mathematics by other kernels.

    Windows, parameters, mode, hooks and the names in the `state_dict` stay. Left alone are modules that are poolkit's
    already, poolings that draw, and those that poolkit has not. Lp pooling in ceil mode or of negative values becomes
    what docs/differences-from-torch.md says. Calls of functions are no modules: within
    `with poolkit.swap.functional(model, {"max": "max"}):` poolkit runs them.

    Args:
        model: any module.
        *inputs: what its forward takes; with them it is timed before and after.

    Returns:
        :class:`Accelerated`: a sequence of changes, printed as a table, with `undo()` and `times`. Nothing to replace
        gives an empty one.

    Raises TypeError for a model that is no module, ArgumentError where the model is itself a pooling.
    """
    check_model("accelerate", model)
    changes = [change for place in places_of(model) if (change := _change(place)) is not None]
    if not inputs or not changes:
        return Accelerated(model, changes, applied=True)
    before = summary(model, *inputs, time=True)
    accelerated = Accelerated(model, changes, applied=True)
    try:
        after = summary(model, *inputs, time=True)
    except BaseException:
        accelerated.undo()
        raise
    accelerated.times = _times(accelerated, before, after)
    return accelerated


def _change(place: Place) -> Change | None:
    old, pooling, name = place.module, place.pooling, place.names[-1]
    if is_ours(old) or (pooling.form == "layer" and pooling.method != "blur"):
        return None
    if not name:
        raise ArgumentError(
            "model is itself a pooling, which cannot be replaced in place; put it in a torch.nn.Sequential"
        )
    target = Target(pooling.method, {})
    try:
        new = built(target, pooling, old, "default", None)
        check_shapes(target, old, new, shapes_to_try(old, pooling))
    except ArgumentError:  # what poolkit has not, or refuses
        return None
    library = type(old).__module__.partition(".")[0]
    inner = getattr(new, "pool", new)
    before, after = f"{library} {type(old).__name__} {pooling}", f"poolkit {type(inner).__name__} {pooling}"
    return Change(name, before, after, old, new)


def _times(changes: Changes, before: Summary, after: Summary) -> Times:
    layers = {}
    for change in changes:
        # A summary names timm's SelectAdaptivePool2d, not the pool inside it.
        pairs = [_total(s, {change.name, change.name.removesuffix(".pool")}) for s in (before, after)]
        layers[change.name] = (pairs[0], pairs[1])
    return Times(before.seconds or 0, after.seconds or 0, layers)


def _total(of: Summary, names: set[str]) -> float:
    return sum(row.seconds or 0 for row in of if row.name in names and row.kind == "module")
