"""NetVLAD: how the descriptors of an image or a set lie around learnt cluster centres."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poolkit import geometry
from poolkit.errors import ArgumentError
from poolkit.layers import pieces
from poolkit.layers.base import Layer, check_flag, check_floating, check_map, unit, unrounded, wide, wide_dtype
from poolkit.layers.steps import read_valid
from poolkit.methods.method import is_finite


def _check_clusters(name: str, channels: int, weight: Tensor, bias: Tensor, centers: Tensor) -> None:
    check_floating(name, weight=weight, bias=bias, centers=centers)
    rows = weight.shape[0] if weight.dim() else 0
    fits = tuple(weight.shape) == (rows, channels) and tuple(bias.shape) == (rows,)
    if not fits or centers.dim() != 2 or centers.shape[1] != channels or not 1 <= centers.shape[0] <= rows:
        raise ArgumentError(
            f"{name}(): weight, bias and centers must be (K + ghosts, {channels}), (K + ghosts,) and (K, {channels}), "
            f"but got {list(weight.shape)}, {list(bias.shape)} and {list(centers.shape)}"
        )


def _inverse_lengths(x: Tensor) -> Tensor:
    """1 / |x| of each descriptor (N, L, C), as (N, L, 1); 0 of a descriptor of zeros."""
    squares = x.square().sum(2, keepdim=True)
    nothing = squares == 0
    return torch.where(nothing, 0, torch.where(nothing, 1, squares).rsqrt())


def _differences(
    x: Tensor, valid: Tensor | None, weight: Tensor, bias: Tensor, centers: Tensor, normalize_input: bool
) -> Tensor:
    """The sums of the shared differences of descriptors (N, L, C) to the centres, (N, K, C)."""
    if valid is not None:
        x = x.masked_fill(~valid[..., None], 0)
    with unrounded(x):
        # Lengths multiply what is made of the descriptors instead of making other descriptors.
        scale = _inverse_lengths(x) if normalize_input else None
        scores = torch.matmul(x, weight.T)
        shares = ((scores if scale is None else scores * scale) + bias).softmax(2)[..., : centers.shape[0]]
        if valid is not None:
            shares = shares.masked_fill(~valid[..., None], 0)
        sums = torch.matmul((shares if scale is None else shares * scale).transpose(1, 2), x)
        # The centres are subtracted from the sums: differences of all descriptors to all centres are never made.
        return sums - shares.sum(1)[..., None] * centers


def netvlad_pool(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    centers: Tensor,
    normalize_input: bool = True,
    mask: Tensor | None = None,
) -> Tensor:
    """Sums of the differences between descriptors and cluster centres, each descriptor shared out among the clusters.

    The share of descriptor x in cluster k is a_k = softmax over all clusters of (weight_k x + bias_k); cluster k gets
    the sum of a_k (x - center_k), which is made 1 long; then all of them together are.

    Args:
        input: (N, L, C), or (L, C) without a batch: L descriptors, in any order.
        weight: (K + ghosts, C). Ghost clusters take their shares, and nothing comes of them.
        bias: (K + ghosts,).
        centers: (K, C).
        normalize_input: make each descriptor 1 long first.
        mask: bool (N, L) or (L,), True at the descriptors that count.

    Returns:
        (N, K * C) or (K * C,), cluster by cluster, of the input's dtype; half precision is computed in float32, also
        under autocast. Descriptors and sums of zeros are not made 1 long and have no gradient from there. Masked
        descriptors may hold anything, NaN too: they change neither the result nor a gradient, and theirs is 0. A set
        without a descriptor that counts gives 0 and has no gradient.

    dtypes: float32, float64, float16, bfloat16. Raises ArgumentError (a ValueError) for a bad argument, TypeError for
    one of a wrong type, NotImplementedError for another dtype.
    """
    name = "netvlad_pool"
    check_flag("normalize_input", normalize_input)
    check_floating(name, input=input)
    if input.dim() not in (2, 3) or 0 in input.shape[-2:]:
        raise ArgumentError(
            f"{name}(): input must be (N, L, C) or (L, C) with at least one descriptor and channel, "
            f"but got {list(input.shape)}"
        )
    _check_clusters(name, input.shape[-1], weight, bias, centers)
    batched = input.dim() == 3
    x = wide(input if batched else input[None])
    mask = mask[None] if isinstance(mask, Tensor) and not batched else mask
    valid = read_valid(name, None, mask, x.shape[0], x.shape[1], x.device)

    def formula(x: Tensor, *others: Tensor) -> Tensor:
        *masks, weight, bias, centers = others
        return _differences(x, masks[0] if masks else None, weight, bias, centers, normalize_input)

    clusters = [tensor.to(x.dtype) for tensor in (weight, bias, centers)]
    maps = [x] if valid is None else [x, valid]
    scores = 1 + 2 * len(weight) // x.shape[2]  # and shares, for each number of a descriptor
    differences = pieces.run(formula, 1, maps, clusters, channels=False, weight=scores)
    result = unit(unit(differences, 2).flatten(1), 1).to(input.dtype)
    return result if batched else result[0]


class NetVLADPool(Layer):
    """NetVLAD of sets of descriptors, :func:`poolkit.functional.netvlad_pool` with learnt clusters.

    Args:
        in_channels: C, of a descriptor.
        num_clusters: K.
        ghost_clusters: how many further clusters take their shares without showing in the result: GhostVLAD, where bad
            descriptors can go.
        normalize_input: make each descriptor 1 long first.

    forward takes descriptors (N, L, C) or (L, C), with a mask (N, L) or (L,), True at those that count, and gives
    (N, K * C) or (K * C,).

    The parameters are weight (K + ghosts, C), bias (K + ghosts,) and centers (K, C), which are learnt apart from each
    other. They begin at random; `start_from` begins at the centres that k-means found, as the paper does.
    """

    _shown = ("in_channels", "num_clusters", "ghost_clusters", "normalize_input")

    def __init__(
        self,
        in_channels: int,
        num_clusters: int = 64,
        ghost_clusters: int = 0,
        normalize_input: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = geometry.integer("in_channels", in_channels, positive=True)
        self.num_clusters = geometry.integer("num_clusters", num_clusters, positive=True)
        self.ghost_clusters = geometry.integer("ghost_clusters", ghost_clusters)
        if self.ghost_clusters < 0:
            raise ArgumentError(f"ghost_clusters must be 0 or more, but got {ghost_clusters}")
        check_flag("normalize_input", normalize_input)
        self.normalize_input = normalize_input
        clusters = num_clusters + ghost_clusters
        self.weight = torch.nn.Parameter(torch.empty(clusters, in_channels, device=device, dtype=dtype))
        self.bias = torch.nn.Parameter(torch.empty(clusters, device=device, dtype=dtype))
        self.centers = torch.nn.Parameter(torch.empty(num_clusters, in_channels, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Centres 1 long in random directions, alpha = 1."""
        self.start_from(unit(torch.randn_like(self.weight), 1), alpha=1.0)

    @torch.no_grad()
    def start_from(self, centers: Tensor, descriptors: Tensor | None = None, alpha: float | None = None) -> float:
        """Sets weight = 2 alpha c, bias = -alpha |c|^2, so that shares are softmax of -alpha |x - c|^2; returns alpha.

        Args:
            centers: (K + ghosts, C), the centres c, those of the ghosts last. With normalize_input, of descriptors that
                were 1 long.
            descriptors: (M, C), of which alpha is found: the share of the second nearest centre becomes a hundredth of
                the nearest's, on the (geometric) average.
            alpha: or alpha itself, > 0.
        """
        check_floating("start_from", centers=centers)
        if centers.shape != self.weight.shape:
            raise ArgumentError(f"centers must have the shape {list(self.weight.shape)}, but got {list(centers.shape)}")
        if (alpha is None) == (descriptors is None):
            raise ArgumentError("either descriptors or alpha must be given")
        c = centers.to(self.weight.device, wide_dtype(self.weight.dtype))
        if alpha is None:
            assert descriptors is not None
            alpha = self._found_alpha(c, descriptors)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float):
            raise TypeError(f"alpha must be a number, but got {alpha!r} ({type(alpha).__name__})")
        if not (alpha > 0 and is_finite(alpha)):
            raise ArgumentError(f"alpha must be a finite number > 0, but got {alpha!r}")
        self.weight.copy_(2 * alpha * c)
        self.bias.copy_(-alpha * c.square().sum(1))
        self.centers.copy_(c[: self.num_clusters])
        return alpha

    def _found_alpha(self, centers: Tensor, descriptors: Tensor) -> float:
        check_floating("start_from", descriptors=descriptors)
        if descriptors.dim() != 2 or descriptors.shape[1] != self.in_channels or 0 in descriptors.shape:
            raise ArgumentError(
                f"descriptors must be (M, {self.in_channels}), at least one, but got {list(descriptors.shape)}"
            )
        if centers.shape[0] < 2:
            raise ArgumentError("alpha must be given for a single cluster, which has no second nearest")
        x = descriptors.to(centers)
        x = unit(x, 1) if self.normalize_input else x
        distances = torch.cdist(x, centers, compute_mode="donot_use_mm_for_euclid_dist").square()
        near, second = distances.topk(2, largest=False).values.unbind(1)
        gap = float((second - near).mean())
        if not (gap > 0 and is_finite(gap)):
            raise ArgumentError(
                f"descriptors must be finite and nearer to one centre than to others, but differ by {gap}"
            )
        return math.log(100) / gap

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return netvlad_pool(input, self.weight, self.bias, self.centers, self.normalize_input, mask)


