"""Every layer of the table that is no reduction of windows: what all of them must do."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from problems import FLOATS, ROUNDING, assert_near, assert_second_derivative, distinct, in_layout

from poolkit import functional, nn
from poolkit.errors import ArgumentError
from poolkit.methods import LAYERS, METHODS, Layer, Sample

pytestmark = pytest.mark.usefixtures("poisoned_memory")  # a cell that is not written shows

SAMPLES = [(layer, sample) for layer in LAYERS.values() for sample in layer.samples]
BOTH_GRADIENTS = 50  # numbers at most for finite differences one by one

every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())


def of_samples(rows: list[tuple[Layer, Sample]]) -> pytest.MarkDecorator:
    ids = [f"{sample.module}-{number}" for number, (_, sample) in enumerate(rows)]
    return pytest.mark.parametrize(("layer", "sample"), rows, ids=ids)


def floating(rows: list[tuple[Layer, Sample]]) -> list[tuple[Layer, Sample]]:
    return [row for row in rows if row[0].floats]


every_sample = of_samples(SAMPLES)
every_floating_sample = of_samples(floating(SAMPLES))
OF_LABELS = {module for layer in LAYERS.values() if not layer.floats for module in layer.modules}


def build(sample: Sample, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    """The module, with weights that leave no part of it without effect."""
    torch.manual_seed(1)
    module: torch.nn.Module = getattr(nn, sample.module)(**sample.arguments)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand_like(buffer) + 0.5 if "var" in name else torch.randn_like(buffer))
    return module.to(dtype).eval()


def inputs_of(sample: Sample, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Of the dtype, or labels where a layer takes nothing else."""
    if sample.module in OF_LABELS:
        return [(3 * distinct(shape, seed)).to(torch.int64) for seed, shape in enumerate(sample.inputs)]
    return [distinct(shape, seed).to(dtype) for seed, shape in enumerate(sample.inputs)]


def with_gradients(module: Callable[..., Any], inputs: list[torch.Tensor], given: Any) -> list[torch.Tensor]:
    """The output, and what a gradient without symmetry gives the inputs; labels get none."""
    leaves = [x.detach().requires_grad_(x.is_floating_point()) for x in inputs]
    y = module(*leaves, **given)
    if not y.requires_grad:
        return [y]
    y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape))
    return [y.detach(), *(x.grad for x in leaves)]


def given_to(sample: Sample, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    tensors = {name: torch.tensor(value) for name, value in sample.given.items()}
    return {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}


def normalises(module: torch.nn.Module) -> bool:
    return any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in module.modules())


# ----------------------------------------------------------------------------------- the table itself


def test_names_are_public_and_apart() -> None:
    assert not set(LAYERS) & set(METHODS)
    for layer in LAYERS.values():
        assert set(layer.functions) <= set(functional.__all__)
        assert set(layer.modules) <= set(nn.__all__)
        assert layer.samples
        assert {sample.module for sample in layer.samples} == set(layer.modules)
        assert all(see in LAYERS or see in METHODS for see in layer.see)
        for front, names in ((functional, layer.functions), (nn, layer.modules)):
            for name in names:
                assert len(getattr(front, name).__doc__) > 100
                assert getattr(front, name).__module__ == f"poolkit.layers.{layer.file}"


@every_layer
def test_bad_arguments_are_refused(layer: Layer) -> None:
    assert layer.invalid
    for module, arguments, word in layer.invalid:
        with pytest.raises((ArgumentError, TypeError), match=word):
            getattr(nn, module)(**arguments)


@every_sample
def test_bad_inputs_are_refused(layer: Layer, sample: Sample) -> None:
    module, given = build(sample), given_to(sample)
    for x in inputs_of(sample):
        for wrong in (x.new_zeros(1, 2, 1, 1, 1, 1, 1), x[:0].flatten(), x.unsqueeze(0).unsqueeze(0).unsqueeze(0)):
            if wrong.dim() != 7 or layer.file != "channel":  # which takes any number of dimensions
                with pytest.raises((ArgumentError, TypeError), match="must"):
                    module(wrong[..., :0], **given)
        refused = (torch.bool if layer.integers else torch.int64) if layer.floats else torch.float64
        with pytest.raises(NotImplementedError, match=str(refused)):
            module(x.to(refused), **given)
        with pytest.raises(TypeError, match="list"):
            module(x.tolist(), **given)


# --------------------------------------------------------------------------------- value and gradient


