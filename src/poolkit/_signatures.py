"""Names, signatures and docstrings of the public functions and modules, from the table of methods.

The fronts (functional, nn, numpy) and the stub writer read these; nothing here imports torch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

from poolkit.methods import METHODS, REQUIRED, Method

Form = Literal["sliding", "adaptive", "global"]
FORMS: tuple[Form, ...] = get_args(Form)
RANKS = (1, 2, 3)
PREFIX: dict[Form, str] = {"sliding": "", "adaptive": "adaptive_", "global": "global_"}
CLASS_PREFIX: dict[Form, str] = {"sliding": "", "adaptive": "Adaptive", "global": "Global"}


class Argument(NamedTuple):
    name: str
    annotation: str
    default: object
    meaning: str
    keyword_only: bool = False

    @property
    def text(self) -> str:
        return self.name if self.default is REQUIRED else f"{self.name}={self.default!r}"

    @property
    def stub(self) -> str:
        default = "" if self.default is REQUIRED else f" = {self.default!r}"
        return f"{self.name}: {self.annotation}{default}"


_GEOMETRY = {
    "kernel_size": Argument("kernel_size", "Size", REQUIRED, "size of the window, one int or one an axis"),
    "stride": Argument("stride", "Size | None", None, "step from window to window; the kernel size by default"),
    "padding": Argument(
        "padding",
        "Padding",
        0,
        "cells added around the input: an int or one an axis (at most half of the effective kernel), pairs "
        "((low, high), ...), 'same', 'same_lower' or 'valid'",
    ),
    "dilation": Argument("dilation", "Size", 1, "distance between the cells of a window"),
    "ceil_mode": Argument("ceil_mode", "bool", False, "round the output size up instead of down"),
}
_OUTPUT_SIZE = Argument(
    "output_size",
    "int | None | Sequence[int | None]",
    REQUIRED,
    "size of the output, one int or one an axis; None keeps the input's",
)
_KEEPDIM = Argument("keepdim", "bool", True, "keep the spatial dimensions, as size 1")
_RETURN_INDICES = Argument("return_indices", "bool", False, "return the winners' positions in their plane too, int64")
_GENERATOR = Argument(
    "generator",
    "torch.Generator | None",
    None,
    "where a draw in training takes its random numbers from; the default generator if None",
    keyword_only=True,
)

#: Meaningless without padding, and absent from torch's adaptive functions.
_SLIDING_ONLY = ("count_include_pad", "divisor_override")


class Function(NamedTuple):
    """One public function."""

    name: str
    method: str
    form: Form
    rank: int
    arguments: tuple[Argument, ...]  # after `input`
    source: str
    doc: str

    @property
    def returns(self) -> str:
        indices = any(a.name == "return_indices" for a in self.arguments)
        return "Tensor | tuple[Tensor, Tensor]" if indices else "Tensor"

    @property
    def class_name(self) -> str:
        return f"{CLASS_PREFIX[self.form]}{METHODS[self.method].class_name}Pool{self.rank}d"


def signature(arguments: tuple[Argument, ...], stub: bool = False) -> str:
    """The arguments as Python writes them."""
    parts: list[str] = []
    for argument in arguments:
        if argument.keyword_only and "*" not in parts:
            parts.append("*")
        parts.append(argument.stub if stub else argument.text)
    return ", ".join(parts)


def arguments_of(method: Method, form: Form, module: bool = False) -> tuple[Argument, ...]:
    """What a function (or a module's constructor) of this method takes, in order."""
    params = {
        p.name: Argument(p.name, p.annotation, p.default, p.meaning, p.keyword_only)
        for p in method.params
        if (form == "sliding" or p.name not in _SLIDING_ONLY) and not (module and p.name == "training")
    }
    leading = [p.name for p in method.leading]
    trailing = [name for name in params if name not in leading]
    if method.returns_indices and form != "global":
        params["return_indices"] = _RETURN_INDICES
    if form == "sliding":
        known = {**_GEOMETRY, **params}
        default_order = [*leading, *_GEOMETRY, *trailing]
        order = list((method.module_order if module else ()) or method.order or default_order)
        order += [name for name in known if name not in order]
    elif form == "adaptive":
        known = {**params, "output_size": _OUTPUT_SIZE}
        order = [*leading, "output_size", *(["return_indices"] if method.returns_indices else []), *trailing]
    else:
        known = {**params, "keepdim": _KEEPDIM}
        order = [*leading, *[n for n in trailing if not known[n].keyword_only], "keepdim"]
        order += [n for n in trailing if known[n].keyword_only]
    chosen = [known[name] for name in order]
    if method.trains and not module:
        chosen.append(_GENERATOR)
    return tuple(sorted(chosen, key=lambda a: a.keyword_only))


def completed(caller: str, method: Method, form: Form, given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of the method's function by name, defaults where nothing is given."""
    known = {a.name: a.default for a in arguments_of(method, form)}
    for name in given:
        if name not in known:
            raise TypeError(f"{name} is no argument of {caller}; allowed are {', '.join(known)}")
    missing = [name for name, default in known.items() if default is REQUIRED and name not in given]
    if missing:
        raise TypeError(f"{caller} needs {', '.join(missing)}")
    return {**known, **given}


def _source(name: str, method: Method, form: Form, rank: int, arguments: tuple[Argument, ...]) -> str:
    given = {a.name for a in arguments}
    values = "".join(f"{p.name if p.name in given else repr(p.default)}, " for p in method.params)
    geometry = {"sliding": ", ".join(_GEOMETRY), "adaptive": "output_size", "global": "keepdim"}[form]
    options = ("return_indices", "generator", "data_format", "out")
    rest = "".join(f", {option}={option}" for option in options if option in given)
    return (
        f"def {name}(input, {signature(arguments)}):\n"
        f"    return _run(_method, {rank}, {name!r}, input, {geometry}, ({values}){rest})\n"
    )


#: What the NumPy functions take besides.
NUMPY_ARGUMENTS = (
    Argument(
        "data_format",
        "str",
        "channels_first",
        "'channels_first', or 'channels_last' for inputs whose last axis holds the channels",
        keyword_only=True,
    ),
    Argument("out", "Array | None", None, "an array for the result, which is filled and returned", keyword_only=True),
)


def numpy_source(function: Function) -> str:
    """The NumPy function's source: the torch one's with two keywords more."""
    arguments = function.arguments + NUMPY_ARGUMENTS
    return _source(function.name, METHODS[function.method], function.form, function.rank, arguments)


def _spatial(rank: int) -> str:
    return ("L", "H, W", "D, H, W")[rank - 1]


def documented(method: Method, form: Form, rank: int, arguments: tuple[Argument, ...]) -> str:
    """The docstring of a function."""
    where = {
        "sliding": "over sliding windows",
        "adaptive": "over windows that give the output a chosen size",
        "global": "over the whole plane",
    }[form]
    lines = [f"{method.title} {where}, {rank}-D: {method.formula}.", "", method.summary, "", "Args:"]
    lines += [f"    input: (N, C, {_spatial(rank)}) or (C, {_spatial(rank)})."]
    lines += [f"    {a.name}: {a.meaning}." for a in arguments]
    integers = {"all": ", bool and integers", "int64": ", int64", "none": ""}[method.integers]
    lines += ["", f"dtypes: float32, float64, float16, bfloat16{integers}; the output has the input's."]
    lines += ["Raises ArgumentError (a ValueError) for a bad argument, TypeError for one of a wrong type,"]
    lines += ["NotImplementedError for a dtype that the method does not take.", "", f"Source: {method.source}."]
    return "\n".join(lines) + "\n"


@functools.cache
def functions() -> tuple[Function, ...]:
    """Every function of the table."""

    def each() -> Iterator[Function]:
        for method in METHODS.values():
            for form in FORMS:
                arguments = arguments_of(method, form)
                for rank in RANKS:
                    name = f"{PREFIX[form]}{method.name}_pool{rank}d"
                    source = _source(name, method, form, rank, arguments)
                    doc = documented(method, form, rank, arguments)
                    yield Function(name, method.name, form, rank, arguments, source, doc)

    return tuple(each())