class _NetVLADPool(NetVLADPool):
    """NetVLAD of maps: the cells are the descriptors of :class:`poolkit.nn.NetVLADPool`, which has the same state.

    Args:
        in_channels: C, of the map.
        num_clusters: K.
        ghost_clusters: how many further clusters take their shares without showing in the result.
        normalize_input: make each cell's vector 1 long first.

    forward takes (N, C, *spatial) or (C, *spatial) of any size, with a mask (N, *spatial) or (*spatial), True at the
    cells that count, and gives (N, K * C) or (K * C,).
    """

    _rank: int

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        name, rank = type(self).__name__, self._rank
        check_map(name, input, rank, self.in_channels)
        if isinstance(mask, Tensor):
            expected = [*input.shape[: -rank - 1], *input.shape[-rank:]]
            if list(mask.shape) != expected:
                raise ArgumentError(f"{name}(): mask must have the shape {expected}, but got {list(mask.shape)}")
            mask = mask.flatten(-rank)
        return super().forward(input.flatten(-rank).transpose(-1, -2), mask)


class NetVLADPool1d(_NetVLADPool):
    __doc__ = _NetVLADPool.__doc__
    _rank = 1


class NetVLADPool2d(_NetVLADPool):
    __doc__ = _NetVLADPool.__doc__
    _rank = 2


class NetVLADPool3d(_NetVLADPool):
    __doc__ = _NetVLADPool.__doc__
    _rank = 3
