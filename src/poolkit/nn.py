"""Pooling layers.

For every function of :mod:`poolkit.functional` a module without logic: ``MaxPool2d`` for ``max_pool2d``,
``AdaptiveMaxPool2d``, ``GlobalMaxPool2d`` and so on, plus ``MaxUnpool1d`` to ``MaxUnpool3d`` and :class:`Pool`, which
builds any method of windows by name. Where ``torch.nn`` has the layer, constructor, attributes and repr are the same.
None of these has parameters or buffers. The layers, such as ``TemporalPool``, are written out
in :mod:`poolkit.layers`. Bad arguments are refused when a layer is built. Type stubs are in nn.pyi.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from poolkit import functional, geometry, methods
from poolkit._signatures import RANKS, Form, Function, arguments_of, completed, functions, signature
from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer as _Layer
from poolkit.methods import LAYERS, METHODS, Method


def _check(method: Method, form: Form, rank: int, given: dict[str, Any]) -> None:
    """Raises what a call would raise, as far as it does not depend on the input."""
    if form == "sliding":
        named = {name: given[name] for name in ("kernel_size", "stride", "padding", "dilation", "ceil_mode")}
        geometry.check_sliding(rank, **named)
    elif form == "adaptive":
        geometry.check_output_size(rank, given["output_size"])
    method.plan(False, *(given.get(p.name, p.default) for p in method.params))


# torch's AvgPool1d keeps tuples where its other layers keep what was given.
_KEEPS_TUPLES = ("AvgPool1d",)

_CLASS = """class {name}(_Layer):
    _shown = {shown!r}

    def __init__(self, {signature}):
        super().__init__()
        _check(METHODS[{method!r}], {form!r}, {rank}, locals())
{assignments}
    def forward(self, input):
        return functional.{function}(input, {call})
"""


def _class_source(function: Function) -> str:
    method = METHODS[function.method]
    name = function.class_name
    arguments = arguments_of(method, function.form, module=True)
    names = [a.name for a in arguments]
    values = {n: n for n in names}
    if function.form == "sliding" and method.resolves_stride:
        values["stride"] = "stride if stride is not None else kernel_size"
    if name in _KEEPS_TUPLES:
        values |= {n: f"_one_tuple({values[n]})" for n in ("kernel_size", "stride", "padding")}
    shown = method.shown if function.form == "sliding" else ()
    if function.form == "adaptive" and method.order:
        shown = (*(p.name for p in method.leading), "output_size")
    return _CLASS.format(
        name=name,
        shown=shown or tuple(names),
        signature=signature(arguments),
        method=method.name,
        form=function.form,
        rank=function.rank,
        assignments="".join(f"        self.{n} = {v}\n" for n, v in values.items()),
        function=function.name,
        call=", ".join(
            f"{a.name}=self.{a.name}" if a.keyword_only else f"self.{a.name}"
            for a in function.arguments
            if a.name != "generator"
        ),
    )


def _one_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, int) else value


_UNPOOL = """class MaxUnpool{rank}d(_Layer):
    _shown = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        self.kernel_size, self.stride, self.padding = geometry.check_unpool({rank}, kernel_size, stride, padding)

    def forward(self, input, indices, output_size=None):
        return functional.max_unpool{rank}d(input, indices, self.kernel_size, self.stride, self.padding, output_size)
"""


class Pool(_Layer):
    """Any pooling by the name of its method.

    Args:
        method: a name of :data:`poolkit.METHODS`, such as "max" or "power_avg".
        rank: number of spatial dimensions; by default the input's dimensions less two.
        **arguments: what the method's function takes: `kernel_size` and so on for sliding windows, or `output_size`
            for adaptive ones, and the method's parameters.

    >>> Pool("max", kernel_size=3, stride=2)(torch.zeros(1, 8, 9, 9)).shape
    torch.Size([1, 8, 4, 4])
    >>> Pool("avg", output_size=1)(torch.zeros(1, 8, 100)).shape
    torch.Size([1, 8, 1])
    """

    def __init__(self, method: str, *, rank: int | None = None, **arguments: Any) -> None:
        super().__init__()
        row = methods.get(method)
        if rank is not None and rank not in RANKS:
            raise ArgumentError(f"rank must be 1, 2, 3 or None, but got {rank!r}")
        if ("output_size" in arguments) == ("kernel_size" in arguments):
            raise ArgumentError(
                f"Pool({method!r}) needs either kernel_size or output_size, but got {sorted(arguments)}"
            )
        self.method, self.rank, self.arguments = method, rank, arguments
        self.form: Form = "adaptive" if "output_size" in arguments else "sliding"
        every = completed(f"Pool({method!r})", row, self.form, arguments)
        _check(row, self.form, rank or self._likely_rank(), every)

    def _likely_rank(self) -> int:
        lengths = [len(v) for v in self.arguments.values() if isinstance(v, tuple | list) and len(v) in RANKS]
        return lengths[0] if lengths else 2

    def extra_repr(self) -> str:
        return ", ".join([repr(self.method), *(f"{name}={value!r}" for name, value in self.arguments.items())])

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        rank = input.dim() - 2 if self.rank is None else self.rank
        if rank not in RANKS:
            raise ArgumentError(f"input must have 3 to 5 dimensions, but got {list(input.shape)}; or give rank=")
        prefix = "adaptive_" if self.form == "adaptive" else ""
        function = getattr(functional, f"{prefix}{self.method}_pool{rank}d")
        result: Tensor | tuple[Tensor, Tensor] = function(input, **self.arguments)
        return result


__all__: list[str] = ["Pool"]


def _write(names: Sequence[Function]) -> None:
    namespace = globals()  # where the compiler looks for what the classes use
    written: list[str] = []
    for function in names:
        exec(_class_source(function), namespace)  # the source is our own template
        namespace[function.class_name].__doc__ = function.doc
        written.append(function.class_name)
    for rank in RANKS:
        exec(_UNPOOL.format(rank=rank), namespace)
        namespace[f"MaxUnpool{rank}d"].__doc__ = getattr(functional, f"max_unpool{rank}d").__doc__
        written.append(f"MaxUnpool{rank}d")
    __all__.extend(written)


_write(functions())

for _layer in LAYERS.values():
    for _name in _layer.modules:
        globals()[_name] = getattr(importlib.import_module(f"poolkit.layers.{_layer.file}"), _name)
        __all__ += [_name]
del _layer, _name
