"""torch.func, forward mode and what autograd offers around modules, for every method and layer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from features import OF_METHODS, SUBJECTS, Subject, every_floating_subject, every_method
from problems import distinct
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from poolkit import functional, reference
from poolkit.methods import KERNELS, METHODS

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own, for forward AD


@pytest.fixture
def formulas(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels whose formula ran instead."""
    ran: list[str] = []
    pool = reference.pool

    def recorded(x, windows, step, seed=None):
        ran.append(step.kernel)
        return pool(x, windows, step, seed)

    monkeypatch.setattr(reference, "pool", recorded)
    return ran


def gradient(function: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    leaf = x.detach().clone().requires_grad_()
    (result,) = torch.autograd.grad(function(leaf), leaf)
    return result


@pytest.mark.feature("per-sample gradients")
@every_floating_subject
def test_gradients_per_sample(subject: Subject) -> None:
    """vmap(grad) gives each sample the gradient that it has alone, and autograd passes through vmap."""
    function, (x, *others) = subject.function(), subject.inputs
    loss = lambda x: function(x, *others).square().sum()  # noqa: E731
    samples = torch.stack([x, distinct(tuple(x.shape), 5)])
    expected = torch.stack([gradient(loss, sample) for sample in samples])
    assert_close(vmap(grad(loss))(samples), expected)
    assert_close(gradient(lambda samples: vmap(loss)(samples).sum(), samples), expected)


@pytest.mark.feature("checkpoint, hooks")
@every_floating_subject
def test_training_with_checkpoints_and_hooks(subject: Subject) -> None:
    """Checkpointing changes no gradient; hooks see each pass once."""
    module = subject.make()
    inputs = [x.detach().clone().requires_grad_() for x in subject.inputs]
    seen: list[str] = []
    module.register_forward_pre_hook(lambda *given: seen.append("forward pre"))
    module.register_forward_hook(lambda *given: seen.append("forward"))
    module.register_full_backward_pre_hook(lambda *given: seen.append("backward pre"))
    module.register_full_backward_hook(lambda *given: seen.append("backward"))
    tensors = [*inputs, *(p for p in module.parameters() if p.requires_grad)]

    def gradients(y: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return torch.autograd.grad(y.square().sum(), tensors, allow_unused=True)

    expected = gradients(module(*inputs, **subject.given))
    assert seen == ["forward pre", "forward", "backward pre", "backward"]
    actual = gradients(checkpoint(module, *inputs, use_reentrant=False, **subject.given))
    assert any(gradient is not None for gradient in expected)
    assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.feature("inference mode")
@every_floating_subject
def test_inference_mode(subject: Subject) -> None:
    function = subject.function()
    expected = function(*subject.inputs)
    with torch.inference_mode():
        y = function(*(x.clone() for x in subject.inputs))
        assert y.is_inference()
        assert_close(y, expected)


@pytest.mark.parametrize(
    "subject",
    [subject for subject in SUBJECTS if any(True for _ in subject.make().parameters())],
    ids=lambda subject: subject.name,
)
def test_weights_are_mapped(subject: Subject) -> None:
    """An ensemble: vmap over the parameters, as torch.func.stack_module_state makes it."""
    modules = [subject.make(), subject.make()]
    parameters = [dict(module.named_parameters()) for module in modules]
    with torch.no_grad():
        for parameter in modules[1].parameters():
            parameter.mul_(1.25)
    stacked = {name: torch.stack([p[name].detach() for p in parameters]) for name in parameters[0]}

    def call(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return functional_call(modules[0], weights, subject.inputs, subject.given)

    assert_close(vmap(call)(stacked), torch.stack([module(*subject.inputs, **subject.given) for module in modules]))


# ------------------------------------------------------------------------------------- methods of windows


def is_linear(subject: Subject) -> bool:
    """Whether the method is linear once it is known which cells won."""
    steps = METHODS[subject.name].steps_with(subject.params)
    return all(KERNELS[step.kernel].gradient in ("linear", "winner", "linear+winner") for step in steps)


@pytest.mark.feature("forward mode")
@every_method
def test_all_orders_of_transforms(subject: Subject) -> None:
    """Forward and reverse mode say the same, alone, mapped and one on top of the other."""
    function, (x, *_) = subject.function(), subject.inputs
    tangent, weights = distinct(tuple(x.shape), 7), distinct(tuple(function(x).shape), 3)
    back = gradient(lambda x: (function(x) * weights).sum(), x)
    _, forward = jvp(function, (x,), (tangent,))
    assert_close((forward * weights).sum(), (back * tangent).sum())
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(function(forward_ad.make_dual(x, tangent)))
    assert_close(dual.tangent, forward)
    mapped = vmap(lambda x, t: jvp(function, (x,), (t,))[1])(torch.stack([x, -x]), torch.stack([tangent, x]))
    assert_close(mapped[0], forward)
    assert_close(mapped[1], jvp(function, (-x,), (x,))[1])
    small = distinct((1, 1, 3, 4), 2)
    penalty = lambda x: function(x).pow(3).sum()  # noqa: E731
    expected = torch.autograd.functional.hessian(penalty, small)
    for second in (hessian, lambda f: jacrev(jacrev(f)), lambda f: jacrev(jacfwd(f)), lambda f: jacfwd(jacfwd(f))):
        assert_close(second(penalty)(small), expected)


@pytest.mark.feature("vmap")
@every_method
def test_vmap_runs_the_kernel(subject: Subject, formulas: list[str]) -> None:
    function, (x, *_) = subject.function(), subject.inputs
    samples = torch.stack([x, -x, x.flip(0)])
    expected = torch.stack([function(sample) for sample in samples])
    assert_close(vmap(function, in_dims=1, out_dims=2)(samples.movedim(0, 1)), expected.movedim(0, 2))
    assert_close(vmap(vmap(function))(samples), expected)
    assert formulas == []


@pytest.mark.parametrize("subject", [s for s in OF_METHODS if is_linear(s)], ids=lambda subject: subject.name)
def test_derivatives_run_the_kernel_of_linear_methods(subject: Subject, formulas: list[str]) -> None:
    function, (x, *_) = subject.function(), subject.inputs
    loss = lambda x: function(x).square().sum()  # noqa: E731
    vmap(grad(loss))(torch.stack([x, -x]))
    vmap(lambda x: jvp(function, (x,), (x,))[1])(torch.stack([x, -x]))
    hessian(loss)(x[:1, :1, :3, :3])
    assert formulas == []


def test_indices_and_integers_are_mapped() -> None:
    x = distinct((3, 2, 2, 6, 6))
    pool = lambda x: functional.max_pool2d(x, 3, 2, 1, return_indices=True)  # noqa: E731
    for actual, expected in zip(vmap(pool)(x), zip(*map(pool, x), strict=True), strict=True):
        assert torch.equal(actual, torch.stack(expected))
    whole = (9 * x).to(torch.int64)
    assert torch.equal(
        vmap(lambda x: functional.avg_pool2d(x, 2))(whole),
        functional.avg_pool2d(whole.flatten(0, 1), 2).view(3, 2, 2, 3, 3),
    )
    assert_close(grad(lambda x: pool(x)[0].sum())(x[0]), gradient(lambda x: pool(x)[0].sum(), x[0]))


def test_unpooling_under_transforms() -> None:
    x = distinct((3, 2, 2, 6, 6))
    pooled, indices = vmap(lambda x: functional.max_pool2d(x, 2, return_indices=True))(x)
    unpool = lambda y, indices: functional.max_unpool2d(y, indices, 2)  # noqa: E731
    expected = torch.stack([unpool(*pair) for pair in zip(pooled, indices, strict=True)])
    assert torch.equal(vmap(unpool)(pooled, indices), expected)
    loss = lambda y, indices: unpool(y, indices).square().sum()  # noqa: E731
    assert_close(vmap(grad(loss))(pooled, indices), 2 * pooled)
    assert_close(gradient(lambda pooled: vmap(loss)(pooled, indices).sum(), pooled), 2 * pooled)
    assert_close(jvp(lambda y: unpool(y, indices[0]), (pooled[0],), (pooled[1],))[1], unpool(pooled[1], indices[0]))
    with pytest.raises(RuntimeError, match="invalid max index"):
        vmap(unpool)(pooled, indices + 99)


@pytest.mark.parametrize("name", ["max", "temporal"])
def test_compiled_transforms(name: str) -> None:
    """The compiler sees the transforms that are active, inside what it compiles and around it."""
    [subject] = (subject for subject in SUBJECTS if subject.name == name)
    function, (x, *_) = subject.function(), subject.inputs
    loss = lambda x: function(x).square().sum()  # noqa: E731
    samples = torch.stack([x, -x])
    compiled = torch.compile(vmap(grad(loss)), fullgraph=True, backend="aot_eager")
    expected = torch.stack([gradient(loss, sample) for sample in samples])
    assert_close(compiled(samples), expected)
    inner = torch.compile(loss, backend="aot_eager")
    assert_close(inner(x), loss(x))  # traced without a transform
    assert_close(grad(inner)(x), expected[0])
    torch.compiler.reset()
