"""What the compiler needs of the operators of windows: the results' shapes, dtypes and layouts, without the results."""

from __future__ import annotations

import torch
from torch import Tensor

from poolkit import geometry, layout
from poolkit.geometry import Windows
from poolkit.layout import is_channels_last


def _sizes(x: Tensor, packed: list[int], outputs: bool) -> list[int]:
    rank = packed[0]
    spatial = packed[4 if outputs else 3 :: 7][3 - rank : 3]
    return [*x.shape[:-rank], *spatial]


def register() -> None:
    """Tells torch the results of each operator of ops.py."""

    def pool(x: Tensor, method: str, windows: list[int], params: list[float], seed: Tensor | None = None) -> Tensor:
        rank = windows[0]
        return layout.empty(x, _sizes(x, windows, True), x.dtype, is_channels_last(x, rank), rank)

    def pool_winners(
        x: Tensor, method: str, windows: list[int], params: list[float], seed: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        rank, last = windows[0], is_channels_last(x, windows[0])
        axes = (geometry.Axis(*windows[3 + 7 * i : 10 + 7 * i]) for i in range(3))
        dtype = layout.position_dtype(Windows(tuple(axes)).extent)
        sizes = _sizes(x, windows, True)
        return layout.empty(x, sizes, x.dtype, last, rank), layout.empty(x, sizes, dtype, last, rank)

    def pool_backward(
        grad: Tensor,
        x: Tensor | None,
        y: Tensor | None,
        winners: Tensor | None,
        method: str,
        windows: list[int],
        params: list[float],
        channels_last: bool,
    ) -> Tensor:
        return layout.empty(grad, _sizes(grad, windows, False), grad.dtype, channels_last, windows[0])

    def pool_by_logits(x: Tensor, logits: Tensor, windows: list[int]) -> Tensor:
        return pool(x, "soft", windows, [])

    def pool_by_logits_backward(
        grad: Tensor, x: Tensor, logits: Tensor, windows: list[int], channels_last: bool
    ) -> tuple[Tensor, Tensor]:
        grad_x = pool_backward(grad, x, None, None, "soft", windows, [], channels_last)
        return grad_x, torch.empty_like(grad_x)

    def winner_indices(winners: Tensor, windows: list[int]) -> Tensor:
        rank = windows[0]
        return layout.empty(winners, list(winners.shape), torch.int64, is_channels_last(winners, rank), rank)

    def max_unpool(x: Tensor, indices: Tensor, output_size: list[int]) -> Tensor:
        rank = len(output_size)
        return layout.empty(x, [*x.shape[:-rank], *output_size], x.dtype, is_channels_last(x, rank), rank)

    def max_unpool_backward(grad: Tensor, indices: Tensor, rank: int) -> Tensor:
        return layout.empty(grad, list(indices.shape), grad.dtype, is_channels_last(indices, rank), rank)

    for fake in (
        pool,
        pool_winners,
        pool_backward,
        pool_by_logits,
        pool_by_logits_backward,
        winner_indices,
        max_unpool,
        max_unpool_backward,
    ):
        torch.library.register_fake(f"poolkit::{fake.__name__}", fake)
