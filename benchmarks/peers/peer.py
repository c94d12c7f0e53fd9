"""What the benchmark needs to know of a contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from layers import LAYOUTS, Case
from torch import Tensor

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Peer:
    """A library that pools; its function for a case is fixed before the clock starts."""

    name: str
    function: Callable[[Case], Function | None]
    """What pools a tensor, or None where the library has nothing that does the same."""
    version: Callable[[], str]
    layouts: tuple[str, ...] = LAYOUTS
    trains: bool = True
    """Whether autograd goes through the function."""
