"""Tensors that are no plain strided CPU ones: each is served, or refused by the name of the function or layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from features import Subject, every_floating_subject, every_method, every_subject
from torch._subclasses import FakeTensorMode
from torch.testing import assert_close

from poolkit import functional, nn
from poolkit.errors import ArgumentError


class Named(torch.Tensor):
    """A tensor with a class of its own, as metadata is carried along with values."""


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")  # torch is about to drop these
@every_subject
@pytest.mark.parametrize("kind", ["sparse", "mkldnn", "quantised", "jagged"])
def test_other_layouts_are_refused(subject: Subject, kind: str) -> None:
    function, (x, *others) = subject.function(), subject.inputs
    if kind == "mkldnn" and subject.floats:
        other = x.float().to_mkldnn()
    elif kind == "quantised" and subject.floats:
        other = torch.quantize_per_tensor(x.float(), 0.1, 0, torch.quint8)
    elif kind == "jagged":
        other = torch.nested.nested_tensor([x[0], x[0]], layout=torch.jagged)
        if x.dim() == 3:
            other = torch.nested.nested_tensor([x[0].T, x[0].T[:1]], layout=torch.jagged)
    else:
        other = x.to_sparse()
    with pytest.raises((NotImplementedError, ArgumentError), match=r"^\w+\(\): .*(must be|not implemented)"):
        function(other, *others)


@pytest.mark.feature("subclasses")
@every_floating_subject
def test_subclasses_stay(subject: Subject) -> None:
    function = subject.function()
    y = function(*(x.as_subclass(Named) for x in subject.inputs))
    assert type(y) is Named
    assert_close(y.as_subclass(torch.Tensor), function(*subject.inputs))


@pytest.mark.feature("fake tensors")
@every_subject
def test_fake_tensors_have_the_shape(subject: Subject) -> None:
    """Without a value, which is what compilers reckon with."""
    expected = subject.function()(*subject.inputs)
    module = subject.make()
    mode = FakeTensorMode()
    fakes = tuple(mode.from_tensor(x) for x in subject.inputs)
    given = {name: mode.from_tensor(value) for name, value in subject.given.items()}
    state = {name: mode.from_tensor(value) for name, value in module.state_dict(keep_vars=True).items()}
    with mode:
        y = torch.func.functional_call(module, state, fakes, given)
    assert (y.shape, y.dtype, y.device) == (expected.shape, expected.dtype, expected.device)


@pytest.mark.feature("autocast")
@every_method
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_autocast_leaves_methods_their_type(subject: Subject, dtype: torch.dtype) -> None:
    """What a matrix product made half stays half; what is float32 stays so."""
    function, (x, *_) = subject.function(), subject.inputs
    for given in (torch.float32, dtype):
        leaf = x.to(given).requires_grad_()
        with torch.autocast("cpu", dtype=dtype):
            y = function(leaf)
            y.float().square().sum().backward()
        assert y.dtype == given
        assert torch.equal(y, function(leaf))
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()


# ----------------------------------------------------------------------------------- sequences of any length

SEQUENCES = [torch.randn(4, 3, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)]


def jagged() -> tuple[list[torch.Tensor], torch.Tensor]:
    leaves = [x.clone().requires_grad_() for x in SEQUENCES]
    return leaves, torch.nested.as_nested_tensor(leaves, layout=torch.jagged)


CALLS: dict[str, Any] = {
    **{
        kind: lambda x, kind=kind, **given: functional.temporal_pool(x, kind, layout="batch_first", **given)
        for kind in ("mean", "max", "min", "sum", "first", "last", "mean_sqrt_len")
    },
    "statistics": lambda x, **given: functional.statistics_pool(x, layout="batch_first", **given),
    "noisy_or": lambda x, **given: functional.noisy_or_pool(x.sigmoid(), layout="batch_first", **given),
    "splade": lambda x, **given: functional.splade_pool(x, layout="batch_first", **given),
}


@pytest.mark.parametrize("name", CALLS)
def test_jagged_sequences(name: str) -> None:
    """As each sequence by itself, value and gradient; as (N, L, C) and as (N, C, L)."""
    leaves, together = jagged()
    y = CALLS[name](together)
    expected = torch.cat([CALLS[name](x[None]) for x in leaves])
    assert_close(y, expected)
    gradient = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    assert_close(torch.autograd.grad(y, leaves, gradient), torch.autograd.grad(expected, leaves, gradient))


def test_jagged_sequences_with_channels_first() -> None:
    _, together = jagged()
    y = nn.TemporalPool("max")(together.transpose(1, 2))
    assert_close(y, CALLS["max"](together))


def test_segments_of_a_jagged_tensor() -> None:
    _, together = jagged()
    y = functional.segment_pool(together.values(), "max", offsets=together.offsets())
    assert_close(y, CALLS["max"](together))


def test_jagged_sequences_compile() -> None:
    compiled = torch.compile(CALLS["max"], fullgraph=True, backend="aot_eager")
    _, together = jagged()
    assert_close(compiled(together.detach()), CALLS["max"](together.detach()))
    torch.compiler.reset()


@pytest.mark.parametrize("layout", ["channels_first", "time_first"])
def test_wrong_layouts_of_jagged_sequences(layout: str) -> None:
    _, together = jagged()
    with pytest.raises(ArgumentError, match=rf"nested input in layout '{layout}'"):
        functional.temporal_pool(together, layout=layout)
    with pytest.raises(ArgumentError, match="lengths and mask must be None"):
        functional.temporal_pool(together, layout="batch_first", lengths=[1, 1])
