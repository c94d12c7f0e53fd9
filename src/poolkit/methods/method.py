"""What one row of the table says about a pooling method."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from poolkit.errors import ArgumentError

REQUIRED: Any = dataclasses.MISSING

#: What the divisor of an average counts, as the kernels number it.
COUNT_VALID, COUNT_PADDED, COUNT_FIXED = 0, 1, 2


class Cells(Protocol):
    """The gathered windows that a reference formula reads (see reference.py); cells run along the last axis."""

    values: Any
    mask: Any
    count: Any

    def total(self) -> Any: ...
    def average(self) -> Any: ...
    def extreme(self, largest: bool) -> Any: ...
    def norm(self, p: float, mean: bool) -> Any: ...


class Step(NamedTuple):
    """One run of a kernel; a call of several steps concatenates their results along the channels."""

    kernel: str
    floats: tuple[float, ...] = ()
    counting: int = COUNT_VALID
    divisor: int = 0
    magnitude: bool = False  # pools |x|


@dataclasses.dataclass(frozen=True)
class Param:
    """An argument of a method beside its geometry."""

    name: str
    annotation: str
    default: Any
    meaning: str
    check: Callable[[Any], bool]
    allowed: str
    leading: bool = False  # stands before the geometry, as torch's norm_type does

    def checked(self, value: Any) -> Any:
        try:
            good = self.check(value)
        except ArgumentError:
            raise
        except (TypeError, ValueError):
            raise TypeError(f"{self.name} must be {self.allowed}, but got {value!r} ({type(value).__name__})") from None
        if not good:
            raise ArgumentError(f"{self.name} must be {self.allowed}, but got {value!r}")
        return value


def is_flag(value: Any) -> bool:
    return isinstance(value, bool) or value in (0, 1)


COUNT_INCLUDE_PAD = Param(
    "count_include_pad",
    "bool",
    True,
    "whether the divisor counts the padding; the padding of 'same' and 'same_lower' is never counted",
    is_flag,
    "a bool",
)


@dataclasses.dataclass(frozen=True)
class Method:
    """A pooling method. Functions, modules, type stubs, tests, docs and benchmark rows derive from it."""

    name: str
    class_name: str
    title: str
    formula: str
    summary: str
    #: The value of each window, from gathered cells and the step's floats: the fallback where no kernel runs.
    reference: Callable[..., Any]
    #: What a gradient needs: nothing but the windows, the winners, or the input and the output.
    gradient: Literal["linear", "winner", "linear+winner", "input"]
    steps: Callable[[Mapping[str, Any], bool], tuple[Step, ...]]
    params: tuple[Param, ...] = ()
    returns_indices: bool = False
    integers: Literal["all", "int64", "none"] = "none"
    #: Positional order after `input`, where torch's differs from the default one.
    order: tuple[str, ...] = ()
    module_order: tuple[str, ...] = ()
    #: What torch's own layer shows in its repr; by default everything.
    shown: tuple[str, ...] = ()
    #: Whether the module resolves `stride=None` when it is built, as most of torch's do.
    resolves_stride: bool = True
    cite: str = ""
    see: tuple[str, ...] = ()
    #: Parameter sets that tests, benchmarks and docs run.
    samples: tuple[Mapping[str, Any], ...] = ({},)
    #: Parameter sets that must be refused.
    invalid: tuple[Mapping[str, Any], ...] = ()
    #: The steps of a call, from whether its padding is a name and its parameters in order; checked and remembered.
    plan: Callable[..., tuple[Step, ...]] = dataclasses.field(init=False, repr=False, compare=False)

    @property
    def leading(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if p.leading)

    @property
    def trailing(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if not p.leading)

    def __post_init__(self) -> None:
        names = [p.name for p in self.params]

        def plan(named_padding: bool, *values: Any) -> tuple[Step, ...]:
            checked = {name: p.checked(v) for name, p, v in zip(names, self.params, values, strict=True)}
            return self.steps(checked, named_padding)

        known = functools.lru_cache(maxsize=256, typed=True)(plan)

        def look_up(named_padding: bool, *values: Any) -> tuple[Step, ...]:
            try:
                return known(named_padding, *values)
            except TypeError:  # unhashable: say what is wrong with it
                return plan(named_padding, *values)

        object.__setattr__(self, "plan", look_up)
