"""Attention pooling: a few queries, or scores, choose what a set of tokens is summed up to."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from poolkit import functional, geometry, transforms
from poolkit.errors import ArgumentError
from poolkit.layers.base import Layer, check_eps, check_floating, check_map, wide
from poolkit.layers.steps import Lengths, check_layout, read, read_valid


def _check_heads(channels: int, num_heads: int) -> None:
    if geometry.integer("channels", channels, positive=True) % geometry.integer("num_heads", num_heads, positive=True):
        raise ArgumentError(f"num_heads must divide the {channels} channels, but got {num_heads}")


def _heads(x: Tensor, num_heads: int) -> Tensor:
    """(N, L, heads * D) as (N, heads, L, D)."""
    return x.unflatten(2, (num_heads, -1)).transpose(1, 2)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention of (N, heads, L, D)."""
    differentiated = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad)
    if not differentiated and not transforms.active():
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # torch's fused attention has no second and no forward-mode derivative; the scores of a few queries are small
    # enough to be kept.
    scores = torch.matmul(wide(query) * query.shape[-1] ** -0.5, wide(key).transpose(2, 3))
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.matmul(scores.softmax(3), wide(value)).to(value.dtype)


def _openly(valid: Tensor | None) -> Tensor | None:
    """The valid tokens; all where none is, so that no softmax is over nothing. Such results are replaced by 0."""
    return None if valid is None else valid | ~valid.any(1, keepdim=True)


def _without_empty(result: Tensor, valid: Tensor | None) -> Tensor:
    return result if valid is None else torch.where(valid.any(1)[:, None, None], result, 0)


def attention_pool(query: Tensor, key: Tensor, value: Tensor, num_heads: int = 1, mask: Tensor | None = None) -> Tensor:
    """Averages of the values, weighted by the softmax of how well their keys agree with each query.

    Args:
        query: (N, Q, E), or (Q, E) without a batch.
        key: (N, L, E) or (L, E).
        value: (N, L, V) or (L, V).
        num_heads: divides E and V; every head weighs its own part of the channels.
        mask: bool (N, L) or (L,), True at the tokens that count.

    Returns:
        (N, Q, V) or (Q, V). Masked tokens may hold anything, NaN too: they change neither the result nor a gradient,
        and theirs is 0. A set without a token that counts gives 0 and has no gradient.

    dtypes: float32, float64, float16, bfloat16, the same for all three. Raises ArgumentError (a ValueError) for a bad
    argument, TypeError for one of a wrong type, NotImplementedError for another dtype.
    """
    name = "attention_pool"
    check_floating(name, query=query, key=key, value=value)
    if not query.dtype == key.dtype == value.dtype:
        raise ArgumentError(
            f"{name}(): query, key and value must have one dtype, but got {query.dtype}, {key.dtype} and {value.dtype}"
        )
    batched = query.dim() == 3
    shapes = {argument: list(x.shape) for argument, x in (("query", query), ("key", key), ("value", value))}
    if not batched:
        query, key, value = query[None], key[None], value[None]
        mask = mask[None] if isinstance(mask, Tensor) else mask
    agree = query.dim() == key.dim() == value.dim() == 3 and (
        query.shape[0] == key.shape[0] == value.shape[0]
        and query.shape[2] == key.shape[2]
        and key.shape[1] == value.shape[1]
    )
    if not agree or 0 in (*query.shape[1:], *key.shape[1:], value.shape[2]):
        raise ArgumentError(
            f"{name}(): query, key and value must be (N, Q, E), (N, L, E) and (N, L, V), or the same without N, "
            f"but got {', '.join(f'{argument} {shape}' for argument, shape in shapes.items())}"
        )
    _check_heads(query.shape[2], num_heads)
    _check_heads(value.shape[2], num_heads)
    valid = read_valid(name, None, mask, key.shape[0], key.shape[1], key.device)
    if valid is not None:
        key, value = (x.masked_fill(~valid[..., None], 0) for x in (key, value))
    seen = _openly(valid)
    result = _attend(
        _heads(query, num_heads),
        _heads(key, num_heads),
        _heads(value, num_heads),
        None if seen is None else seen[:, None, None],
    )
    result = _without_empty(result.transpose(1, 2).flatten(2), valid)
    return result if batched else result[0]


