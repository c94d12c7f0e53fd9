"""Values of options, from text: sizes, padding, methods and their parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from poolkit import methods
from poolkit.errors import ArgumentError, nearest
from poolkit.methods import REQUIRED, Param

INTEGER = re.compile(r"[+-]?\d{1,19}")
WORDS: dict[str, Any] = {"true": True, "false": False, "none": None}
SIZES = "an integer such as 2, or one an axis such as 2,3"
PADDINGS = "an integer, one an axis such as 1,2, pairs before:after such as 0:1,2:3, or a word such as same"


def integers(option: str, text: str, allowed: str = "integers such as 32,64,112,112") -> tuple[int, ...]:
    """ "2,3" is (2, 3)."""
    parts = [part.strip() for part in text.split(",")]
    if not all(INTEGER.fullmatch(part) for part in parts):
        raise ArgumentError(f"{option} should be {allowed}, but got {text!r}")
    return tuple(map(int, parts))


def integer(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not INTEGER.fullmatch(text):
        raise ArgumentError(f"{option} should be an integer, but got {text!r}")
    return int(text)


def number(option: str, text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise ArgumentError(f"{option} should be a number, but got {text!r}") from None


def seed(text: str) -> int:
    if not re.fullmatch(r"\d{1,19}", text):
        raise ArgumentError(f"--seed should be an integer >= 0, but got {text!r}")
    return int(text)


def sizes(option: str, text: str, allowed: str = SIZES) -> int | tuple[int, ...]:
    """ "2" is 2, for every axis; "2,3" is one size an axis."""
    values = integers(option, text, allowed)
    return values if len(values) > 1 else values[0]


def padding(option: str, text: str) -> int | str | tuple[int, ...] | tuple[tuple[int, ...], ...]:
    """Sizes; or "0:1,2:3", before and after an axis; or a word such as "same" that pooling knows."""
    if re.fullmatch(r"[a-z_]+", text):
        return text
    if ":" not in text:
        return sizes(option, text, PADDINGS)
    return tuple(integers(option, pair.replace(":", ","), PADDINGS) for pair in text.split(","))


def windows(
    kernel_size: str | None,
    stride: str | None,
    padding_text: str | None,
    dilation: str | None,
    ceil_mode: bool,
) -> dict[str, Any]:
    """The arguments that were given, as the pooling functions take them."""
    given: dict[str, Any] = {}
    for name, text in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
        if text is not None:
            given[name] = sizes("--" + name.replace("_", "-"), text)
    if padding_text is not None:
        given["padding"] = padding("--padding", padding_text)
    return given | ({"ceil_mode": True} if ceil_mode else {})


def adaptive(output_size: str, windows: Mapping[str, Any]) -> int | tuple[int, ...]:
    """The size that the output is to have, which leaves no choice of windows."""
    if windows:
        raise ArgumentError(f"--output-size {output_size} allows no {', '.join(windows)} beside it")
    return sizes("--output-size", output_size)


def parameters(option: str, texts: Iterable[str]) -> dict[str, Any]:
    """["norm_type=3", "mode=cat"] is {"norm_type": 3, "mode": "cat"}."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or not value:
            raise ArgumentError(f"{option} should be NAME=VALUE such as norm_type=3, but got {text!r}")
        values[name] = _value(value)
    return values


#: Parameters by their names; None are those of layers, which say themselves what they take.
Known = Mapping[str, Param | None]


class Call(NamedTuple):
    """A method with the parameters that it is called with."""

    method: str
    parameters: dict[str, Any]


def calls(
    texts: Iterable[str], common_texts: Iterable[str] | None, known_of: Callable[[str], Known] | None = None
) -> list[Call]:
    """What "max" and "soft:temperature=2" call, each once; common parameters go to every method that has them.

    `known_of` gives the parameters of a name, by default of a method's. Refuses unknown methods, and parameters that no
    method has, that are wrong, or that are missing.
    """
    common = parameters("--param", common_texts or ())
    chosen: list[Call] = []
    known_of = known_of or own
    for text in texts:
        name, colon, given = text.partition(":")
        known = known_of(name)
        own_values = parameters(f"what follows {name}:", given.split(",")) if colon else {}
        _refuse_unknown(own_values, [name], known)
        call = Call(name, {key: value for key, value in common.items() if key in known} | own_values)
        if call not in chosen:
            chosen.append(call)
    names = list(dict.fromkeys(call.method for call in chosen))
    _refuse_unknown(common, names, {key: param for name in names for key, param in known_of(name).items()})
    for call in chosen:
        _check(call, known_of(call.method))
    return chosen


def _refuse_unknown(given: Iterable[str], names: list[str], known: Known) -> None:
    for key in given:
        if key not in known:
            allowed = f"allowed: {', '.join(known)}" if known else "none is allowed"
            raise ArgumentError(f"{key!r} is no parameter of {', '.join(names)}; {allowed}{nearest(key, known)}")


def _check(call: Call, known: Known) -> None:
    for key, param in known.items():
        if param is None:  # the layer itself checks it
            continue
        if key in call.parameters:
            try:
                param.checked(call.parameters[key])
            except TypeError as error:
                raise ArgumentError(str(error)) from None
        elif param.default is REQUIRED:
            raise ArgumentError(f"{call.method} needs the parameter {key}: {param.allowed}")


def own(name: str) -> dict[str, Param]:
    """The parameters to choose here; the type of the result follows from that of the input."""
    return {param.name: param for param in methods.get(name).params if param.name != "dtype"}


def _value(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if INTEGER.fullmatch(text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text
