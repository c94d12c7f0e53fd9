"""Attention pooling against loops, against torch's own multi-head attention, and with the weights of others."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from problems import ROUNDING, assert_near
from torch.utils._python_dispatch import TorchDispatchMode

from poolkit import functional, nn
from poolkit.errors import ArgumentError

Array = NDArray[np.float64]
nan, inf = math.nan, math.inf


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def attended(query: Array, key: Array, value: Array, heads: int, valid: NDArray[np.bool_] | None = None) -> Array:
    """(N, Q, E), (N, L, E), (N, L, V) -> (N, Q, V), number by number."""
    batch, queries, _ = query.shape
    depth, width = query.shape[2] // heads, value.shape[2] // heads
    result = np.zeros((batch, queries, value.shape[2]))
    for n in range(batch):
        tokens = [t for t in range(key.shape[1]) if valid is None or valid[n, t]]
        if not tokens:
            continue
        for q in range(queries):
            for head in range(heads):
                part = range(head * depth, (head + 1) * depth)
                scores = [sum(query[n, q, i] * key[n, t, i] for i in part) / math.sqrt(depth) for t in tokens]
                for weight, t in zip(softmax(scores), tokens, strict=True):
                    for v in range(head * width, (head + 1) * width):
                        result[n, q, v] += weight * value[n, t, v]
    return result


def linear(x: Array, layer: torch.nn.Linear) -> Array:
    return x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


MASK = torch.tensor([[True, False, True, True, False], [False, False, False, True, False], [False] * 5])


# --------------------------------------------------------------------------------- the step without weights


@pytest.mark.parametrize("dtype", list(ROUNDING), ids=str)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
def test_attention_pool(heads: int, training: bool, mask: torch.Tensor | None, dtype: torch.dtype) -> None:
    """The same numbers by the fused operator of inference and by the formula that has all derivatives."""
    query, key, value = numbers(3, 2, 4), numbers(3, 5, 4, seed=1), numbers(3, 5, 6, seed=2)
    query, key, value = (x.to(dtype).requires_grad_(training) for x in (query, key, value))
    expected = attended(
        *(x.detach().double().numpy() for x in (query, key, value)), heads, None if mask is None else mask.numpy()
    )
    assert_near(functional.attention_pool(query, key, value, heads, mask), expected, 2 * ROUNDING[dtype])


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
def test_attention_pool_differentiates_twice(mask: torch.Tensor | None) -> None:
    tensors = [numbers(3, 2, 4), numbers(3, 5, 4, seed=1), numbers(3, 5, 6, seed=2)]
    leaves = [x.requires_grad_() for x in tensors]

    def pool(*xs: torch.Tensor) -> torch.Tensor:
        return functional.attention_pool(*xs, 2, mask)

    assert torch.autograd.gradcheck(pool, leaves)
    assert torch.autograd.gradgradcheck(pool, leaves, fast_mode=True)


class Names(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(str(func))
        return func(*args, **(kwargs or {}))


def test_inference_runs_the_fused_operator() -> None:
    tensors = numbers(3, 2, 4), numbers(3, 5, 4), numbers(3, 5, 4)
    with Names() as names:
        functional.attention_pool(*tensors)
    assert any("scaled_dot_product" in name for name in names.seen)


def test_masked_tokens_leave_no_trace() -> None:
    query, clean = numbers(3, 2, 4), numbers(3, 5, 4, seed=1)
    expected = functional.attention_pool(query, clean, clean, 2, MASK)
    for poison in (nan, inf, -inf):
        for training in (False, True):
            dirty = clean.masked_fill(~MASK[..., None], poison).requires_grad_(training)
            y = functional.attention_pool(query, dirty, dirty, 2, MASK)
            torch.testing.assert_close(y, expected)
            assert (y[2] == 0).all()
        y.sum().backward()
        assert dirty.grad is not None
        assert (dirty.grad[~MASK] == 0).all()
        assert (dirty.grad[MASK] != 0).any()


def test_refusals() -> None:
    x = torch.zeros(2, 5, 4)
    for wrong in ((x, x[:1], x[:1]), (x, x[..., :2], x), (x, x, x[:, :3]), (x, x[0], x[0]), (x[:, :0], x, x)):
        with pytest.raises(ArgumentError, match="query, key and value must be"):
            functional.attention_pool(*wrong)
    with pytest.raises(ArgumentError, match=r"must have one dtype.*float64"):
        functional.attention_pool(x, x.double(), x)
    with pytest.raises(ArgumentError, match="num_heads must divide the 4 channels, but got 3"):
        functional.attention_pool(x, x, x, 3)
    with pytest.raises(ArgumentError, match="num_heads must be greater than zero"):
        functional.attention_pool(x, x, x, 0)
    with pytest.raises(ArgumentError, match=r"mask must have the shape \[2, 5\]"):
        functional.attention_pool(x, x, x, 1, torch.ones(5, 2, dtype=torch.bool))
    with pytest.raises(ArgumentError, match=r"input must be \(N, 3, H, W\) or \(3, H, W\).*\[2, 4, 2, 2\]"):
        nn.AttentionPool2d(3, 2, 1)(torch.zeros(2, 4, 2, 2))
    for module in (nn.LatentAttentionPool(3, 1), nn.AdditiveAttentionPool(3), nn.GatedAttentionPool(3)):
        with pytest.raises(ArgumentError, match=r"input .*must be \(N, L, 3\) or \(L, 3\).*\[2, 5, 4\]"):
            module(x)
        with pytest.raises(TypeError, match="mask must be a bool tensor"):
            module(x[..., :3], torch.ones(2, 5))


# ------------------------------------------------------------------------------------------- pooling a map


def test_attention_pool_of_a_map_is_that_of_multi_head_attention() -> None:
    """As CLIP writes it: all tokens through torch's multi-head attention, of which the first is kept."""
    torch.manual_seed(0)
    pool = nn.AttentionPool2d(8, (3, 4), 2, 5).double()
    x = numbers(2, 8, 3, 4).requires_grad_()
    tokens = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + pool.positional_embedding[:, None]
    expected, _ = torch.nn.functional.multi_head_attention_forward(
        tokens,
        tokens,
        tokens,
        embed_dim_to_check=8,
        num_heads=2,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        training=False,
        need_weights=False,
    )
    y = pool(x)
    torch.testing.assert_close(y, expected[0])
    weights = [x, *pool.parameters()]
    gradient = numbers(2, 5)
    for actual, wanted in zip(
        torch.autograd.grad(y, weights, gradient), torch.autograd.grad(expected[0], weights, gradient), strict=True
    ):
        torch.testing.assert_close(actual, wanted)


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (2, 2), (2, 3), (40, 3)])
def test_positions_follow_the_size_of_the_map(size: tuple[int, int]) -> None:
    """Equal positions stay equal at any size, and that of the mean is its own."""
    torch.manual_seed(0)
    pool = nn.AttentionPool2d(4, (2, 3), 2).double()
    position = numbers(2, 4)
    with torch.no_grad():
        pool.positional_embedding.copy_(position[1])
        pool.positional_embedding[0] = position[0]
    x = numbers(2, 4, *size)
    cells = x.flatten(2).transpose(1, 2).numpy()
    tokens = np.concatenate([cells.mean(1, keepdims=True) + position[0].numpy(), cells + position[1].numpy()], 1)
    query, key, value = (linear(tokens, layer) for layer in (pool.q_proj, pool.k_proj, pool.v_proj))
    expected = linear(attended(query[:, :1], key, value, 2)[:, 0], pool.c_proj)
    assert_near(pool(x), expected, 1e-11)


