"""What tests of PyTorch's features run: every method and layer as a module with an input, by the name of its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from problems import distinct, randomness
from test_every_layer import build, given_to, inputs_of

from poolkit import nn
from poolkit.methods import LAYERS, METHODS


@dataclass(frozen=True)
class Subject:
    """A row of the table at work on small doubles."""

    name: str
    make: Callable[[], torch.nn.Module]
    inputs: tuple[torch.Tensor, ...]
    given: dict[str, torch.Tensor]
    params: dict[str, Any]

    @property
    def floats(self) -> bool:
        return self.inputs[0].is_floating_point()

    def function(self) -> Callable[..., Any]:
        """The module, as a function of its inputs."""
        module = self.make()
        return lambda *inputs: module(*inputs, **self.given)


def _of_method(name: str) -> Subject:
    params = next(dict(row) for row in METHODS[name].samples if not randomness(name, dict(row)))
    make = lambda: nn.Pool(name, rank=2, kernel_size=3, stride=2, padding=1, **params).eval()  # noqa: E731
    return Subject(name, make, (distinct((2, 2, 5, 6)),), {}, params)


def _of_layer(name: str) -> Subject:
    sample = LAYERS[name].samples[0]
    return Subject(name, lambda: build(sample), tuple(inputs_of(sample)), given_to(sample), {})


SUBJECTS = [*map(_of_method, METHODS), *map(_of_layer, LAYERS)]

every_subject = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
every_floating_subject = pytest.mark.parametrize(
    "subject", [subject for subject in SUBJECTS if subject.floats], ids=lambda subject: subject.name
)

OF_METHODS = [subject for subject in SUBJECTS if subject.name in METHODS]
every_method = pytest.mark.parametrize("subject", OF_METHODS, ids=lambda subject: subject.name)
