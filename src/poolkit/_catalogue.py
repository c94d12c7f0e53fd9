"""What every method and layer takes and does, read from its row and its modules."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch

from poolkit import _numpy, nn
from poolkit._signatures import FORMS, RANKS, functions
from poolkit.methods import LAYERS, METHODS, REQUIRED, Layer, Method, Row

#: What torch gives every layer with weights.
_FACTORY = ("device", "dtype")


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue."""

    row: Row
    ranks: tuple[int, ...]
    forms: tuple[str, ...]  # none for a layer
    parameters: tuple[inspect.Parameter, ...]  # of all its modules, besides the windows of a method
    learnable: tuple[str, ...]
    training_differs: bool
    native: bool  # on CPU
    functions: tuple[str, ...]
    modules: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "name": self.row.name,
            "title": self.row.title,
            "summary": self.row.summary,
            "formula": self.row.formula,
            "ranks": self.ranks,
            "forms": self.forms,
            "parameters": [_plain(parameter) for parameter in self.parameters],
            "learnable": self.learnable,
            "training_differs": self.training_differs,
            "native": self.native,
            "functions": self.functions,
            "modules": self.modules,
        }


def _plain(parameter: inspect.Parameter) -> dict[str, Any]:
    name, _, _ = str(parameter).partition("=")  # with the stars of **arguments
    given = parameter.default is not parameter.empty
    return {
        "name": name,
        "required": not given and name.isidentifier(),
        "default": parameter.default if given else None,
    }


def catalogue() -> list[Entry]:
    """Methods, then layers."""
    return [*map(_of_method, METHODS.values()), *map(_of_layer, LAYERS.values())]


def _of_method(method: Method) -> Entry:
    own = [function for function in functions() if function.method == method.name]
    return Entry(
        row=method,
        ranks=RANKS,
        forms=FORMS,
        parameters=tuple(
            inspect.Parameter(
                p.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if p.default is REQUIRED else p.default,
            )
            for p in method.params
        ),
        learnable=(),
        training_differs=method.trains,
        native=set(method.runs) <= set(_numpy.kernels()),
        functions=tuple(function.name for function in own),
        modules=tuple(function.class_name for function in own),
    )


def _of_layer(layer: Layer) -> Entry:
    with torch.random.fork_rng(devices=[]):  # drawing weights leaves no trace
        built = [getattr(nn, sample.module)(**sample.arguments) for sample in layer.samples]
    weights = [name.partition(".")[0] for module in built for name, _ in module.named_parameters()]
    parameters = {
        parameter.name: parameter.replace(annotation=parameter.empty)
        for module in layer.modules
        for parameter in inspect.signature(getattr(nn, module)).parameters.values()
        if parameter.name not in _FACTORY
    }
    return Entry(
        row=layer,
        ranks=tuple(sorted({len(sample.inputs[0]) - 2 for sample in layer.samples} & set(RANKS))),
        forms=(),
        parameters=tuple(parameters.values()),
        learnable=tuple(dict.fromkeys(weights)),
        training_differs=layer.trains,
        native=layer.native,
        functions=layer.functions,
        modules=layer.modules,
    )