@pytest.mark.feature("float types")
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@every_floating_sample
def test_shape_dtype_and_precision(layer: Layer, sample: Sample, dtype: torch.dtype) -> None:
    """As near to the same layer in float64 as one rounding allows, or a few where weights are in between."""
    module = build(sample, dtype)
    inputs, given = inputs_of(sample, dtype), given_to(sample, dtype)
    before = [x.clone() for x in inputs]
    y = module(*inputs, **given)
    assert y.dtype == dtype
    assert tuple(y.shape) == sample.output
    exact = copy.deepcopy(module).double()(*(x.double() for x in inputs), **given)
    roundings = 4 if any(True for _ in module.parameters()) else 1
    assert_near(y, exact.detach().numpy(), roundings * ROUNDING[dtype])
    for x, old in zip(inputs, before, strict=True):
        assert torch.equal(x, old)


def called(module: torch.nn.Module, sample: Sample) -> tuple[Callable[..., Any], list[torch.Tensor]]:
    """The layer as a function of its inputs, of the floating tensors given to it, and of its parameters."""
    inputs, given = inputs_of(sample), given_to(sample)
    floating = [name for name, value in given.items() if value.is_floating_point()]
    parameters = dict(module.named_parameters())

    def function(*tensors: torch.Tensor) -> Any:
        xs, rest = tensors[: len(inputs)], tensors[len(inputs) :]
        further = {**given, **dict(zip(floating, rest, strict=False))}
        weights = dict(zip(parameters, rest[len(floating) :], strict=True))
        return torch.func.functional_call(module, weights, xs, further)

    tensors = [*inputs, *(given[name] for name in floating), *parameters.values()]
    return function, [tensor.detach().clone().requires_grad_() for tensor in tensors]


@pytest.mark.feature("backward")
@every_floating_sample
def test_finite_differences(layer: Layer, sample: Sample) -> None:
    module = build(sample)
    for training in {False, normalises(module)}:
        function, tensors = called(module.train(training), sample)
        assert torch.autograd.gradcheck(function, tensors, fast_mode=sum(t.numel() for t in tensors) > BOTH_GRADIENTS)


@pytest.mark.feature("double backward")
@every_floating_sample
def test_second_derivative(layer: Layer, sample: Sample) -> None:
    module = build(sample)
    for training in {False, normalises(module)}:
        function, tensors = called(module.train(training), sample)
        assert_second_derivative(function, tensors)


# -------------------------------------------------------------------------------- batches and layouts


@pytest.mark.parametrize(("layer", "sample"), [row for row in SAMPLES if row[0].unbatched])
def test_unbatched(layer: Layer, sample: Sample) -> None:
    module, inputs, given = build(sample), inputs_of(sample), given_to(sample)
    y = module(*inputs, **given)
    for number in range(len(y)):
        single = module(*(x[number] for x in inputs), **{name: value[number] for name, value in given.items()})
        torch.testing.assert_close(single, y[number], rtol=1e-12, atol=1e-12)


@every_sample
def test_empty_batch(layer: Layer, sample: Sample) -> None:
    module, given = build(sample), given_to(sample)
    inputs = [x[:0] for x in inputs_of(sample)]
    y, *gradients = with_gradients(module, inputs, {name: value[:0] for name, value in given.items()})
    assert tuple(y.shape) == (0, *sample.output[1:])
    assert len(gradients) == len(inputs) * layer.floats
    assert all(grad.shape == x.shape for grad, x in zip(gradients, inputs, strict=bool(layer.floats)))


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "strided", "expanded"])
@every_sample
def test_any_arrangement_of_memory(layer: Layer, sample: Sample, layout: str) -> None:
    module, given = build(sample), given_to(sample)
    views = [in_layout(x, layout) for x in inputs_of(sample)]
    results = [with_gradients(module, inputs, given) for inputs in (views, [x.contiguous() for x in views])]
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


KEEPS_CHANNELS_LAST = ("SqueezeExcitation", "CBAM", "SPPF", "BlurPool", "MaxBlurPool", "FractionalMaxPool")


@pytest.mark.parametrize("name", [f"{name}{rank}d" for name in KEEPS_CHANNELS_LAST for rank in (2, 3)])
def test_channels_last_stays(name: str) -> None:
    sample = next(sample for _, sample in SAMPLES if sample.module == name)
    memory_format = {4: torch.channels_last, 5: torch.channels_last_3d}[len(sample.output)]
    module = build(sample, torch.float32).to(memory_format=memory_format)
    y = module(*(x.contiguous(memory_format=memory_format) for x in inputs_of(sample, torch.float32)))
    assert y.is_contiguous(memory_format=memory_format)


# ----------------------------------------------------------------------------------------- as a module


