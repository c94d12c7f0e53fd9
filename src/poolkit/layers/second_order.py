"""Second-order pooling: products of channels, averaged over the cells of a map."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from poolkit import functional, geometry
from poolkit.errors import ArgumentError
from poolkit.layers import pieces
from poolkit.layers.base import Layer, check_eps, check_flag, check_map, unit, unrounded, wide

FORMS = ("upper", "isometric", "matrix")


def _check_bilinear(signed_sqrt: bool, normalize: bool, eps: float) -> None:
    check_flag("signed_sqrt", signed_sqrt)
    check_flag("normalize", normalize)
    check_eps(eps)


def _check_covariance(unbiased: bool, form: str) -> None:
    check_flag("unbiased", unbiased)
    if not isinstance(form, str) or form not in FORMS:
        raise ArgumentError(f"form must be one of {', '.join(map(repr, FORMS))}, but got {form!r}")


def _cells(x: Tensor, rank: int) -> Tensor:
    """A map as (N, C, cells)."""
    return (x if x.dim() == rank + 2 else x[None]).flatten(2)


#: Channels whose products are found at once: few, for most pairs to be multiplied once, and many for matrix products.
_ROWS = 128


def _own_products(x: Tensor) -> Tensor:
    """The products of (N, C, cells) with themselves, a block of rows from its diagonal on, and that block mirrored."""
    channels = x.shape[1]
    if channels <= _ROWS:
        return torch.matmul(x, x.mT)
    y = x.new_empty(x.shape[0], channels, channels)
    for first in range(0, channels, _ROWS):
        rows, behind = slice(first, first + _ROWS), slice(first + _ROWS, None)
        products = torch.matmul(x[:, rows], x[:, first:].mT)
        y[:, rows, first:] = products
        y[:, behind, rows] = products[:, :, _ROWS:].mT
    return y


class _OwnProducts(torch.autograd.Function):
    """Products of (N, C, cells) with themselves; both factors' gradient is one product of matrices."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _own_products(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        [x], [grad] = ctx.saved_tensors, grads
        with unrounded(x):
            return torch.matmul(grad + grad.mT, x)


def _products(x: Tensor, y: Tensor) -> Tensor:
    """Of (N, C, cells) and (N, D, cells) the products of channels, summed over the cells: (N, C, D)."""
    with unrounded(x):
        wanted = x.requires_grad and torch.is_grad_enabled()
        if x is y and (wanted or x.shape[1] > _ROWS) and pieces.is_plain(x):
            return cast(Tensor, _OwnProducts.apply(x)) if wanted else _own_products(x)
        return torch.matmul(x, y.mT)


def _weight(products: int, x: Tensor) -> int:
    """How many numbers are made of a cell of (N, C, cells) by so many matrices of products of channels."""
    return 1 + products * x.shape[1] // x.shape[2]


def _bilinear(rank: int, input: Tensor, other: Tensor | None, signed_sqrt: bool, normalize: bool, eps: float) -> Tensor:
    name = f"bilinear_pool{rank}d"
    _check_bilinear(signed_sqrt, normalize, eps)
    check_map(name, input, rank)
    maps = [_cells(input, rank)]
    if other is not None:
        check_map(name, other, rank)
        channels = input.dim() - rank - 1
        apart = [[*tensor.shape[:channels], *tensor.shape[channels + 1 :]] for tensor in (input, other)]
        if other.dtype != input.dtype or apart[0] != apart[1]:
            raise ArgumentError(
                f"{name}(): other must have the dtype and shape of input but for the channels, "
                f"{input.dtype} {list(input.shape)}, but got {other.dtype} {list(other.shape)}"
            )
        maps.append(_cells(other, rank))

    def formula(*maps: Tensor) -> Tensor:
        factors = [wide(map) for map in maps]
        products = (_products(factors[0], factors[-1]) / factors[0].shape[2]).flatten(1)
        if signed_sqrt:
            products = products / (products.abs() + eps).sqrt()
        if normalize:
            products = unit(products, 1)
        return products.to(input.dtype)

    products = pieces.run(formula, 1, maps, channels=False, weight=_weight(2, maps[-1]))
    return products if input.dim() == rank + 2 else products[0]


def _covariance(x: Tensor, unbiased: bool) -> Tensor:
    """The covariances of the channels of (N, C, cells), as (N, C, C), in the type to compute in."""
    x = wide(x)
    centred = x - functional.global_avg_pool1d(x)
    divisor = max(x.shape[2] - int(unbiased), 1)
    return _products(centred, centred) / divisor


def _formed(matrix: Tensor, form: str) -> Tensor:
    """What is given of symmetric matrices (N, C, C)."""
    if form != "matrix":
        channels = matrix.shape[1]
        row, column = torch.triu_indices(channels, channels, device=matrix.device)
        matrix = matrix.flatten(1).index_select(1, row * channels + column)
        if form == "isometric":
            matrix = torch.where(row == column, matrix, math.sqrt(2) * matrix)
    return matrix


