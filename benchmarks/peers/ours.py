"""poolkit itself, by its public functions."""

from __future__ import annotations

import functools

from layers import Case

import poolkit
from peers.peer import Function, Peer
from poolkit import functional


def function(case: Case) -> Function:
    pool = getattr(functional, f"{case.layer.prefix}{case.method}_pool{case.layer.rank}d")
    return functools.partial(pool, **case.layer.geometry, **case.params)


POOLKIT = Peer("poolkit", function, lambda: poolkit.__version__)
