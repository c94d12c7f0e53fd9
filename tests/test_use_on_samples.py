"""torch's own tests of pooling inside `poolkit.use()`: operator samples, bad arguments, modules."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
import torch
from test_parity import ENTRIES, ERRORS, arrangement, gradient_of_torch, outputs
from torch.testing._internal.common_modules import module_db

import poolkit

#: What poolkit has no kernel for.
LEFT = re.compile("fractional|max_pool._with_indices_backward")
DTYPES = (torch.float32, torch.bfloat16)
#: Torch has far more samples of these than of others.
MANY = re.compile("functional.max_pool")


@pytest.mark.parametrize("op", ENTRIES, ids=lambda op: op.name.removeprefix("nn.functional.") + op.variant_test_name)
def test_samples_of_torch(op: Any) -> None:
    torch.set_num_threads(1)  # the samples are tiny
    exact = "max" in op.name
    with poolkit.use(least=0) as routed:
        pass
    for dtype in DTYPES[: 1 if MANY.search(op.name) else 2]:
        if dtype not in op.dtypes:
            continue
        samples = list(op.sample_inputs("cpu", dtype))
        for sample in samples[:: 1 + len(samples) // 20 * 2]:
            # The gradient of max_unpool is left to torch.
            leaf = sample.input.detach().clone().requires_grad_(dtype.is_floating_point and "unpool" not in op.name)
            torch.manual_seed(3)
            expected = outputs(op(leaf, *sample.args, **sample.kwargs))
            torch.manual_seed(3)
            served = sum(routed.served.values())
            with routed:
                actual = outputs(op(leaf, *sample.args, **sample.kwargs))
            assert len(actual) == len(expected)
            for one, other in zip(actual, expected, strict=True):
                rounding = {"rtol": 0.0, "atol": 0.0} if exact else {"rtol": None, "atol": None}
                torch.testing.assert_close(one, other, **rounding, equal_nan=True)
                if leaf.is_contiguous():
                    assert arrangement(one) == arrangement(other)
            assert actual[0].requires_grad == expected[0].requires_grad
            if actual[0].requires_grad and sum(routed.served.values()) > served:
                upstream = torch.randn(expected[0].shape).to(dtype)
                (gradient,) = torch.autograd.grad(actual[0], leaf, upstream)
                torch.testing.assert_close(gradient, gradient_of_torch(op, sample, upstream))
    assert bool(routed.served) == (not LEFT.search(op.name))


@pytest.mark.parametrize(("op", "error"), [(e.values[0], e.values[1]) for e in ERRORS])
def test_errors_of_torch(op: Any, error: Any) -> None:
    sample = error.sample_input
    said = []
    for context in (contextlib.nullcontext(), poolkit.use(least=0)):
        with context, pytest.raises(error.error_type, match=error.error_regex) as refusal:
            op(sample.input, *sample.args, **sample.kwargs)
        said.append((refusal.type, str(refusal.value)))
    assert said[0] == said[1]


MODULES = [info for info in module_db if "Pool" in info.name]


@pytest.mark.parametrize("info", MODULES, ids=lambda info: info.name.removeprefix("nn."))
def test_modules_of_torch(info: Any) -> None:
    torch.set_num_threads(1)
    count = 0
    for given_ in info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=False, training=True):
        arguments, call = given_.constructor_input, given_.forward_input
        module = info.module_cls(*arguments.args, **arguments.kwargs)
        torch.manual_seed(5)
        expected = outputs(module(*call.args, **call.kwargs))
        torch.manual_seed(5)
        with poolkit.use(least=0):
            actual = outputs(module(*call.args, **call.kwargs))
        torch.testing.assert_close(actual, expected, equal_nan=True)
        count += 1
    assert count > 0


def test_there_are_as_many_modules_as_torch_has() -> None:
    others = {info.name.removeprefix("nn.") for info in MODULES} ^ set(torch.nn.modules.pooling.__all__)
    assert others == {f"MaxUnpool{rank}d" for rank in (1, 2, 3)}  # torch has no samples of these