def _of_covariances(
    rank: int, input: Tensor, unbiased: bool, form: str, function: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """The covariances of a map, or a function of them, in the type and with the batch of the input."""

    def formula(x: Tensor) -> Tensor:
        matrix = _covariance(x, unbiased)
        return _formed(matrix if function is None else function(matrix), form).to(x.dtype)

    cells = _cells(input, rank)
    result = pieces.run(formula, 1, [cells], channels=False, weight=_weight(4, cells))
    return result if input.dim() == rank + 2 else result[0]


def _covariance_pool(rank: int, input: Tensor, unbiased: bool, form: str) -> Tensor:
    _check_covariance(unbiased, form)
    check_map(f"covariance_pool{rank}d", input, rank)
    return _of_covariances(rank, input, unbiased, form)


def _square_root(matrix: Tensor, iterations: int) -> Tensor:
    """The square roots of positive semidefinite matrices (N, C, C), by Newton and Schulz's coupled iteration."""
    trace = matrix.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    nothing = trace == 0
    trace = torch.where(nothing, 1, trace)
    identity = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device).expand_as(matrix)
    with unrounded(matrix):
        scaled = matrix / trace  # whose eigenvalues, from 0 to 1, let the iteration converge
        step = 1.5 * identity - 0.5 * scaled
        root, inverse = torch.matmul(scaled, step), step
        for left in range(iterations - 2, -1, -1):
            step = torch.baddbmm(identity, inverse, root, beta=1.5, alpha=-0.5)
            root = torch.matmul(root, step)
            if left:
                inverse = torch.matmul(step, inverse)
    return torch.where(nothing, 0, root * trace.sqrt())


def _isqrt_covariance(rank: int, input: Tensor, iterations: int, unbiased: bool, form: str) -> Tensor:
    geometry.integer("iterations", iterations, positive=True)
    _check_covariance(unbiased, form)
    check_map(f"isqrt_covariance_pool{rank}d", input, rank)
    return _of_covariances(rank, input, unbiased, form, lambda matrix: _square_root(matrix, iterations))


_BILINEAR_DOC = """The products of any two channels, averaged over all cells.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    other: a second map (N, D, *spatial) or (D, *spatial) of the same dtype, whose channels are the second factors; the
        input itself by default.
    signed_sqrt: replace each mean b by b / sqrt(|b| + eps), the root that keeps the sign.
    normalize: make the result 1 long; a result of zeros stays one and has no gradient.
    eps: keeps the slope of the root finite at 0; > 0.

Returns:
    (N, C * D) or (C * D,) of the input's dtype, for each channel of the input all of the other; half precision is
    computed in float32, also under autocast.

dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for one
of a wrong type, NotImplementedError for another dtype.
"""

_COVARIANCE_DOC = """The covariances of any two channels over all cells.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    unbiased: divide by n - 1 instead of n, the number of cells; a single cell has the covariance 0 either way.
    form: {form}

Returns:
    {returns} The means are taken off first, so that large ones cost no precision.

{errors}
"""

_ISQRT_DOC = """The square root of the matrix of the channels' covariances: iSQRT-COV.

Args:
    input: (N, C, *spatial) or (C, *spatial).
    iterations: of Newton and Schulz; the more, the nearer to the square root.
    unbiased: divide by n - 1 instead of n, the number of cells.
    form: {form}

Returns:
    {returns} A constant map gives 0 and has no gradient.

{errors}
"""

_SHARED = {
    "form": """'upper' gives the upper triangle, row by row; 'isometric' the same with all but the diagonal times
        sqrt(2), so that lengths are those of the matrices; 'matrix' all of it.""",
    "returns": """(N, C * (C + 1) / 2), or (N, C, C) with form 'matrix', of the input's dtype; without N for an input
    without a batch. Half precision is computed in float32, also under autocast.""",
    "errors": """dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument,
TypeError for one of a wrong type, NotImplementedError for another dtype.""",
}


def bilinear_pool1d(
    input: Tensor, other: Tensor | None = None, signed_sqrt: bool = True, normalize: bool = True, eps: float = 1e-8
) -> Tensor:
    return _bilinear(1, input, other, signed_sqrt, normalize, eps)


def bilinear_pool2d(
    input: Tensor, other: Tensor | None = None, signed_sqrt: bool = True, normalize: bool = True, eps: float = 1e-8
) -> Tensor:
    return _bilinear(2, input, other, signed_sqrt, normalize, eps)


def bilinear_pool3d(
    input: Tensor, other: Tensor | None = None, signed_sqrt: bool = True, normalize: bool = True, eps: float = 1e-8
) -> Tensor:
    return _bilinear(3, input, other, signed_sqrt, normalize, eps)


def covariance_pool1d(input: Tensor, unbiased: bool = False, form: str = "upper") -> Tensor:
    return _covariance_pool(1, input, unbiased, form)


def covariance_pool2d(input: Tensor, unbiased: bool = False, form: str = "upper") -> Tensor:
    return _covariance_pool(2, input, unbiased, form)


def covariance_pool3d(input: Tensor, unbiased: bool = False, form: str = "upper") -> Tensor:
    return _covariance_pool(3, input, unbiased, form)


