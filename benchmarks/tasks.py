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


# Regions of one image: the map of roi.py, and its boxes shrunk so that no corner is rounded off the map, where crops
# end but the bins of RoI pool go on.

BOXES = roi.proposals(300) * 0.98
BINS = roi.SIZE[0]


def align_by_grid_sample(x: Tensor) -> Tensor:
    """Two samples a bin and axis, interpolated by grid_sample, and their means."""
    corners = (BOXES[:, 1:] * roi.SCALE).to(x.dtype)
    low, high = corners[:, :2], corners[:, 2:]
    steps = (torch.arange(2 * BINS, dtype=x.dtype) + 0.5) / (2 * BINS)
    places = low[:, None] + steps[:, None] * (high - low)[:, None]  # (boxes, samples, x and y)
    places = places / torch.tensor([roi.WIDTH, roi.HEIGHT]) * 2 - 1
    size = (len(BOXES), 2 * BINS, 2 * BINS)
    grid = torch.stack((places[:, None, :, 0].expand(size), places[:, :, None, 1].expand(size)), -1)
    samples = F.grid_sample(x, grid.flatten(0, 1)[None], padding_mode="border", align_corners=False)
    return F.avg_pool2d(samples[0].unflatten(1, (-1, 2 * BINS)).transpose(0, 1), 2)


def pool_crops(x: Tensor) -> Tensor:
    """A loop over the boxes: crop, then adaptive max pooling."""
    corners = (BOXES[:, 1:] * roi.SCALE + 0.5).floor().int().tolist()
    crops = [x[..., top : bottom + 1, left : right + 1] for left, top, right, bottom in corners]
    return torch.cat([F.adaptive_max_pool2d(crop, BINS) for crop in crops])


def region_tasks() -> Iterator[Task]:
    def max_pooled(x: Tensor) -> Tensor:
        y = functional.roi_pool(x, BOXES, BINS, roi.SCALE)
        assert isinstance(y, Tensor)
        return y

    align: dict[str, Contender] = {"grid_sample": align_by_grid_sample}
    pool: dict[str, Contender] = {"crops": pool_crops}
    if HAS_TORCHVISION:
        peer = importlib.import_module("torchvision.ops")
        align["torchvision"] = lambda x: peer.roi_align(x, BOXES.to(x), BINS, roi.SCALE, 2, True)
        pool["torchvision"] = lambda x: peer.roi_pool(x, BOXES.to(x), BINS, roi.SCALE)
    shapes = ((1, roi.CHANNELS, roi.HEIGHT, roi.WIDTH),)
    yield Task("RoI align", shapes, lambda x: functional.roi_align(x, BOXES, BINS, roi.SCALE, 2), align)
    yield Task("RoI pool", shapes, max_pooled, pool)


# Sequences of different lengths.

LENGTHS = torch.linspace(20, 256, 64).int()


def valid(x: Tensor, dim: int) -> Tensor:
    """The mask of a padded batch whose time runs along `dim`, ready to multiply."""
    mask = torch.arange(x.shape[dim]) < LENGTHS[:, None]
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
    mask, count = valid(x, 2).to(x.dtype), LENGTHS[:, None].to(x.dtype)
    mean = (x * mask).sum(2) / count
    variance = ((x - mean[..., None]).square() * mask).sum(2) / count
    return torch.cat((mean, (variance + 1e-5).sqrt()), 1)


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


# Chains of poolings.


def chain(x: Tensor) -> Tensor:
    results = [x]
    for _ in range(3):
        results.append(F.max_pool2d(results[-1], 5, 1, 2))
    return torch.cat(results, 1)


def pyramid(x: Tensor) -> Tensor:
    return torch.cat([F.adaptive_max_pool2d(x, bins).flatten(1) for bins in (1, 2, 4)], 1)


MAP, SEQUENCE = (4, 64, 112, 112), (64, 256, 768)


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
    ]
