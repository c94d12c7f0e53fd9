"""What one row says about a layer: it takes more than the cells of its windows, or has none."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

from poolkit.methods.row import Row

_NOTHING: Mapping[str, Any] = types.MappingProxyType({})


class Sample(NamedTuple):
    """A module, an input that it takes, and what comes out: plain data, from which tests build the tensors."""

    module: str
    #: Of the constructor.
    arguments: Mapping[str, Any]
    #: Shapes of the inputs of forward, one for each positional argument; floating, if the layer takes such.
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    #: Further arguments of forward; nested lists stand for tensors of int64, bool or the input's dtype.
    given: Mapping[str, Any] = _NOTHING


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer(Row):
    """A pooling layer with code of its own. Public names, type stubs, tests and docs derive from its row."""

    #: The file of poolkit.layers that holds the code.
    file: str
    #: Names in poolkit.functional and in poolkit.nn.
    functions: tuple[str, ...]
    modules: tuple[str, ...]
    samples: tuple[Sample, ...]
    #: Constructor arguments that must be refused: the module, the arguments, a word of the message.
    invalid: tuple[tuple[str, Mapping[str, Any], str], ...] = ()
    #: Whether training gives other values than evaluation.
    trains: bool = False
    #: Whether training draws random numbers, and evaluation does not.
    draws: bool = False
    #: Whether the forward of any of its modules runs native kernels.
    native: bool = False
    #: Whether inputs of integers are taken, and floating ones.
    integers: bool = False
    floats: bool = True
    #: Whether inputs without a batch dimension are taken.
    unbatched: bool = True