def test_a_ramp_of_positions_stays_a_ramp() -> None:
    """Twice as many cells see positions of half the step, but for the borders."""
    pool = nn.AttentionPool2d(1, (8, 8), 1).double()
    ramp = torch.arange(8.0).repeat(8, 1).flatten()
    with torch.no_grad():
        pool.positional_embedding[1:, 0] = ramp
    positions = pool._positions(16, 16)[1:, 0].reshape(16, 16)
    torch.testing.assert_close(positions[0, 4:12], torch.arange(4, 12, dtype=torch.float64) / 2 - 0.25)
    assert torch.allclose(positions, positions[:1].expand(16, 16))


def state_of_timm(state: dict[str, torch.Tensor], prefix: str, fused: bool) -> dict[str, torch.Tensor]:
    """The weights under timm's names."""
    renamed = {f"{prefix}pos_embed": state[f"{prefix}positional_embedding"]}
    for kind in ("weight", "bias"):
        parts = [state[f"{prefix}{name}_proj.{kind}"] for name in "qkv"]
        if fused:
            renamed[f"{prefix}qkv.{kind}"] = torch.cat(parts)
        else:
            renamed |= {f"{prefix}{name}.{kind}": part for name, part in zip("qkv", parts, strict=True)}
        renamed[f"{prefix}proj.{kind}"] = state[f"{prefix}c_proj.{kind}"]
    return renamed


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("prefix", ["", "head."])
def test_weights_of_timm_load(prefix: str, fused: bool) -> None:
    trained, fresh = nn.AttentionPool2d(4, 3, 2, 5), nn.AttentionPool2d(4, 3, 2, 5)
    theirs = state_of_timm({f"{prefix}{key}": value for key, value in trained.state_dict().items()}, prefix, fused)
    keys = set(theirs)
    model: torch.nn.Module = torch.nn.ModuleDict({"head": fresh}) if prefix else fresh
    model.load_state_dict(theirs)
    assert set(theirs) == keys
    x = torch.randn(2, 4, 3, 3)
    assert torch.equal(fresh(x), trained(x))
    with pytest.raises(RuntimeError, match="cls_token"):
        model.load_state_dict({**theirs, f"{prefix}cls_token": torch.zeros(1, 4)})