def isqrt_covariance_pool1d(input: Tensor, iterations: int = 5, unbiased: bool = False, form: str = "upper") -> Tensor:
    return _isqrt_covariance(1, input, iterations, unbiased, form)


def isqrt_covariance_pool2d(input: Tensor, iterations: int = 5, unbiased: bool = False, form: str = "upper") -> Tensor:
    return _isqrt_covariance(2, input, iterations, unbiased, form)


def isqrt_covariance_pool3d(input: Tensor, iterations: int = 5, unbiased: bool = False, form: str = "upper") -> Tensor:
    return _isqrt_covariance(3, input, iterations, unbiased, form)


for _function in (bilinear_pool1d, bilinear_pool2d, bilinear_pool3d):
    _function.__doc__ = _BILINEAR_DOC
for _other in (covariance_pool1d, covariance_pool2d, covariance_pool3d):
    _other.__doc__ = _COVARIANCE_DOC.format(**_SHARED)
for _root in (isqrt_covariance_pool1d, isqrt_covariance_pool2d, isqrt_covariance_pool3d):
    _root.__doc__ = _ISQRT_DOC.format(**_SHARED)


class _BilinearPool(Layer):
    """Products of channels, :func:`poolkit.functional.bilinear_pool2d` as a layer.

    Args:
        signed_sqrt: replace each mean b by b / sqrt(|b| + eps), the root that keeps the sign.
        normalize: make the result 1 long.
        eps: keeps the slope of the root finite at 0; > 0.

    forward takes (N, C, *spatial) or (C, *spatial), and a second map with D channels or none, and gives (N, C * D) or
    (C * D,).
    """

    _shown = ("signed_sqrt", "normalize", "eps")
    _rank: int

    def __init__(self, signed_sqrt: bool = True, normalize: bool = True, eps: float = 1e-8) -> None:
        super().__init__()
        _check_bilinear(signed_sqrt, normalize, eps)
        self.signed_sqrt, self.normalize, self.eps = signed_sqrt, normalize, eps

    def forward(self, input: Tensor, other: Tensor | None = None) -> Tensor:
        return _bilinear(self._rank, input, other, self.signed_sqrt, self.normalize, self.eps)


class BilinearPool1d(_BilinearPool):
    __doc__ = _BilinearPool.__doc__
    _rank = 1


class BilinearPool2d(_BilinearPool):
    __doc__ = _BilinearPool.__doc__
    _rank = 2


class BilinearPool3d(_BilinearPool):
    __doc__ = _BilinearPool.__doc__
    _rank = 3


class _CovariancePool(Layer):
    """Covariances of channels, :func:`poolkit.functional.covariance_pool2d` as a layer.

    Args:
        unbiased: divide by n - 1 instead of n, the number of cells.
        form: 'upper', 'isometric' or 'matrix'.

    forward takes (N, C, *spatial) or (C, *spatial) and gives (N, C * (C + 1) / 2), or (N, C, C) with form 'matrix'.
    """

    _shown = ("unbiased", "form")
    _rank: int

    def __init__(self, unbiased: bool = False, form: str = "upper") -> None:
        super().__init__()
        _check_covariance(unbiased, form)
        self.unbiased, self.form = unbiased, form

    def forward(self, input: Tensor) -> Tensor:
        return _covariance_pool(self._rank, input, self.unbiased, self.form)


class CovariancePool1d(_CovariancePool):
    __doc__ = _CovariancePool.__doc__
    _rank = 1


class CovariancePool2d(_CovariancePool):
    __doc__ = _CovariancePool.__doc__
    _rank = 2


class CovariancePool3d(_CovariancePool):
    __doc__ = _CovariancePool.__doc__
    _rank = 3


class _ISQRTCovariancePool(Layer):
    """The root of covariances, :func:`poolkit.functional.isqrt_covariance_pool2d` as a layer.

    Args:
        iterations: of Newton and Schulz; the more, the nearer to the square root.
        unbiased: divide by n - 1 instead of n, the number of cells.
        form: 'upper', 'isometric' or 'matrix'.

    forward takes (N, C, *spatial) or (C, *spatial) and gives (N, C * (C + 1) / 2), or (N, C, C) with form 'matrix'.
    """

    _shown = ("iterations", "unbiased", "form")
    _rank: int

    def __init__(self, iterations: int = 5, unbiased: bool = False, form: str = "upper") -> None:
        super().__init__()
        self.iterations = geometry.integer("iterations", iterations, positive=True)
        _check_covariance(unbiased, form)
        self.unbiased, self.form = unbiased, form

    def forward(self, input: Tensor) -> Tensor:
        return _isqrt_covariance(self._rank, input, self.iterations, self.unbiased, self.form)


class ISQRTCovariancePool1d(_ISQRTCovariancePool):
    __doc__ = _ISQRTCovariancePool.__doc__
    _rank = 1


class ISQRTCovariancePool2d(_ISQRTCovariancePool):
    __doc__ = _ISQRTCovariancePool.__doc__
    _rank = 2


class ISQRTCovariancePool3d(_ISQRTCovariancePool):
    __doc__ = _ISQRTCovariancePool.__doc__
    _rank = 3
