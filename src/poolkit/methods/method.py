"""What one row of the table says about a pooling method."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from poolkit.errors import ArgumentError
from poolkit.methods.row import Row

REQUIRED: Any = dataclasses.MISSING

#: What the divisor of an average counts, as the kernels number it.
COUNT_VALID, COUNT_PADDED, COUNT_FIXED = 0, 1, 2


class Step(NamedTuple):
    """One run of a kernel; a call of several steps concatenates their results along the channels."""

    kernel: str
    floats: tuple[float, ...] = ()
    counting: int = COUNT_VALID
    divisor: int = 0
    magnitude: bool = False  # pools |x|


#: What a gradient needs: nothing but the windows; the winners; input and output; these with the sum of the positive
#: cells, which is computed again; the input, whose cells share it; the winners of two runs for one cell each; or the
#: formula, as no kernel computes it.
Gradient = Literal["linear", "winner", "linear+winner", "input", "weights", "shares", "cells", "formula"]
Integers = Literal["all", "int64", "none"]


class Kernel(NamedTuple):
    """What one run over the windows computes."""

    name: str
    #: The value of each window, from gathered cells (reference.Cells) and the step's floats: the fallback where no
    #: kernel runs.
    reference: Callable[..., Any] | None
    gradient: Gradient
    integers: Integers = "none"
    #: The tap of the one cell that gives the value, from the same: `reference` takes that cell if it is None.
    winner: Callable[..., Any] | None = None
    draws: bool = False  # one random number a window, from a seed


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
    keyword_only: bool = False

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


def is_finite(value: Any) -> bool:
    """What math.isfinite says, which the compiler cannot ask of a number that it keeps open."""
    number = float(value)
    return -math.inf < number < math.inf


def is_fraction(value: Any) -> bool:
    if isinstance(value, str | bytes | bool):
        raise TypeError
    return 0 <= float(value) <= 1


COUNT_INCLUDE_PAD = Param(
    "count_include_pad",
    "bool",
    True,
    "whether the divisor counts the padding; the padding of 'same' and 'same_lower' is never counted",
    is_flag,
    "a bool",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method(Row):
    """A pooling method. Functions, modules, type stubs, tests, docs and benchmark rows derive from it."""

    class_name: str
    steps: Callable[[Mapping[str, Any], bool], tuple[Step, ...]]
    #: The kernel of the method's own name, as :class:`Kernel` says; a method that runs others' has none.
    reference: Callable[..., Any] | None = None
    gradient: Gradient = "formula"
    winner: Callable[..., Any] | None = None
    integers: Integers = "none"
    draws: bool = False
    #: Kernels beside that one.
    kernels: tuple[Kernel, ...] = ()
    params: tuple[Param, ...] = ()
    returns_indices: bool = False
    #: Whether each plane takes the result of one of two steps, drawn: from the parameters and the sizes before the
    #: spatial ones, the shape of the draw and the probability of the first step.
    choice: Callable[[Mapping[str, Any], tuple[int, ...]], tuple[tuple[int, ...], float]] | None = None
    #: Why an input must be refused, or None.
    refusal: Callable[[Mapping[str, Any], Any], str | None] | None = None
    #: Positional order after `input`, where torch's differs from the default one.
    order: tuple[str, ...] = ()
    module_order: tuple[str, ...] = ()
    #: What torch's own layer shows in its repr; by default everything.
    shown: tuple[str, ...] = ()
    #: Whether the module resolves `stride=None` when it is built, as most of torch's do.
    resolves_stride: bool = True
    #: Parameter sets that tests, benchmarks and docs run; the first are the defaults, if there are some.
    samples: tuple[Mapping[str, Any], ...] = ({},)
    #: Parameter sets that must be refused.
    invalid: tuple[Mapping[str, Any], ...] = ()
    #: The steps of a call, from whether its padding is a name and its parameters in order; checked and remembered.
    plan: Callable[..., tuple[Step, ...]] = dataclasses.field(init=False, repr=False, compare=False)
    #: The same, found anew.
    plan_anew: Callable[..., tuple[Step, ...]] = dataclasses.field(init=False, repr=False, compare=False)

    @property
    def leading(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if p.leading)

    @property
    def own_kernels(self) -> tuple[Kernel, ...]:
        if self.reference is None and self.winner is None:
            return self.kernels
        own = Kernel(self.name, self.reference, self.gradient, self.integers, self.winner, self.draws)
        return (own, *self.kernels)

    def without_indices(self, name: str) -> str:
        """What is wrong with asking for indices of a result that is not one cell's."""
        return f"{name}(): return_indices must be False where the value is not that of one cell, but got True"

    @property
    def trains(self) -> bool:
        """Whether training draws, and evaluation does not."""
        return any(p.name == "training" for p in self.params)

    def steps_with(self, given: Mapping[str, Any]) -> tuple[Step, ...]:
        """The steps of a call with these parameters, and defaults for the others."""
        return self.plan(False, *(given.get(p.name, p.default) for p in self.params))

    @property
    def runs(self) -> tuple[str, ...]:
        """The kernels that its samples run, once each."""
        return tuple(dict.fromkeys(step.kernel for sample in self.samples for step in self.steps_with(sample)))

    def named(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """The parameters by their names."""
        return dict(zip((p.name for p in self.params), values, strict=True))

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
        object.__setattr__(self, "plan_anew", plan)
