"""torch.compile: what Inductor makes of torch's own functions and recipes."""

from __future__ import annotations

import torch
from layers import Case

from peers.peer import Function, Peer
from peers.torch_eager import TORCH


def function(case: Case) -> Function | None:
    pool = TORCH.function(case)
    if pool is None:
        return None
    torch.compiler.reset()  # it stops compiling after a few variants of the same code
    return torch.compile(lambda x: pool(x), dynamic=False)


COMPILE = Peer("compile", function, lambda: torch.__version__)
