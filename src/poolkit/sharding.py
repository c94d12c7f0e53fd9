"""DTensor: pooling works within each plane, so that a batch and its channels stay where they are."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from poolkit.transforms import RANKS


def is_distributed(x: Tensor) -> bool:
    """Whether this is a DTensor, whose rules are then known to it. Does not load what no one uses."""
    module = sys.modules.get("torch.distributed.tensor")
    if module is None or not isinstance(x, module.DTensor):
        return False
    _register()
    return True


def _rule(outputs: int, rank_of: Callable[..., int]) -> Callable[..., Any]:
    """All tensors of a call are sharded alike, along dimensions that are not pooled; what draws is not sharded."""
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor._dtensor_spec import DTensorSpec

    def rule(*given: Any) -> list[tuple[list[Any], list[Any]]]:
        tensors = [isinstance(value, DTensorSpec) for value in given]
        ranks = [value.ndim for value in given if isinstance(value, DTensorSpec)]
        draws = 0 in ranks  # its seed, from which every output draws by its index
        leading = 0 if draws else ranks[0] - rank_of(*given)
        placements = [Replicate(), *map(Shard, range(leading))]
        return [([p] * outputs, [p if is_tensor else None for is_tensor in tensors]) for p in placements]

    return rule


@functools.cache
def _register() -> None:
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor._op_schema import RuntimeSchemaInfo
    from torch.distributed.tensor.experimental import register_sharding

    known = DTensor._op_dispatcher.sharding_propagator.op_to_schema_info
    for name, rank_of in RANKS.items():
        operator = getattr(torch.ops.poolkit, name).default
        register_sharding(operator)(_rule(len(operator._schema.returns), rank_of))
        # Results are remembered by the arguments from this one on. It is left out of account that lists, too, tell
        # calls apart: another window would get the shape of the last one's.
        known[operator] = RuntimeSchemaInfo(1, needs_pytree=True)