@every_sample
def test_training_and_evaluation(layer: Layer, sample: Sample) -> None:
    """Only batch normalisation and draws tell them apart; of those, evaluation leaves no trace of the second."""
    module, inputs, given = build(sample), inputs_of(sample), given_to(sample)
    evaluated = module(*inputs, **given)
    trained = module.train()(*inputs, **given)
    assert torch.equal(evaluated, module.eval()(*inputs, **given)) != normalises(module)
    assert torch.equal(evaluated, trained) != (normalises(module) or layer.draws)


@every_sample
def test_state_copies_and_repr(layer: Layer, sample: Sample) -> None:
    module, inputs, given = build(sample), inputs_of(sample), given_to(sample)
    expected = module(*inputs, **given)
    fresh = getattr(nn, sample.module)(**sample.arguments).double().eval()
    stored = io.BytesIO()
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    fresh.load_state_dict(torch.load(stored))
    for other in (fresh, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(*inputs, **given), expected)
    assert repr(module).startswith(f"{sample.module}(")
    for value in sample.arguments.values():
        assert str(value) in repr(module)


@every_sample
def test_meta_tensors_have_the_shape(layer: Layer, sample: Sample) -> None:
    module = build(sample).to("meta")
    given = {name: value.to("meta") for name, value in given_to(sample).items()}
    y = module(*(x.to("meta") for x in inputs_of(sample)), **given)
    assert y.is_meta
    assert tuple(y.shape) == sample.output


FIRST_AND_LAST = [(layer, sample) for layer in LAYERS.values() for sample in (layer.samples[0], layer.samples[-1])]
one_sample = of_samples([(layer, layer.samples[len(layer.samples) // 2]) for layer in LAYERS.values()])
some_floating_samples = of_samples(floating(FIRST_AND_LAST))


@pytest.mark.feature("compile")
@one_sample
def test_compiles_whole(layer: Layer, sample: Sample) -> None:
    """One graph without a break, forward and backward, with the numbers of the eager call."""
    module, given = build(sample), given_to(sample)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager", dynamic=True)
    results = [with_gradients(function, inputs_of(sample), given) for function in (compiled, module)]
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)
    torch.compiler.reset()


@pytest.mark.feature("forward mode")
@pytest.mark.feature("vmap")
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch's own, for forward AD
@some_floating_samples
def test_function_transforms(layer: Layer, sample: Sample) -> None:
    """Forward mode says what backward says; vmap maps."""
    module, inputs, given = build(sample), inputs_of(sample), given_to(sample)
    [x] = inputs
    tangent = distinct(tuple(x.shape), 7)
    y, forward = torch.func.jvp(lambda x: module(x, **given), (x,), (tangent,))
    leaf = x.clone().requires_grad_()
    gradient = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    (back,) = torch.autograd.grad(module(leaf, **given), leaf, gradient)
    torch.testing.assert_close((forward * gradient).sum(), (back * tangent).sum())
    mapped = torch.func.vmap(lambda x: module(x, **given))(torch.stack([x, -x]))
    torch.testing.assert_close(mapped, torch.stack([module(x, **given), module(-x, **given)]))


@pytest.mark.feature("autocast")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@some_floating_samples
def test_autocast(layer: Layer, sample: Sample, dtype: torch.dtype) -> None:
    module, inputs, given = (
        build(sample, torch.float32),
        inputs_of(sample, torch.float32),
        given_to(sample, torch.float32),
    )
    leaves = [x.requires_grad_() for x in inputs]
    with torch.autocast("cpu", dtype=dtype):
        y = module(*leaves, **given)
        y.float().square().sum().backward()
    assert y.dtype in (torch.float32, dtype)
    assert_near(y, module(*inputs, **given).detach().double().numpy(), 4 * ROUNDING[dtype])
    assert all(x.grad is not None and x.grad.isfinite().all() for x in leaves)


#: Layers whose first dimension is no batch, or one that must fit further arguments.
OF_FIXED_BATCH = ("segment", "roi_align", "roi_pool", "ps_roi_pool", "ps_roi_align", "prroi_pool")


@pytest.mark.feature("export")
@one_sample
def test_exports(layer: Layer, sample: Sample) -> None:
    """For a batch of any size, where there is one."""
    module, inputs, given = build(sample), inputs_of(sample), given_to(sample)
    batch = None if layer.name in OF_FIXED_BATCH else {0: torch.export.Dim.DYNAMIC}
    names = list(inspect.signature(module.forward).parameters)
    shapes = dict.fromkeys([*names[: len(inputs)], *given], batch)
    program = torch.export.export(module, tuple(inputs), given, dynamic_shapes=shapes)
    copies = 1 if batch is None else 3
    more = [torch.cat([x] * copies) for x in inputs]
    more_given = {name: torch.cat([value] * copies) for name, value in given.items()}
    torch.testing.assert_close(program.module()(*more, **more_given), module(*more, **more_given))