def test_state_has_the_names_of_clip() -> None:
    projections = [f"{name}_proj.{kind}" for name in "qkvc" for kind in ("weight", "bias")]
    state = nn.AttentionPool2d(4, 7, 2, 5).state_dict()
    assert set(state) == {"positional_embedding", *projections}
    assert state["positional_embedding"].shape == (50, 4)
    assert state["c_proj.weight"].shape == (5, 4)


# ------------------------------------------------------------------------------------------ latent queries


def gelu(x: Array) -> Array:
    return np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))(x)


def latent(pool: nn.LatentAttentionPool, x: Array, valid: NDArray[np.bool_] | None) -> Array:
    query = linear(pool.latent.detach().numpy(), pool.q).repeat(len(x), 0)
    key, value = np.split(linear(x, pool.kv), 2, -1)
    z = linear(attended(query, key, value, pool.num_heads, valid), pool.proj)
    centred = z - z.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    normal = normal * pool.norm.weight.detach().numpy() + pool.norm.bias.detach().numpy()
    y = z + linear(gelu(linear(normal, pool.mlp.fc1)), pool.mlp.fc2)
    if valid is not None:
        y[~valid.any(1)] = 0
    return {"first": y[:, 0], "mean": y.mean(1), "none": y}[pool.reduce]


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
@pytest.mark.parametrize("reduce", ["first", "mean", "none"])
def test_latent_attention(reduce: str, mask: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    pool = nn.LatentAttentionPool(4, 2, num_latents=3, mlp_ratio=2, reduce=reduce).double()
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter)
    x = numbers(3, 5, 4)
    expected = latent(pool, x.numpy(), None if mask is None else mask.numpy())
    assert_near(pool(x, mask), expected, 1e-11)
    with torch.no_grad():
        assert_near(pool(x, mask), expected, 1e-11)


def test_latent_state_has_the_names_of_timm() -> None:
    linears = [
        f"{name}.{kind}" for name in ("q", "kv", "proj", "norm", "mlp.fc1", "mlp.fc2") for kind in ("weight", "bias")
    ]
    state = nn.LatentAttentionPool(4, 2, num_latents=3).state_dict()
    assert set(state) == {"latent", *linears}
    assert state["latent"].shape == (1, 3, 4)
    assert state["kv.weight"].shape == (8, 4)
    assert state["mlp.fc1.weight"].shape == (16, 4)


