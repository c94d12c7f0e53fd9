"""What recipes.py measures: window methods from recipes.txt, and layers with their recipes from here."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import layers
import roi
import torch
from peers import POOLKIT, RECIPES
from torch import Tensor
from torch.nn import functional as F
from verify import in_layout

from poolkit import functional
from poolkit.layers.retrieval import rmac_regions
from poolkit.methods import METHODS

HAS_TORCHVISION = importlib.util.find_spec("torchvision") is not None

Contender = Callable[..., Tensor]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """Inputs of these shapes, all of which get a gradient, and who pools them."""

    name: str
    shapes: tuple[Shape, ...]
    poolkit: Contender
    recipes: Mapping[str, Contender]
    expectation: Contender | None = None
    """Of a task that draws, the mean over all draws."""

    @property
    def contenders(self) -> dict[str, Contender]:
        return {POOLKIT.name: self.poolkit, **self.recipes}

    def inputs(self, layout: str, train: bool, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
        """Random numbers, always the same."""
        generator = torch.Generator().manual_seed(0)
        tensors = (torch.randn(shape, generator=generator).to(dtype) for shape in self.shapes)
        return tuple((in_layout(x, layout) if x.dim() > 3 else x).requires_grad_(train) for x in tensors)


def windowed() -> Iterator[Task]:
    """Window methods, in evaluation and, where they have one, in training."""
    for case in layers.cases(list(layers.read_file(Path(__file__).with_name("recipes.txt"))), (), (), ()):
        yield of_case(case)
        if METHODS[case.method].trains:
            drawn = of_case(replace(case, params={**case.params, "training": True}))
            yield replace(drawn, name=f"{drawn.name}, drawn", expectation=POOLKIT.function(case))


def of_case(case: layers.Case) -> Task:
    pool = POOLKIT.function(case)
    assert pool is not None
    functions = {peer.name: peer.function(case) for peer in RECIPES}
    recipes = {name: function for name, function in functions.items() if function}
    return Task(f"{case.method} {case.layer.name}", (case.layer.shape,), pool, recipes)


# Local importance and detail-preserving pooling, as the papers' code has them.


def local_importance(x: Tensor, logits: Tensor) -> Tensor:
    weights = logits.exp()
    return F.avg_pool2d(x * weights, 3, 2, 1) / F.avg_pool2d(weights, 3, 2, 1)


def detail_preserving(x: Tensor, alpha: Tensor, lam: Tensor) -> Tensor:
    def spread(y: Tensor) -> Tensor:
        return F.interpolate(y, scale_factor=2)

    squares = (x - spread(F.avg_pool2d(x, 2))).square() + 1e-3
    ratio = squares / spread(F.avg_pool2d(squares, 2))
    weights = alpha.exp().view(-1, 1, 1) + ratio.pow(lam.exp().view(-1, 1, 1) / 2)
    return F.avg_pool2d(x * weights, 2) / F.avg_pool2d(weights, 2)


# Mixes of maximum and average, and a tree of two leaves.


def mixed(x: Tensor, logit: Tensor) -> Tensor:
    share = logit.sigmoid()
    return share * F.max_pool2d(x, 2) + (1 - share) * F.avg_pool2d(x, 2)


def by_filter(x: Tensor, weight: Tensor) -> Tensor:
    channels = x.shape[1]
    return F.conv2d(x, weight[:, None].expand(channels, 1, 2, 2), stride=2, groups=channels)


def gated(x: Tensor, gate: Tensor) -> Tensor:
    share = by_filter(x, gate).sigmoid()
    return share * F.max_pool2d(x, 2) + (1 - share) * F.avg_pool2d(x, 2)


def tree(x: Tensor, leaves: Tensor, gates: Tensor) -> Tensor:
    share = by_filter(x, gates[0]).sigmoid()
    return share * by_filter(x, leaves[0]) + (1 - share) * by_filter(x, leaves[1])


# Regions of one image: the map of roi.py, and its boxes shrunk so that no corner is rounded off the map, where crops
# end but the bins of RoI pool go on.

BOXES = roi.proposals(300) * 0.98
BINS = roi.SIZE[0]


def align_by_grid_sample(x: Tensor) -> Tensor:
    """Two samples a bin and axis, interpolated by grid_sample, and their means."""
    corners = (BOXES[:, 1:] * roi.SCALE).to(x)
    low, high = corners[:, :2], corners[:, 2:]
    steps = (torch.arange(2 * BINS, dtype=x.dtype, device=x.device) + 0.5) / (2 * BINS)
    places = low[:, None] + steps[:, None] * (high - low)[:, None]  # (boxes, samples, x and y)
    places = places / torch.tensor([roi.WIDTH, roi.HEIGHT], device=x.device) * 2 - 1
    size = (len(BOXES), 2 * BINS, 2 * BINS)
    grid = torch.stack((places[:, None, :, 0].expand(size), places[:, :, None, 1].expand(size)), -1)
    samples = F.grid_sample(x, grid.flatten(0, 1)[None], padding_mode="border", align_corners=False)
    return F.avg_pool2d(samples[0].unflatten(1, (-1, 2 * BINS)).transpose(0, 1), 2)


def pool_crops(x: Tensor) -> Tensor:
    """A loop over the boxes: crop, then adaptive max pooling."""
    corners = (BOXES[:, 1:] * roi.SCALE + 0.5).floor().int().tolist()
    crops = [x[..., top : bottom + 1, left : right + 1] for left, top, right, bottom in corners]
    return torch.cat([F.adaptive_max_pool2d(crop, BINS) for crop in crops])


def ps_align_by_grid_sample(x: Tensor) -> Tensor:
    """All bins in all channels, of which each bin keeps its own."""
    every = align_by_grid_sample(x).unflatten(1, (-1, BINS**2)).flatten(3)
    return every.diagonal(dim1=2, dim2=3).unflatten(2, (BINS, BINS))


def region_tasks() -> Iterator[Task]:
    def max_pooled(x: Tensor) -> Tensor:
        y = functional.roi_pool(x, BOXES, BINS, roi.SCALE)
        assert isinstance(y, Tensor)
        return y

    align: dict[str, Contender] = {"grid_sample": align_by_grid_sample}
    pool: dict[str, Contender] = {"crops": pool_crops}
    ps_align: dict[str, Contender] = {"grid_sample": ps_align_by_grid_sample}
    if HAS_TORCHVISION:
        peer = importlib.import_module("torchvision.ops")
        align["torchvision"] = lambda x: peer.roi_align(x, BOXES.to(x), BINS, roi.SCALE, 2, True)
        pool["torchvision"] = lambda x: peer.roi_pool(x, BOXES.to(x), BINS, roi.SCALE)
        ps_align["torchvision"] = lambda x: peer.ps_roi_align(x, BOXES.to(x), BINS, roi.SCALE, 2)
    shapes = ((1, roi.CHANNELS, roi.HEIGHT, roi.WIDTH),)
    yield Task("RoI align", shapes, lambda x: functional.roi_align(x, BOXES, BINS, roi.SCALE, 2), align)
    yield Task("RoI pool", shapes, max_pooled, pool)
    groups = ((1, 4 * BINS**2, roi.HEIGHT, roi.WIDTH),)
    yield Task("PS RoI align", groups, lambda x: functional.ps_roi_align(x, BOXES, BINS, roi.SCALE, 2), ps_align)


# Sequences of different lengths.

LENGTHS = torch.linspace(20, 256, 64).int()


def valid(x: Tensor, dim: int) -> Tensor:
    """The mask of a padded batch whose time runs along `dim`, ready to multiply."""
    mask = torch.arange(x.shape[dim], device=x.device) < LENGTHS.to(x.device)[:, None]
    return mask.unsqueeze(3 - dim)


def masked_mean(x: Tensor) -> Tensor:
    mask = valid(x, 1).expand(x.shape).to(x.dtype)
    return (x * mask).sum(1) / mask.sum(1).clamp(min=1)


def mean_by_einsum(x: Tensor) -> Tensor:
    mask = valid(x, 1)[..., 0].to(x.dtype)
    return torch.einsum("nlc,nl->nc", x, mask / mask.sum(1, keepdim=True))


def masked_maximum(x: Tensor) -> Tensor:
    return x.masked_fill(~valid(x, 1), -math.inf).max(1).values


def masked_statistics(x: Tensor) -> Tensor:
    mask, count = valid(x, 2).to(x.dtype), LENGTHS[:, None].to(x)
    mean = (x * mask).sum(2) / count
    variance = ((x - mean[..., None]).square() * mask).sum(2) / count
    return torch.cat((mean, (variance + 1e-5).sqrt()), 1)


# The same sequences packed one behind the other.

OWNERS = torch.repeat_interleave(torch.arange(len(LENGTHS)), LENGTHS)
PACKED = (len(OWNERS), 768)


def means_of_parts(x: Tensor) -> Tensor:
    return torch.stack([part.mean(0) for part in x.split(LENGTHS.tolist())])


def means_by_index_add(x: Tensor) -> Tensor:
    return x.new_zeros(len(LENGTHS), x.shape[1]).index_add(0, OWNERS.to(x.device), x) / LENGTHS[:, None].to(x)


def maxima_of_parts(x: Tensor) -> Tensor:
    return torch.stack([part.max(0).values for part in x.split(LENGTHS.tolist())])


def maxima_by_scatter(x: Tensor) -> Tensor:
    index = OWNERS.to(x.device)[:, None].expand(x.shape)
    return x.new_zeros(len(LENGTHS), x.shape[1]).scatter_reduce(0, index, x, "amax", include_self=False)


def softmax_over_time(logits: Tensor, dim: int) -> Tensor:
    return logits.masked_fill(~valid(logits, dim), -math.inf).softmax(dim)


def auto_pool(x: Tensor, alpha: Tensor) -> Tensor:
    return (softmax_over_time(alpha * x, 1) * x).sum(1)


def attentive_statistics(x: Tensor, scores: Tensor) -> Tensor:
    weights = softmax_over_time(scores, 2)
    mean = (weights * x).sum(2)
    variance = (weights * (x - mean[..., None]).square()).sum(2)
    return torch.cat((mean, variance.clamp(min=1e-7).sqrt()), 1)


def linear_softmax(x: Tensor) -> Tensor:
    p = x.sigmoid() * valid(x, 1)
    return p.square().sum(1) / p.sum(1)


def noisy_or(x: Tensor) -> Tensor:
    return 1 - (1 - (x - 5).sigmoid() * valid(x, 1)).prod(1)


def splade(x: Tensor) -> Tensor:
    return (x.relu().log1p() * valid(x, 1)).max(1).values


def k_max(x: Tensor) -> Tensor:
    order = x.topk(8, -1).indices.sort(-1).values
    return x.gather(-1, order)


def k_max_pool(x: Tensor) -> Tensor:
    y = functional.k_max_pool1d(x, 8)
    assert isinstance(y, Tensor)
    return y


# Smoothing before sampling: the border reflected, then a convolution for each channel alone.


def blur(x: Tensor) -> Tensor:
    row = torch.tensor([1, 3, 3, 1], dtype=x.dtype)
    weight = (row[:, None] * row / 64).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 2, 1, 2), "reflect"), weight, stride=2, groups=x.shape[1])


# Regions of drawn sizes: torch's, from the same numbers.


def fractional_max(x: Tensor) -> Tensor:
    y = functional.fractional_max_pool2d(x, 2, output_ratio=0.7, _random_samples=numbers_for(x))
    assert isinstance(y, Tensor)
    return y


def fractional_max_of_torch(x: Tensor) -> Tensor:
    return F.fractional_max_pool2d(x, 2, output_ratio=(0.7, 0.7), _random_samples=numbers_for(x))


def numbers_for(x: Tensor) -> Tensor:
    return torch.rand(*x.shape[:2], 2, generator=torch.Generator().manual_seed(2)).to(x.dtype)


# Rows and columns, corners, neighbours, blocks, groups of channels.


def strips(x: Tensor) -> Tensor:
    return torch.cat((x.mean(3), x.mean(2)), 2)


def corner(x: Tensor) -> Tensor:
    return x.flip(2).cummax(2).values.flip(2) + x.flip(3).cummax(3).values.flip(3)


def corner_pool(x: Tensor) -> Tensor:
    return functional.corner_pool2d(x, "top") + functional.corner_pool2d(x, "left")


def haar(x: Tensor) -> Tensor:
    """The recipe of most ports: a strided convolution with the four patterns."""
    smooth, detail = torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0])
    patterns = torch.stack([torch.outer(a, b) / 2 for a in (smooth, detail) for b in (smooth, detail)])
    bands = F.conv2d(x.flatten(0, 1)[:, None], patterns[:, None].to(x.dtype), stride=2)
    return bands.unflatten(0, x.shape[:2]).transpose(1, 2).flatten(1, 2)


def slices(x: Tensor) -> Tensor:
    return torch.cat([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)


# Maps of which a part counts, in squares of eight cells.

COUNTS = torch.rand((4, 1, 14, 14), generator=torch.Generator().manual_seed(0)) < 0.7
COUNTS = COUNTS.repeat_interleave(8, 2).repeat_interleave(8, 3)


def pool_masked(kind: str, x: Tensor) -> Tensor:
    y: Tensor = getattr(functional, f"masked_{kind}_pool2d")(x, COUNTS, 3, 2, 1)
    return y


def masked_average(x: Tensor) -> Tensor:
    shares = F.avg_pool2d(COUNTS.to(x.dtype), 3, 2, 1)
    return F.avg_pool2d(x * COUNTS, 3, 2, 1) / shares.clamp(min=1 / 9)


def masked_largest(x: Tensor) -> Tensor:
    largest = F.max_pool2d(x.masked_fill(~COUNTS, -math.inf), 3, 2, 1)
    return largest.masked_fill(largest.isinf(), 0)


# Global descriptors, as they are usually written.


def netvlad(x: Tensor, weight: Tensor, bias: Tensor, centers: Tensor) -> Tensor:
    x = F.normalize(x, dim=2)
    shares = (x @ weight.T + bias).softmax(2)
    differences = x[:, :, None] - centers
    sums = (shares[..., None] * differences).sum(1)
    return F.normalize(F.normalize(sums, dim=2).flatten(1), dim=1)


def netvlad_by_cluster(x: Tensor, weight: Tensor, bias: Tensor, centers: Tensor) -> Tensor:
    x = F.normalize(x, dim=2)
    shares = (x @ weight.T + bias).softmax(2)
    sums = [((x - center) * shares[:, :, k, None]).sum(1) for k, center in enumerate(centers)]
    return F.normalize(F.normalize(torch.stack(sums, 1), dim=2).flatten(1), dim=1)


def near(pool: Contender) -> Contender:
    """Centres as long as the descriptors, as they are in use: far from them most digits cancel."""
    return lambda x, weight, bias, centers: pool(x, weight, bias, F.normalize(centers, dim=1))


def rmac(x: Tensor) -> Tensor:
    def unit_maximum(part: Tensor) -> Tensor:
        v = F.adaptive_max_pool2d(part, 1).flatten(1)
        return v / (v.norm(dim=1, keepdim=True) + 1e-6)

    total = unit_maximum(x)
    for size, rows, columns in rmac_regions(x.shape[2], x.shape[3], 3):
        for i in rows:
            for j in columns:
                total = total + unit_maximum(x[:, :, i : i + size, j : j + size])
    return total


def bilinear(x: Tensor) -> Tensor:
    return F.normalize(torch.einsum("nihw,njhw->nij", x, x).flatten(1) / (x.shape[2] * x.shape[3]), dim=1)


def isqrt_covariance(x: Tensor) -> Tensor:
    cells = x.flatten(2)
    channels, count = cells.shape[1:]
    centring = torch.eye(count, dtype=x.dtype) / count - 1 / count**2
    matrix = cells @ centring @ cells.mT
    trace = matrix.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    identity = torch.eye(channels, dtype=x.dtype)
    y, z = matrix / trace, identity.expand_as(matrix)
    for _ in range(5):
        step = 0.5 * (3 * identity - z @ y)
        y, z = y @ step, step @ z
    row, column = torch.triu_indices(channels, channels)
    return (trace.sqrt() * y)[:, row, column]


# Chains of poolings.


def chain(x: Tensor) -> Tensor:
    results = [x]
    for _ in range(3):
        results.append(F.max_pool2d(results[-1], 5, 1, 2))
    return torch.cat(results, 1)


def pyramid(x: Tensor) -> Tensor:
    return torch.cat([F.adaptive_max_pool2d(x, bins).flatten(1) for bins in (1, 2, 4)], 1)


MAP, SEQUENCE = (4, 64, 112, 112), (64, 256, 768)
PHOTO, CLUSTERS = (4, 512, 24, 32), ((64, 128), (64,), (64, 128))


def tasks() -> list[Task]:
    return [
        *windowed(),
        Task("local importance 3x3/2", (MAP, MAP), functional.local_importance_pool2d, {"avg_pool": local_importance}),
        Task(
            "detail preserving 2x2/2",
            (MAP, (64,), (64,)),
            functional.detail_preserving_pool2d,
            {"avg_pool": detail_preserving},
        ),
        Task(
            "learnt mix 2x2/2",
            (MAP, (1,)),
            lambda x, logit: functional.learnt_mixed_pool2d(x, logit, 2),
            {"max_pool, avg_pool": mixed},
        ),
        Task("gated 2x2/2", (MAP, (1, 2, 2)), functional.gated_pool2d, {"conv, max_pool, avg_pool": gated}),
        Task("tree 2x2/2", (MAP, (2, 1, 2, 2), (1, 1, 2, 2)), functional.tree_pool2d, {"conv": tree}),
        *region_tasks(),
        Task("k-max, 8 of 512", ((32, 300, 512),), k_max_pool, {"topk, sort, gather": k_max}),
        Task(
            "mean over time, lengths",
            (SEQUENCE,),
            lambda x: functional.temporal_pool(x, "mean", LENGTHS, layout="batch_first"),
            {"mask": masked_mean, "einsum": mean_by_einsum},
        ),
        Task(
            "max over time, lengths",
            (SEQUENCE,),
            lambda x: functional.temporal_pool(x, "max", LENGTHS, layout="batch_first"),
            {"mask": masked_maximum},
        ),
        Task(
            "statistics, lengths",
            ((64, 512, 256),),
            lambda x: functional.statistics_pool(x, LENGTHS),
            {"mask": masked_statistics},
        ),
        Task("blur 4x4/2", (MAP,), functional.blur_pool2d, {"pad, conv": blur}),
        Task(
            "max-blur 2x2, 4x4/2",
            (MAP,),
            functional.max_blur_pool2d,
            {"max_pool": lambda x: blur(F.max_pool2d(x, 2, 1))},
        ),
        Task("fractional max 2x2", (MAP,), fractional_max, {"torch": fractional_max_of_torch}),
        Task(
            "masked average 3x3/2",
            (MAP,),
            lambda x: pool_masked("avg", x),
            {"mask, avg_pool": masked_average},
        ),
        Task(
            "masked max 3x3/2",
            (MAP,),
            lambda x: pool_masked("max", x),
            {"mask, max_pool": masked_largest},
        ),
        Task(
            "segment mean",
            (PACKED,),
            lambda x: functional.segment_pool(x, "mean", lengths=LENGTHS),
            {"split": means_of_parts, "index_add": means_by_index_add},
        ),
        Task(
            "segment max",
            (PACKED,),
            lambda x: functional.segment_pool(x, "max", lengths=LENGTHS),
            {"split": maxima_of_parts, "scatter_reduce": maxima_by_scatter},
        ),
        Task(
            "NetVLAD, 64 clusters",
            ((8, 768, 128), *CLUSTERS),
            near(functional.netvlad_pool),
            {"differences": near(netvlad), "loop over clusters": near(netvlad_by_cluster)},
        ),
        Task("R-MAC", (PHOTO,), functional.rmac_pool2d, {"loop over regions": rmac}),
        Task("bilinear", (PHOTO,), lambda x: functional.bilinear_pool2d(x, signed_sqrt=False), {"einsum": bilinear}),
        Task(
            "iSQRT covariance",
            ((8, 256, 14, 14),),
            functional.isqrt_covariance_pool2d,
            {"centring matrix": isqrt_covariance},
        ),
        Task(
            "auto-pool, lengths",
            (SEQUENCE, SEQUENCE[2:]),
            lambda x, alpha: functional.auto_pool(x, alpha, LENGTHS, layout="batch_first"),
            {"softmax": auto_pool},
        ),
        Task(
            "linear softmax, lengths",
            (SEQUENCE,),
            lambda x: functional.linear_softmax_pool(x.sigmoid(), LENGTHS, layout="batch_first"),
            {"mask": linear_softmax},
        ),
        Task(
            "noisy-or of logits, lengths",
            (SEQUENCE,),
            lambda x: functional.noisy_or_pool(x - 5, LENGTHS, logits=True, layout="batch_first"),
            {"prod": noisy_or},
        ),
        Task(
            "attentive statistics, lengths",
            ((64, 512, 256), (64, 512, 256)),
            lambda x, scores: functional.attentive_statistics_pool(x, scores, LENGTHS),
            {"softmax": attentive_statistics},
        ),
        Task(
            "SPLADE, lengths",
            ((64, 256, 3052),),
            lambda x: functional.splade_pool(x, "max", LENGTHS, layout="batch_first"),
            {"log1p, max": splade},
        ),
        Task("SPPF 5x5", ((8, 256, 20, 20),), functional.sppf_pool2d, {"max_pool": chain}),
        Task(
            "spatial pyramid 1, 2, 4",
            ((32, 512, 13, 13),),
            functional.spatial_pyramid_pool2d,
            {"adaptive pools": pyramid},
        ),
        Task(
            "mean and max of channels",
            (MAP,),
            functional.channel_pool,
            {"mean, max": lambda x: torch.cat((x.mean(1, keepdim=True), x.max(1, keepdim=True).values), 1)},
        ),
        Task(
            "maxout, 2 of 64",
            (MAP,),
            lambda x: functional.channel_group_pool(x, 2),
            {"max": lambda x: x.unflatten(1, (-1, 2)).max(2).values},
        ),
        Task("strips", (MAP,), functional.strip_pool2d, {"mean": strips}),
        Task("top-left corner", (MAP,), corner_pool, {"flip, cummax": corner}),
        Task(
            "pooling as mixer 3x3",
            (MAP,),
            functional.pool_mixer2d,
            {"avg_pool": lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) - x},
        ),
        Task(
            "space to depth 2x2",
            (MAP,),
            lambda x: functional.space_to_depth2d(x, order="cells"),
            {"slices": slices},
        ),
        Task("Haar 2x2", (MAP,), functional.haar_pool2d, {"convolution": haar}),
    ]
