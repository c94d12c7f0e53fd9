"""Second-order pooling against loops and eigenvalues."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from problems import FLOATS, ROUNDING, assert_near, values

from poolkit import functional, nn
from poolkit.errors import ArgumentError

Array = NDArray[np.float64]
SIZES = {1: (7,), 2: (4, 5), 3: (2, 3, 4)}
FORMS = ("upper", "isometric", "matrix")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.tensor(values("normal", shape, seed))


def call(name: str, rank: int, *arguments: Any, **settings: Any) -> torch.Tensor:
    result: torch.Tensor = getattr(functional, f"{name}_pool{rank}d")(*arguments, **settings)
    return result


# -------------------------------------------------------------------------------------------------------- bilinear


def products(x: Array, y: Array, signed_sqrt: bool, normalize: bool, eps: float) -> list[float]:
    """One sample, product by product."""
    count = x[0].size
    result = []
    for first in x.reshape(len(x), -1):
        for second in y.reshape(len(y), -1):
            mean = sum(a * b for a, b in zip(first, second, strict=True)) / count
            result.append(mean / math.sqrt(abs(mean) + eps) if signed_sqrt else mean)
    length = math.sqrt(sum(each**2 for each in result)) if normalize else 1.0
    return [each / length if length else 0.0 for each in result]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("signed_sqrt", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("rank", SIZES)
def test_bilinear(rank: int, two: bool, normalize: bool, signed_sqrt: bool, dtype: torch.dtype) -> None:
    x, y = numbers(2, 3, *SIZES[rank]).to(dtype), numbers(2, 2, *SIZES[rank], seed=1).to(dtype)
    settings = {"signed_sqrt": signed_sqrt, "normalize": normalize, "eps": 1e-3}
    second = y if two else x
    expected = [products(a, b, **settings) for a, b in zip(x.double().numpy(), second.double().numpy(), strict=True)]
    result = call("bilinear", rank, x, *([y] if two else []), **settings)
    assert result.dtype == dtype
    assert_near(result, np.array(expected), 2 * ROUNDING[dtype])
    single = call("bilinear", rank, x[0], *([y[0]] if two else []), **settings)
    torch.testing.assert_close(single, result[0])


def test_bilinear_differentiates_twice_by_both_maps() -> None:
    x, y = numbers(2, 3, 4).requires_grad_(), numbers(2, 2, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(functional.bilinear_pool1d, (x, y))
    assert torch.autograd.gradgradcheck(functional.bilinear_pool1d, (x, y), fast_mode=True)


def test_bilinear_gradient_of_the_plain_product() -> None:
    """(G + G^T) X / n."""
    x, gradient = numbers(1, 3, 5).requires_grad_(), numbers(1, 9)
    functional.bilinear_pool1d(x, signed_sqrt=False, normalize=False).backward(gradient)
    square = gradient.reshape(3, 3)
    torch.testing.assert_close(x.grad, ((square + square.T) @ x.detach()[0] / 5)[None])


def test_the_signed_root_is_continuous_and_zeros_are_harmless() -> None:
    near = torch.tensor([[[1e-12]]], dtype=torch.float64)
    for sign in (1, -1):
        y = functional.bilinear_pool1d(near, sign * near, normalize=False)
        assert abs(y.item()) < 1e-19
    x = torch.zeros(2, 3, 4, requires_grad=True)
    y = functional.bilinear_pool1d(x)
    assert (y == 0).all()
    (grad,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert (grad == 0).all()
    large = functional.bilinear_pool1d(torch.full((1, 1, 1), -3.0), torch.full((1, 1, 1), 3.0), normalize=False)
    torch.testing.assert_close(large, torch.tensor([[-3.0]]))


# ------------------------------------------------------------------------------------------------------ covariance


def covariance(x: Array, unbiased: bool) -> Array:
    rows = x.reshape(len(x), -1)
    count = rows.shape[1]
    means = [sum(row) / count for row in rows]
    result = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            total = sum((a - means[i]) * (b - means[j]) for a, b in zip(rows[i], rows[j], strict=True))
            result[i, j] = total / max(count - unbiased, 1)
    return result


def formed(matrix: Array, form: str) -> Array:
    if form == "matrix":
        return matrix
    scale = math.sqrt(2) if form == "isometric" else 1.0
    count = len(matrix)
    return np.array([matrix[i, j] * (1.0 if i == j else scale) for i in range(count) for j in range(i, count)])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("rank", SIZES)
def test_covariance(rank: int, unbiased: bool, form: str, dtype: torch.dtype) -> None:
    x = numbers(2, 3, *SIZES[rank]).to(dtype)
    expected = np.stack([formed(covariance(each, unbiased), form) for each in x.double().numpy()])
    result = call("covariance", rank, x, unbiased, form)
    assert result.dtype == dtype
    assert_near(result, expected, 2 * ROUNDING[dtype])
    torch.testing.assert_close(call("covariance", rank, x[0], unbiased, form), result[0])


def test_covariance_is_that_of_torch() -> None:
    x = numbers(3, 20)
    torch.testing.assert_close(functional.covariance_pool1d(x, True, "matrix"), torch.cov(x))
    torch.testing.assert_close(functional.covariance_pool1d(x, False, "matrix"), torch.cov(x, correction=0))


def test_covariance_gradient() -> None:
    """(G + G^T) (X - mean) / n."""
    x, gradient = numbers(1, 3, 5).requires_grad_(), numbers(1, 3, 3)
    functional.covariance_pool1d(x, form="matrix").backward(gradient)
    centred = x.detach() - x.detach().mean(2, keepdim=True)
    torch.testing.assert_close(x.grad, (gradient + gradient.mT) @ centred / 5)


def test_large_means_cost_no_digits() -> None:
    x = 10_000 + numbers(2, 3, 400)
    exact = functional.covariance_pool1d(x.float().double())
    torch.testing.assert_close(functional.covariance_pool1d(x.float()).double(), exact, rtol=1e-5, atol=1e-5)


def test_isometric_vectors_have_the_length_of_the_matrix() -> None:
    x = numbers(2, 4, 9)
    matrix = functional.covariance_pool1d(x, form="matrix")
    vector = functional.covariance_pool1d(x, form="isometric")
    torch.testing.assert_close(vector.norm(dim=1), matrix.flatten(1).norm(dim=1))


@pytest.mark.parametrize("name", ["covariance", "isqrt_covariance"])
@pytest.mark.parametrize("unbiased", [False, True])
def test_single_cells_and_constant_maps(name: str, unbiased: bool) -> None:
    for x in (torch.full((1, 2, 1), 3.0), torch.full((1, 2, 8), 3.0)):
        x.requires_grad_()
        y = call(name, 1, x, unbiased=unbiased)
        assert (y == 0).all()
        (grad,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert (grad == 0).all()


# ------------------------------------------------------------------------------------------------------ iSQRT-COV


def newton_schulz(matrix: Array, iterations: int) -> Array:
    trace = float(np.trace(matrix))
    identity = np.eye(len(matrix))
    y, z = matrix / trace, identity
    for _ in range(iterations):
        step = (3 * identity - z @ y) / 2
        y, z = y @ step, step @ z
    return y * math.sqrt(trace)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("iterations", [1, 2, 5])
@pytest.mark.parametrize(("rank", "form"), [(1, "upper"), (2, "matrix"), (3, "isometric")])
def test_isqrt_covariance(rank: int, form: str, iterations: int, dtype: torch.dtype) -> None:
    x = numbers(2, 3, *SIZES[rank]).to(dtype)
    expected = [formed(newton_schulz(covariance(each, True), iterations), form) for each in x.double().numpy()]
    result = call("isqrt_covariance", rank, x, iterations, True, form)
    assert result.dtype == dtype
    assert_near(result, np.stack(expected), 4 * ROUNDING[dtype])
    torch.testing.assert_close(call("isqrt_covariance", rank, x[0], iterations, True, form), result[0])


def test_many_iterations_give_the_square_root() -> None:
    x = numbers(2, 6, 40)
    matrix = functional.covariance_pool1d(x, form="matrix")
    eigenvalues, vectors = torch.linalg.eigh(matrix)
    root = vectors * eigenvalues.sqrt()[:, None] @ vectors.mT
    torch.testing.assert_close(functional.isqrt_covariance_pool1d(x, 20, form="matrix"), root)
    errors = []
    for iterations in (3, 5):
        squared = functional.isqrt_covariance_pool1d(x, iterations, form="matrix")
        errors.append(((squared @ squared - matrix).norm() / matrix.norm()).item())
    assert errors[1] < 0.03 < errors[0]


def test_fewer_cells_than_channels() -> None:
    x = numbers(1, 6, 3).requires_grad_()
    y = functional.isqrt_covariance_pool1d(x, 30, form="matrix")
    torch.testing.assert_close(y @ y, functional.covariance_pool1d(x, form="matrix"))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_root_grows_as_the_map_does() -> None:
    x = numbers(1, 3, 9)
    torch.testing.assert_close(functional.isqrt_covariance_pool1d(1e4 * x), 1e4 * functional.isqrt_covariance_pool1d(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["BilinearPool2d", "CovariancePool2d", "ISQRTCovariancePool2d"])
def test_half_precision_and_autocast_compute_in_float32(name: str, dtype: torch.dtype) -> None:
    module, x = getattr(nn, name)(), numbers(2, 16, 5, 5).float()
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(module(x), module.double()(x))
    assert torch.equal(module(x.to(dtype)), module(x.to(dtype).float()).to(dtype))
    if name != "CovariancePool2d":  # whose squares float16 cannot hold
        assert module(1e4 * x.to(dtype)).isfinite().all()


def test_nan_stays_in_its_sample() -> None:
    x = numbers(2, 3, 5)
    x[0, 0, 0] = math.nan
    for name in ("bilinear", "covariance", "isqrt_covariance"):
        y = call(name, 1, x)
        assert y[0].isnan().any()
        torch.testing.assert_close(y[1:], call(name, 1, x[1:]))


def test_refusals() -> None:
    x = torch.zeros(2, 3, 4, 5)
    for other in (x.double(), x[..., :3], x[:1], x[0]):
        with pytest.raises(ArgumentError, match="other must have the dtype and shape of input but for the channels"):
            functional.bilinear_pool2d(x, other)
    with pytest.raises(TypeError, match=r"input must be a torch\.Tensor"):
        functional.bilinear_pool2d(x, x.tolist())
    with pytest.raises(ArgumentError, match=r"input must be \(N, C, H, W\) or \(C, H, W\)"):
        functional.covariance_pool2d(x[0, 0])
    with pytest.raises(ArgumentError, match="form must be one of 'upper', 'isometric', 'matrix', but got 'lower'"):
        functional.covariance_pool2d(x, form="lower")
    with pytest.raises(ArgumentError, match="iterations must be greater than zero, but got 0"):
        functional.isqrt_covariance_pool2d(x, 0)