# ------------------------------------------------------------------------------------- additive attention


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "mask"])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("gated", [False, True])
def test_additive_attention(gated: bool, heads: int, mask: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    pool = (nn.GatedAttentionPool if gated else nn.AdditiveAttentionPool)(4, 3, heads).double()
    x = numbers(3, 5, 4)
    bag = x.numpy()
    hidden = np.tanh(linear(bag, pool.content))
    if isinstance(pool, nn.GatedAttentionPool):
        hidden = hidden / (1 + np.exp(-linear(bag, pool.gate)))
    scores = linear(hidden, pool.score)
    expected, weights = np.zeros((3, heads * 4)), np.zeros((3, heads, 5))
    for n in range(3):
        tokens = [t for t in range(5) if mask is None or mask[n, t]]
        for head in range(heads if tokens else 0):
            for weight, t in zip(softmax([scores[n, t, head] for t in tokens]), tokens, strict=True):
                weights[n, head, t] = weight
                expected[n, 4 * head : 4 * head + 4] += weight * bag[n, t]
    result, told = pool(x, mask, return_weights=True)
    assert_near(result, expected, 1e-11)
    assert_near(told, weights, 1e-11)
    assert torch.equal(pool(x, mask), result)


@pytest.mark.parametrize(
    "pool",
    [nn.LatentAttentionPool(4, 2), nn.AdditiveAttentionPool(4, 3), nn.GatedAttentionPool(4, 3)],
    ids=lambda p: type(p).__name__,
)
def test_masked_tokens_of_modules_leave_no_trace(pool: torch.nn.Module) -> None:
    """Nor in the gradients of the weights; a set of nothing gives 0."""
    pool = copy.deepcopy(pool).double()
    clean = numbers(3, 5, 4)
    results = []
    for poison in (0.0, nan, inf):
        pool.zero_grad()
        x = clean.masked_fill(~MASK[..., None], poison).requires_grad_()
        y = pool(x, MASK)
        assert (y[2] == 0).all()
        y.square().sum().backward()
        assert x.grad is not None
        assert (x.grad[~MASK] == 0).all()
        results.append([y, x.grad, *(parameter.grad for parameter in pool.parameters())])
    for others in results[1:]:
        for actual, expected in zip(others, results[0], strict=True):
            torch.testing.assert_close(actual, expected)
    single = pool(clean[0][MASK[0]])
    torch.testing.assert_close(single, pool(clean, MASK)[0])


def test_an_open_gate_changes_nothing() -> None:
    """The gated pooling is the plain one, its hidden units halved, where the gate stands at a half."""
    plain, gated = nn.AdditiveAttentionPool(4, 3), nn.GatedAttentionPool(4, 3)
    gated.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        gated.gate.weight.zero_()
        gated.gate.bias.zero_()
        gated.score.weight *= 2
    x = torch.randn(2, 5, 4)
    torch.testing.assert_close(gated(x), plain(x))
    assert set(plain.state_dict()) == {f"{name}.{kind}" for name in ("content", "score") for kind in ("weight", "bias")}


@pytest.mark.parametrize("pool", [nn.AdditiveAttentionPool(4, 3, 2), nn.GatedAttentionPool(4, 3, 2)])
def test_layouts_lengths_and_packed_sequences(pool: nn.AdditiveAttentionPool) -> None:
    x, lengths = torch.randn(3, 5, 4), [2, 5, 1]
    mask = torch.arange(5) < torch.tensor(lengths)[:, None]
    expected, weights = pool(x, mask, return_weights=True)
    for layout, order in (("channels_first", (0, 2, 1)), ("time_first", (1, 0, 2))):
        other = type(pool)(4, 3, 2, layout=layout)
        other.load_state_dict(pool.state_dict())
        y, told = other(x.permute(order), lengths=lengths, return_weights=True)
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(told, weights)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    torch.testing.assert_close(pool(packed), expected)
    torch.testing.assert_close(pool(x[0], lengths=2), expected[0])
