"""Values of options, from text: sizes, padding, methods and their parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from poolkit import methods
from poolkit.errors import ArgumentError
from poolkit.methods import REQUIRED, Param

INTEGER = re.compile(r"[+-]?\d{1,19}")
WORDS: dict[str, Any] = {"true": True, "false": False, "none": None}


def integers(option: str, text: str) -> tuple[int, ...]:
    """ "2,3" is (2, 3)."""
    return tuple(_integer(option, part, text, "integers such as 32,64,112,112") for part in text.split(","))


def sizes(option: str, text: str) -> int | tuple[int, ...]:
    """ "2" is 2, for every axis; "2,3" is one size an axis."""
    allowed = "an integer such as 2, or one an axis such as 2,3"
    values = tuple(_integer(option, part, text, allowed) for part in text.split(","))
    return values if len(values) > 1 else values[0]


def padding(option: str, text: str) -> int | str | tuple[int, ...] | tuple[tuple[int, int], ...]:
    """As sizes; or "0:1,2:3", before and after an axis; or a word such as "same", which the functions know."""
    if re.fullmatch(r"[a-z_]+", text):
        return text
    if ":" not in text:
        return sizes(option, text)
    allowed = (
        "an integer, one an axis such as 1,2, pairs before:after such as 0:1,2:3, or a word such as same"
    )
    pairs = [[_integer(option, side, text, allowed) for side in part.split(":")] for part in text.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        raise ArgumentError(f"{option} should be {allowed}, but got {text!r}")
    return tuple((low, high) for low, high in pairs)


def parameters(option: str, texts: Iterable[str]) -> dict[str, Any]:
    """["norm_type=3", "mode=cat"] is {"norm_type": 3, "mode": "cat"}."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or not value:
            raise ArgumentError(f"{option} should be NAME=VALUE such as norm_type=3, but got {text!r}")
        values[name] = _value(value)
    return values


def check(names: Sequence[str], parameters: Mapping[str, Any]) -> None:
    """Refuse methods that do not exist, and parameters that none of them has, that are wrong or that are missing."""
    known = {param.name: param for name in names for param in own(name)}
    for name, value in parameters.items():
        if name not in known:
            allowed = f"allowed: {', '.join(known)}" if known else "none is allowed"
            raise ArgumentError(f"{name!r} is no parameter of {', '.join(names)}; {allowed}")
        try:
            known[name].checked(value)
        except TypeError as error:
            raise ArgumentError(str(error)) from None
    for param in known.values():
        if param.default is REQUIRED and param.name not in parameters:
            owners = [name for name in names if param in own(name)]
            raise ArgumentError(f"{', '.join(owners)} needs the parameter {param.name}: {param.allowed}")


def own(name: str) -> list[Param]:
    """The parameters to choose here; the type of the result follows from that of the input."""
    return [param for param in methods.get(name).params if param.name != "dtype"]


def of_method(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those parameters that the method of this name has."""
    return {param.name: parameters[param.name] for param in own(name) if param.name in parameters}


def _value(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if INTEGER.fullmatch(text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _integer(option: str, part: str, text: str, allowed: str) -> int:
    if not INTEGER.fullmatch(part.strip()):
        raise ArgumentError(f"{option} should be {allowed}, but got {text!r}")
    return int(part)
