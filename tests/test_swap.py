"""poolkit.swap, poolkit.swap.functional and poolkit.drift."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import nets
import pytest
import torch
from torch import Tensor
from torch import nn as torch_nn
from torch.nn import functional as F

import poolkit
from poolkit import ArgumentError, functional, nn
from poolkit.methods import METHODS
from poolkit.surgery.match import STARTS

IMAGE = torch.linspace(-1, 2, 28 * 28).sin().mul(7).cos().reshape(1, 1, 28, 28)


def kinds(model: torch_nn.Module) -> list[str]:
    return [type(module).__name__ for module in model.modules() if "Pool" in type(module).__name__]


# ---------------------------------------------------------------------------------------------- which are meant


class Named(torch_nn.Module):
    """Poolings at names that look alike."""

    def __init__(self) -> None:
        super().__init__()
        self.pool1 = torch_nn.MaxPool2d(2)
        self.pool2 = torch_nn.AvgPool2d(2)
        self.body = torch_nn.Sequential(torch_nn.MaxPool2d(3, 2, 1), torch_nn.Conv2d(1, 1, 1), torch_nn.AvgPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(self.pool2(self.pool1(x)))
        return y


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ({"max": "soft"}, ["pool1", "body.0"]),
        ({"pool1": "soft"}, ["pool1"]),
        ({"body.2": "soft"}, ["body.2"]),
        ({"re:pool.": "soft"}, ["pool1", "pool2"]),
        ({r"re:body\.\d": "soft"}, ["body.0", "body.2"]),
        ({torch_nn.AvgPool2d: "soft"}, ["pool2", "body.2"]),
        ({"max": "soft", "avg": "soft"}, ["pool1", "pool2", "body.0", "body.2"]),
    ],
)
def test_selectors(methods: dict[Any, Any], expected: list[str]) -> None:
    model = Named()
    changes = poolkit.swap(model, methods)
    assert [change.name for change in changes] == expected
    for name, module in model.named_modules():
        assert isinstance(module, nn.SoftPool2d) == (name in expected)


def test_the_most_particular_selector_decides() -> None:
    model = Named()
    poolkit.swap(model, {"max": "min", torch_nn.AvgPool2d: "median", "re:body.*": "soft", "body.2": "gem"})
    found = {name: type(module).__name__ for name, module in model.named_modules() if "Pool" in type(module).__name__}
    assert found == {"pool1": "MinPool2d", "pool2": "MedianPool2d", "body.0": "SoftPool2d", "body.2": "GeMPool2d"}


def test_filter() -> None:
    model = Named()
    changes = poolkit.swap(model, {"max": "soft"}, filter_fn=lambda module, name: name.startswith("body"))
    assert [change.name for change in changes] == ["body.0"]
    with pytest.raises(ArgumentError, match="'avg' matches no pooling that filter_fn lets through"):
        poolkit.swap(model, {"avg": "soft"}, filter_fn=lambda module, name: False)


def test_dry_run_changes_nothing_and_tells_everything() -> None:
    model = Named()
    before = kinds(model)
    changes = poolkit.swap(model, {"max": ("soft", {"temperature": 0.5})}, dry_run=True)
    assert kinds(model) == before
    assert not changes.applied
    assert str(changes).splitlines()[2:] == [
        "pool1   max k2 s2     soft k2 s2 (temperature=0.5, grad=exact)",
        "body.0  max k3 s2 p1  soft k3 s2 p1 (temperature=0.5, grad=exact)",
    ]
    changes.undo()
    assert kinds(model) == before


# ---------------------------------------------------------------------------------------------- what is kept


def test_undo_puts_the_same_modules_back() -> None:
    model = nets.lenet()
    old = list(model)
    y = model(IMAGE)
    changes = poolkit.swap(model, {"max": "avg"})
    assert not torch.equal(model(IMAGE), y)
    assert changes[0].old is old[2]
    assert model[2] is changes[0].new
    model.eval()
    changes.undo()
    changes.undo()
    assert list(model) == old
    assert not model[2].training
    assert torch.equal(model(IMAGE), y)


def test_names_mode_and_weights_stay() -> None:
    model = nets.lenet()
    model[2].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    poolkit.swap(model, {"max": "soft"})
    assert (model[2].training, model[5].training) == (False, True)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_methods_that_learn_add_their_weights_on_the_models_device_and_in_its_dtype() -> None:
    model = nets.lenet().to(torch.float64)
    before = set(model.state_dict())
    poolkit.swap(model, {"max": "learnt_mixed"})
    assert set(model.state_dict()) - before == {"2.logit", "5.logit"}
    assert model[2].logit.dtype == torch.float64
    model(IMAGE.double()).sum().backward()
    with torch.device("meta"):
        model = nets.lenet()
    poolkit.swap(model, {"max": "learnt_mixed"})
    assert model[2].logit.is_meta


def test_hooks_move_along_and_their_handles_go_on_working() -> None:
    model, seen = nets.lenet(), []
    handle = model[2].register_forward_hook(lambda module, inputs, output: seen.append(type(module).__name__))
    changes = poolkit.swap(model, {"max": "soft"})
    model(IMAGE)
    assert seen == ["SoftPool2d"]
    changes.undo()
    model(IMAGE)
    assert seen == ["SoftPool2d", "MaxPool2d"]
    handle.remove()
    model(IMAGE)
    assert len(seen) == 2


def test_a_pooling_that_is_wrapped_keeps_its_hooks() -> None:
    model, seen = nets.lenet(), []
    old = model[2]
    old.register_forward_hook(lambda module, inputs, output: seen.append(module))
    changes = poolkit.swap(model, {"2": lambda old: torch_nn.Sequential(old, torch_nn.Dropout())})
    assert model[2][0] is old
    model(IMAGE)
    changes.undo()
    model(IMAGE)
    assert seen == [old, old]


def test_a_shared_module_is_replaced_wherever_it_stands() -> None:
    model = nets.lenet(torch_nn.MaxPool2d(2))
    changes = poolkit.swap(model, {"5": "soft"})
    assert len(changes) == 1
    assert model[2] is model[5] is changes[0].new
    changes.undo()
    assert model[2] is model[5] is changes[0].old


@pytest.mark.parametrize("name", METHODS)
def test_every_method_with_every_kind_of_windows(name: str) -> None:
    given = METHODS[name].samples[0]
    target = (name, given)
    for rank in (1, 2, 3):
        front: Any = torch_nn
        for old in (
            getattr(front, f"MaxPool{rank}d")(3, 2, padding=1, dilation=1, ceil_mode=True),
            getattr(front, f"AvgPool{rank}d")(2, ceil_mode=True),
            getattr(front, f"AdaptiveAvgPool{rank}d")(3),
        ):
            x = torch.rand(2, 3, *(9, 8, 7)[:rank])
            model = torch_nn.Sequential(old).eval()
            shape = model(x).shape
            poolkit.swap(model, {"0": target})
            y = model(x)
            assert y.shape == shape
            # Where it starts near the old one, its parameters are others than here.
            if name in STARTS and not given:
                continue
            if "output_size" in vars(old):
                expected = getattr(functional, f"adaptive_{name}_pool{rank}d")(x, output_size=3, **given)
            else:
                windows = {"kernel_size": old.kernel_size, "stride": old.stride, "padding": old.padding}
                function = getattr(functional, f"{name}_pool{rank}d")
                expected = function(x, **windows, ceil_mode=True, **given)
            torch.testing.assert_close(y, expected)


def test_parameters_that_both_methods_have_are_kept() -> None:
    model = torch_nn.Sequential(
        torch_nn.AvgPool2d(3, 1, 1, count_include_pad=False), torch_nn.LPPool2d(3, 2), nn.GeMPool2d(2, p=5)
    )
    poolkit.swap(model, {"avg": "avg_max", "lp": "power_avg", "gem": "LearntGeMPool"})
    assert model[0].count_include_pad is False
    assert model[1].norm_type == 3
    assert model[2].norm_type.item() == pytest.approx(5)


def test_pool_of_any_rank_stays_so() -> None:
    model = torch_nn.Sequential(nn.Pool("max", kernel_size=2))
    poolkit.swap(model, {"max": "avg"})
    for x in (torch.rand(1, 1, 8), torch.rand(1, 1, 8, 8)):
        assert torch.equal(model(x), nn.Pool("avg", kernel_size=2)(x))


def test_indices_are_kept_or_the_swap_refused() -> None:
    model = torch_nn.Sequential(torch_nn.MaxPool2d(2, return_indices=True))
    with pytest.raises(
        ArgumentError, match="0: the pooling returns indices, which soft has none of; nothing was swapped"
    ):
        poolkit.swap(model, {"max": "soft"})
    poolkit.swap(model, {"max": "min"})
    _, indices = model(IMAGE)
    assert torch.equal(indices, functional.min_pool2d(IMAGE, 2, return_indices=True)[1])


# ------------------------------------------------------------------------------------------ how the new one starts

#: How far the new output may be from the old one, over its size; 0 where they are the same.
NEAR = {"soft": 2e-3, "log_sum_exp": 0.04, "gem": 0.03, "learnt_mixed": 2e-3, "learnt_log_sum_exp": 0.04}
OLD = {
    "max": lambda: torch_nn.MaxPool2d(3, 2),
    "avg": lambda: torch_nn.AvgPool2d(3, 2),
    "min": lambda: nn.MinPool2d(3, 2),
    "sum": lambda: nn.SumPool2d(3, 2),
    "median": lambda: nn.MedianPool2d(3, 2),
}


@pytest.mark.parametrize(("new", "old"), [(new, old) for new, olds in STARTS.items() for old in olds])
def test_new_methods_start_near_the_old_ones(new: str, old: str) -> None:
    model = torch_nn.Sequential(OLD[old]())
    x = torch.rand(2, 3, 21, 21) + 0.05
    before = model(x)
    poolkit.swap(model, {old: new})
    error = (model(x) - before).norm() / before.norm()
    learns = new.startswith("Learnt") and old == "max"
    assert error <= (0.03 if learns else NEAR.get(new, 1e-6))
    changed = torch_nn.Sequential(OLD[old]())
    if new != "LearntLPPool" and not (new in METHODS and METHODS[new].samples[0]):  # these have no default
        poolkit.swap(changed, {old: new}, init="default")
        assert (changed(x) - before).norm() > (model(x) - before).norm()


def test_what_is_given_goes_before_what_matches() -> None:
    model = nets.lenet()
    poolkit.swap(model, {"max": ("soft", {"temperature": 2.0})})
    assert model[2].temperature == 2.0


# ------------------------------------------------------------------------------------------------- layers


def test_layers_by_name_with_inputs_that_tell_their_channels() -> None:
    for name in ("gated", "tree", "max_blur", "local_importance", "detail_preserving", "learnt_mixed"):
        model = nets.lenet()
        shape = model(IMAGE).shape
        poolkit.swap(model, {"max": name}, inputs=IMAGE)
        assert model(IMAGE).shape == shape
    assert model[5].channels is None


def test_functions_make_any_module() -> None:
    model = nets.lenet()
    blurred = {"max": lambda old: torch_nn.Sequential(nn.MaxPool2d(old.kernel_size, 1, "same"), nn.BlurPool2d())}
    with pytest.raises(ArgumentError, match="would change the output's shape"):
        poolkit.swap(model, blurred)  # of maps of odd sizes
    poolkit.swap(model, blurred, inputs=IMAGE)  # which has none
    assert isinstance(model[2][1], nn.BlurPool2d)
    model(IMAGE)
    with pytest.raises(TypeError, match=r"must return a torch\.nn\.Module, but got int"):
        poolkit.swap(nets.lenet(), {"max": lambda old: 3})  # type: ignore[arg-type, return-value]


# ------------------------------------------------------------------------------------------------- timm's modules


def test_selected_pools_stay_selected_pools() -> None:
    for kind, layout in (("avg", "NCHW"), ("fast", "NCHW"), ("fast", "NHWC")):
        model = torch_nn.Sequential(torch_nn.Identity(), nets.SelectAdaptivePool2d(kind, True, layout))
        x = torch.rand(2, 5, 4, 3) if layout == "NCHW" else torch.rand(2, 4, 3, 5)
        [change] = poolkit.swap(model, {"1": "max"})
        assert change.name == "1.pool"
        assert model[1].pool_type == kind
        torch.testing.assert_close(model(x), x.amax((2, 3) if layout == "NCHW" else (1, 2)))


def test_means_that_keep_their_dimensions() -> None:
    for layout, dim in (("NCHW", (2, 3)), ("NHWC", (1, 2))):
        model = torch_nn.Sequential(nets.FastAdaptiveAvgPool(False, layout))
        x = torch.rand(2, 5, 4, 3)
        poolkit.swap(model, {"avg": "max"})
        torch.testing.assert_close(model(x), x.amax(dim, keepdim=True))


def test_same_padding_stays() -> None:
    model = torch_nn.Sequential(nets.MaxPool2dSame((3, 3), (2, 2)), nets.AvgPool2dSame((3, 3), (2, 2)))
    x = torch.rand(1, 2, 24, 22)
    shape = model(x).shape
    poolkit.swap(model, {"max": "soft", "avg": "gem"})
    assert model[0].padding == model[1].padding == "same"
    assert model(x).shape == shape


# ------------------------------------------------------------------------------------------------- all or nothing

IMPOSSIBLE: list[tuple[dict[Any, Any], str]] = [
    ({"max": "soft", "avg": "sofft"}, "no method or layer is named 'sofft'; did you mean 'soft'?"),
    ({"max": "soft", "maxx": "avg"}, "the selector 'maxx' matches no pooling.*did you mean 'max'?"),
    ({"max": "soft", "bodi.2": "avg"}, "'bodi.2' matches no pooling; the model has avg, max in pool1.*'body.2'"),
    ({"max": "soft", "body": "avg"}, "'body' matches no pooling"),
    ({"max": "soft", "median": "avg"}, "'median' matches no pooling"),
    ({"max": "soft", torch_nn.LPPool2d: "avg"}, "LPPool2d matches no pooling"),
    ({"max": "soft", "re:(": "avg"}, "is no regular expression"),
    ({"max": "soft", "re:x+": "avg"}, "'re:x\\+' matches no pooling"),
    (
        {"max": "soft", "avg": ("avg_max", {"mode": "cat"})},
        r"pool2: avg_max\(mode='cat'\) would change the output's shape",
    ),
    ({"max": "soft", "avg": ("gem", {"pp": 3})}, "pool2: 'pp' is no parameter of gem; allowed: p, eps"),
    ({"max": "soft", "avg": ("gem", {"p": -3})}, "p must be a finite number > 0"),
    ({"max": "soft", "avg": "lp"}, "pool2: lp.*norm_type"),
    ({"max": "soft", "avg": "learnt_power"}, "learnt_power is several, name one: LearntGeMPool, LearntLPPool"),
    ({"max": "soft", "avg": "temporal"}, "temporal has no windows of rank 2"),
    ({"max": "soft", "avg": "masked_max"}, "masked_max fails on an input of shape.*mask"),
    ({"max": "soft", "avg": "detail_preserving"}, "needs the number of channels: give inputs="),
    ({"max": "soft", "avg": lambda old: torch_nn.MaxPool2d(2, 1)}, "would change the output's shape"),
    ({"max": "soft", "avg": lambda old: torch_nn.Conv2d(3, 3, 2, 2)}, "fails on an input of shape"),
    ({}, "methods must say what to replace by what"),
]


@pytest.mark.parametrize(("methods", "message"), IMPOSSIBLE, ids=[message[:30] for _, message in IMPOSSIBLE])
def test_if_one_is_impossible_none_is_swapped(methods: dict[Any, Any], message: str) -> None:
    model = Named()
    before = list(model.modules())
    with pytest.raises(ArgumentError, match=message):
        poolkit.swap(model, methods)
    assert list(model.modules()) == before
    assert all(a is b for a, b in zip(model.modules(), before, strict=True))


def test_bad_types_and_models_without_pooling() -> None:
    with pytest.raises(ArgumentError, match=r"no pooling module that poolkit knows.*swap\.functional"):
        poolkit.swap(nets.Functional(), {"max": "soft"})
    with pytest.raises(ArgumentError, match=r"is itself a pooling.*torch\.nn\.Sequential"):
        poolkit.swap(torch_nn.MaxPool2d(2), {"max": "soft"})
    with pytest.raises(ArgumentError, match="init must be one of 'match', 'default', but got 'near'"):
        poolkit.swap(nets.lenet(), {"max": "soft"}, init="near")  # type: ignore[arg-type]
    for methods, message in (
        ({3: "soft"}, "a selector must be"),
        ({int: "soft"}, "must be that of a module, but got int"),
        ({"max": 3}, "a target must be"),
        ({"max": torch_nn.AvgPool2d}, "a target must be"),
        (["max"], "methods must be a dict"),
    ):
        with pytest.raises(TypeError, match=message):
            poolkit.swap(nets.lenet(), methods)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module"):
        poolkit.swap(len, {"max": "soft"})  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- functions


def test_functions_pool_by_another_method_while_the_context_lasts() -> None:
    model, x = nets.Functional(), torch.rand(2, 3, 16, 16)
    y = model(x)
    with poolkit.swap.functional(model, {"max": "min", "avg": ("soft", {"temperature": 0.1}), "block": "max"}):
        swapped = model(x)
        outside = F.max_pool2d(x, 2)
    assert torch.equal(outside, torch_nn.MaxPool2d(2)(x))
    z = functional.min_pool2d(model.stem(x), 3, 2, 1)
    z = z + model.block.conv(z) * model.block.gate(model.block.conv(z).amax((2, 3), keepdim=True)).sigmoid()
    z = functional.soft_pool2d(z, 2, ceil_mode=True, temperature=0.1)
    torch.testing.assert_close(swapped, model.head(z.mean((2, 3))))
    assert torch.equal(model(x), y)
    assert not any(module._forward_hooks for module in model.modules())


def test_reductions_by_their_own_names_alone() -> None:
    model, x = nets.Functional(), torch.rand(2, 3, 16, 16)
    with poolkit.swap.functional(model, {"mean": "gem"}):
        near = model(x)
    torch.testing.assert_close(near, model(x), rtol=0.5, atol=0.5)  # an exponent of 1, but negative cells count as eps
    with poolkit.swap.functional(model, {"re:block": ("gem", {"p": 2.0})}):
        model(x)


def test_the_same_methods_by_the_kernels_of_poolkit() -> None:
    model, x = nets.Functional(), torch.rand(2, 3, 17, 17)
    with poolkit.swap.functional(model, {"max": "max", "avg": "avg", "mean": "avg"}):
        y = model(x)
    torch.testing.assert_close(y, model(x))


def test_modules_are_not_functions() -> None:
    model = nets.lenet()
    y = model(IMAGE)
    with pytest.raises(ArgumentError, match="the model calls no pooling function"):  # noqa: SIM117
        with poolkit.swap.functional(model, {"max": "avg"}):
            assert torch.equal(model(IMAGE), y)


def test_bad_functional_swaps() -> None:
    model, x = nets.Functional(), torch.rand(2, 3, 16, 16)
    with pytest.raises(ArgumentError, match="'median' matches no pooling"):  # noqa: SIM117
        with poolkit.swap.functional(model, {"median": "avg"}):
            model(x)
    for methods, message in (
        ({"max": "sofft"}, "did you mean 'soft'"),
        ({"max": "gated"}, "a call of a function can be replaced by one of max, min"),
        ({"max": lambda old: old}, "can be replaced by one of"),
    ):
        with pytest.raises(ArgumentError, match=message):
            poolkit.swap.functional(model, methods)
    with pytest.raises(TypeError, match="a selector must be"):
        poolkit.swap.functional(model, {torch_nn.MaxPool2d: "avg"})  # type: ignore[dict-item]
    for methods, message in (
        ({"max": ("avg_max", {"mode": "cat"})}, "would change the number of channels"),
        ({"max": ("soft", {"q": 1})}, "'q' is no parameter of soft"),
    ):
        with pytest.raises(ArgumentError, match=message), poolkit.swap.functional(model, methods):
            model(x)
    assert not any(module._forward_hooks for module in model.modules())


def test_draws_follow_the_mode_of_the_module_that_calls() -> None:
    model, x = nets.Functional(), torch.rand(2, 3, 16, 16)
    with poolkit.swap.functional(model, {"max": "stochastic"}):
        assert not torch.equal(model(x), model(x))
        model.eval()
        assert torch.equal(model(x), model(x))


# ------------------------------------------------------------------------------------------------- drift


def test_drift_of_the_same_model_is_none() -> None:
    model = nets.lenet()
    told = poolkit.drift(model, copy.deepcopy(model), IMAGE)
    assert [layer.name for layer in told.layers] == [str(i) for i in range(8)]
    for layer in (*told.layers, told.output):
        assert layer.relative_error == 0
        assert math.isclose(layer.cosine, 1)
    assert told.output.top1 == 1
    assert told.layers[0].top1 is None


def test_drift_as_its_definition_says() -> None:
    model = torch_nn.Sequential(torch_nn.AvgPool1d(2), torch_nn.Flatten())
    other = copy.deepcopy(model)
    poolkit.swap(other, {"avg": "max"})
    x = torch.tensor([[[0.0, 4.0, 3.0, 3.0]], [[1.0, 3.0, 8.0, 0.0]]])
    told = poolkit.drift(model, other, x)
    before, after = torch.tensor([[2.0, 3.0], [2.0, 4.0]]), torch.tensor([[4.0, 3.0], [3.0, 8.0]])
    assert told.output.name == "output"
    assert told.output.relative_error == pytest.approx(((after - before).norm() / before.norm()).item())
    assert told.output.cosine == pytest.approx(F.cosine_similarity(before, after).mean().item())
    assert told.output.top1 == 0.5
    assert json.loads(told.to_json())["layers"][0]["name"] == "0"
    assert str(told).splitlines()[-1].startswith("output")
    assert str(told).splitlines()[-1].endswith("50.0%")


def test_drift_compares_what_both_have() -> None:
    model = nets.lenet().train()
    other = copy.deepcopy(model)
    poolkit.swap(other, {"2": lambda old: torch_nn.Sequential(nn.MaxPool2d(2), torch_nn.Identity())})
    told = poolkit.drift(model, other, (IMAGE,))
    assert [layer.name for layer in told.layers] == [str(i) for i in range(8)]
    assert told.output.relative_error == 0
    assert model.training
    assert not any(module._forward_hooks for module in (*model.modules(), *other.modules()))


def test_drift_refuses_what_cannot_be_compared() -> None:
    model = nets.lenet()
    with pytest.raises(ArgumentError, match="swapped must be another model"):
        poolkit.drift(model, model, IMAGE)
    with pytest.raises(TypeError, match=r"swapped must be a torch\.nn\.Module"):
        poolkit.drift(model, 3, IMAGE)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="has the shape"):
        poolkit.drift(torch_nn.Sequential(torch_nn.MaxPool2d(2)), torch_nn.Sequential(torch_nn.MaxPool2d(3)), IMAGE)
