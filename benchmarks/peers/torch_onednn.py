"""oneDNN, through torch. It gets its form of the input once, before the clock starts, as in a network that stays in
that form; the result is made a plain tensor in every call."""

from __future__ import annotations

import dataclasses

from layers import Case
from torch import Tensor

from peers.foreign import axes_of, counts_padding, library, only, undilated
from peers.peer import Function
from peers.torch_eager import TORCH


def build(case: Case) -> Function:
    only(case, "max", "avg")
    if case.method == "avg":  # said plainly: torch's rule for a ceil-mode overhang is not oneDNN's
        counted = counts_padding(case, undilated(axes_of(case)))
        case = dataclasses.replace(case, params={**case.params, "count_include_pad": counted})
    pool = TORCH.function(case)
    assert pool is not None
    known: list[Tensor] = []  # the input and its form

    def function(x: Tensor) -> Tensor:
        if not known or known[0] is not x:
            known[:] = x, x.to_mkldnn()
        return pool(known[1]).to_dense()

    return function


ONEDNN = library("onednn", "torch", build, layouts=("contiguous",))