def _split(state: dict[str, Any], prefix: str, fused: str, parts: tuple[str, ...]) -> None:
    """Cuts one fused linear layer of a state into those that it stands for."""
    for kind in ("weight", "bias"):
        whole = state.pop(f"{prefix}{fused}.{kind}", None)
        if whole is not None:
            for part, piece in zip(parts, whole.chunk(len(parts)), strict=True):
                state[f"{prefix}{part}.{kind}"] = piece


class AttentionPool2d(Layer):
    """The mean of a map asks, all its cells answer: one step of attention with positions, as in CLIP's ResNets.

    Args:
        in_channels: C, the channels of the input.
        spatial_size: height and width, one int or two, for which positions are learnt.
        num_heads: divides C.
        out_channels: of the result; C by default.

    forward takes (N, C, H, W) or (C, H, W) and gives (N, out_channels) or (out_channels,). For another height and
    width than `spatial_size` the positions are interpolated (bicubic, antialiased), except that of the mean.

    The state has the names of CLIP's AttentionPool2d; load_state_dict also takes that of timm's AttentionPool2d
    without class token, its qkv fused or separate.
    """

    _shown = ("in_channels", "spatial_size", "num_heads", "out_channels")
    #: timm's names.
    _ALIASES = (("pos_embed", "positional_embedding"), *((f"{n}.", f"{n}_proj.") for n in "qkv"), ("proj.", "c_proj."))

    def __init__(
        self,
        in_channels: int,
        spatial_size: int | tuple[int, int],
        num_heads: int,
        out_channels: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        _check_heads(in_channels, num_heads)
        height, width = geometry.per_axis("spatial_size", spatial_size, 2)
        self.spatial_size, self.num_heads = (height, width), num_heads
        chosen = in_channels if out_channels is None else out_channels
        self.out_channels = geometry.integer("out_channels", chosen, positive=True)
        cells = torch.empty(height * width + 1, in_channels, device=device, dtype=dtype)
        self.positional_embedding = torch.nn.Parameter(cells)
        self.q_proj = torch.nn.Linear(in_channels, in_channels, device=device, dtype=dtype)
        self.k_proj = torch.nn.Linear(in_channels, in_channels, device=device, dtype=dtype)
        self.v_proj = torch.nn.Linear(in_channels, in_channels, device=device, dtype=dtype)
        self.c_proj = torch.nn.Linear(in_channels, self.out_channels, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal with deviation C**-0.5, biases 0."""
        torch.nn.init.normal_(self.positional_embedding, std=self.in_channels**-0.5)
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.c_proj):
            torch.nn.init.normal_(projection.weight, std=self.in_channels**-0.5)
            torch.nn.init.zeros_(projection.bias)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        _split(state_dict, prefix, "qkv", ("q_proj", "k_proj", "v_proj"))
        for theirs, ours in self._ALIASES:
            for key in [key for key in state_dict if key.startswith(prefix + theirs)]:
                state_dict[prefix + ours + key.removeprefix(prefix + theirs)] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _positions(self, height: int, width: int) -> Tensor:
        """The position of the mean and those of the cells, (1 + H * W, C)."""
        if (height, width) == self.spatial_size:
            return self.positional_embedding
        mean, cells = wide(self.positional_embedding).split((1, self.positional_embedding.shape[0] - 1))
        grid = cells.unflatten(0, self.spatial_size).permute(2, 0, 1)[None]
        size = operator.index(height), operator.index(width)  # torch's gradient of it takes no symbols
        grid = F.interpolate(grid, size, mode="bicubic", antialias=True)
        return torch.cat((mean, grid[0].flatten(1).T)).to(self.positional_embedding.dtype)

    def forward(self, input: Tensor) -> Tensor:
        check_map("AttentionPool2d", input, 2, self.in_channels)
        x = input if input.dim() == 4 else input[None]
        cells = torch.cat((functional.global_avg_pool2d(x).flatten(2), x.flatten(2)), 2).transpose(1, 2)
        tokens = cells + self._positions(*x.shape[2:])
        # Only the mean asks.
        pooled = attention_pool(self.q_proj(tokens[:, :1]), self.k_proj(tokens), self.v_proj(tokens), self.num_heads)
        result: Tensor = self.c_proj(pooled[:, 0])
        return result if input.dim() == 4 else result[0]


class _MLP(torch.nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, channels: int, hidden: int, **factory: Any) -> None:
        super().__init__()
        self.fc1 = torch.nn.Linear(channels, hidden, **factory)
        self.act = torch.nn.GELU()
        self.fc2 = torch.nn.Linear(hidden, channels, **factory)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


def _check_tokens(name: str, input: Tensor, channels: int) -> None:
    check_floating(name, input=input)
    if input.dim() not in (2, 3) or input.shape[-2] == 0 or input.shape[-1] != channels:
        allowed = f"(N, L, {channels}) or (L, {channels})"
        raise ArgumentError(f"{name}(): input must be {allowed} with at least one token, but got {list(input.shape)}")


class LatentAttentionPool(Layer):
    """Learnt queries ask all tokens; a residual MLP follows: the MAP head of SigLIP and other vision transformers.

    Args:
        in_channels: C, of the tokens and of the result.
        num_heads: divides C.
        num_latents: how many queries are learnt.
        mlp_ratio: hidden units of the MLP for each channel.
        reduce: 'first' gives the first query's result, 'mean' the mean of all, 'none' all of them.
        eps: of the layer normalisation.

    forward takes tokens (N, L, C) or (L, C), L of any number, with a mask (N, L) or (L,), True at the tokens that
    count, and gives (N, C), or (N, num_latents, C) with reduce 'none'. Masked tokens may hold anything; a set without
    a token that counts gives 0 and has no gradient.

    The state has the names of timm's AttentionPoolLatent with a norm layer and without position embedding and
    normalised queries.
    """

    _shown = ("in_channels", "num_heads", "num_latents", "mlp_ratio", "reduce")
    _REDUCTIONS = ("first", "mean", "none")

    def __init__(
        self,
        in_channels: int,
        num_heads: int = 8,
        num_latents: int = 1,
        mlp_ratio: float = 4.0,
        reduce: str = "first",
        eps: float = 1e-6,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        _check_heads(in_channels, num_heads)
        self.num_latents = geometry.integer("num_latents", num_latents, positive=True)
        if not isinstance(mlp_ratio, int | float) or not 1 <= in_channels * mlp_ratio < math.inf:
            raise ArgumentError(f"mlp_ratio must be a number that gives a hidden unit or more, but got {mlp_ratio!r}")
        check_eps(eps)
        if reduce not in self._REDUCTIONS:
            raise ArgumentError(f"reduce must be one of {', '.join(map(repr, self._REDUCTIONS))}, but got {reduce!r}")
        self.num_heads, self.mlp_ratio, self.reduce = num_heads, mlp_ratio, reduce
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.latent = torch.nn.Parameter(torch.empty(1, num_latents, in_channels, **factory))
        self.q = torch.nn.Linear(in_channels, in_channels, **factory)
        self.kv = torch.nn.Linear(in_channels, 2 * in_channels, **factory)
        self.proj = torch.nn.Linear(in_channels, in_channels, **factory)
        self.norm = torch.nn.LayerNorm(in_channels, eps=eps, **factory)
        self.mlp = _MLP(in_channels, int(in_channels * mlp_ratio), **factory)
        torch.nn.init.trunc_normal_(self.latent, std=in_channels**-0.5)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        name = "LatentAttentionPool"
        _check_tokens(name, input, self.in_channels)
        batched = input.dim() == 3
        if not batched:
            input, mask = input[None], mask[None] if isinstance(mask, Tensor) else mask
        valid = read_valid(name, None, mask, input.shape[0], input.shape[1], input.device)
        tokens = input if valid is None else input.masked_fill(~valid[..., None], 0)
        query = self.q(self.latent).expand(input.shape[0], -1, -1)
        key, value = self.kv(tokens).chunk(2, 2)
        x = self.proj(attention_pool(query, key, value, self.num_heads, valid))
        x = _without_empty(x + self.mlp(self.norm(x)), valid)
        if self.reduce != "none":
            x = x[:, 0] if self.reduce == "first" else x.mean(1)
        return x if batched else x[0]


class AdditiveAttentionPool(Layer):
    """The mean of a bag of instances, weighted by a small network, w tanh(V h + b) + c: additive attention pooling.

    Args:
        in_channels: C, the features of an instance.
        hidden_channels: of the network that scores an instance.
        num_heads: how many weightings are learnt; their means stand side by side.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes a bag of any number of instances, with or without a batch, or a PackedSequence; a mask or lengths, as
    :func:`poolkit.functional.temporal_pool` takes them, say which instances count. It gives (N, num_heads * C), or also
    the weights (N, num_heads, L) with `return_weights=True`. Masked instances may hold anything and weigh 0; a bag
    without an instance that counts gives 0 and has no gradient.
    """

    _shown = ("in_channels", "hidden_channels", "num_heads", "layout")

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 128,
        num_heads: int = 1,
        layout: str = "batch_first",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        self.hidden_channels = geometry.integer("hidden_channels", hidden_channels, positive=True)
        self.num_heads = geometry.integer("num_heads", num_heads, positive=True)
        check_layout(layout)
        self.layout = layout
        self.content = torch.nn.Linear(in_channels, hidden_channels, device=device, dtype=dtype)
        self.score = torch.nn.Linear(hidden_channels, num_heads, device=device, dtype=dtype)

    def _hidden(self, bag: Tensor) -> Tensor:
        return self.content(bag).tanh()

    def forward(
        self,
        input: Tensor | PackedSequence,
        mask: Tensor | None = None,
        lengths: Lengths | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        sequences = read(type(self).__name__, input, lengths, mask, self.layout, channels=self.in_channels)
        bag = sequences.filled(0).transpose(1, 2)
        scores = wide(self.score(self._hidden(bag))).transpose(1, 2)
        seen = _openly(sequences.valid)
        if seen is not None:
            scores = scores.masked_fill(~seen[:, None], -torch.inf)
        weights = _without_empty(scores.softmax(2), sequences.valid)
        result = sequences.unbatch(torch.matmul(weights, wide(bag)).flatten(1).to(bag.dtype))
        return (result, sequences.unbatch(weights.to(bag.dtype))) if return_weights else result


class GatedAttentionPool(AdditiveAttentionPool):
    """:class:`poolkit.nn.AdditiveAttentionPool` whose scores pass a gate, w (tanh(V h + b) * sigmoid(U h + d)) + c.

    Pooling for multiple-instance learning: the tanh tells instances apart, the sigmoid lets the network ignore them.

    Args:
        in_channels: C, the features of an instance.
        hidden_channels: of the network that scores an instance.
        num_heads: how many weightings are learnt; their means stand side by side.
        layout: 'channels_first' (N, C, L), 'batch_first' (N, L, C) or 'time_first' (L, N, C).

    forward takes a bag of any number of instances, with or without a batch, or a PackedSequence; a mask or lengths, as
    :func:`poolkit.functional.temporal_pool` takes them, say which instances count. It gives (N, num_heads * C), or also
    the weights (N, num_heads, L) with `return_weights=True`. Masked instances may hold anything and weigh 0; a bag
    without an instance that counts gives 0 and has no gradient.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 128,
        num_heads: int = 1,
        layout: str = "batch_first",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, hidden_channels, num_heads, layout, device, dtype)
        self.gate = torch.nn.Linear(in_channels, hidden_channels, device=device, dtype=dtype)

    def _hidden(self, bag: Tensor) -> Tensor:
        return super()._hidden(bag) * self.gate(bag).sigmoid()
