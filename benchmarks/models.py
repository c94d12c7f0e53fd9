"""Networks as they are and with poolkit's kernels for their poolings: the whole, and the poolings alone.

python benchmarks/models.py --only resnet --batch 1

Networks come from packages that are installed; of the others it says what to install. Weights are drawn.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import poolkit

#: Outputs may differ by rounding.
AGREEMENT = 1e-4


class Network(NamedTuple):
    name: str
    package: str
    install: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]  # without the batch


class Detector(nn.Module):
    """As YOLO's: convolutions at stride 2, then SPPF, three poolings in a row whose results are kept."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 128, 256)
        layers = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.narrow, self.wide = nn.Conv2d(256, 128, 1), nn.Conv2d(512, 256, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.narrow(self.body(x))]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        result: Tensor = self.wide(torch.cat(maps, 1))
        return result


class FaceNets(nn.Module):
    """The second and third network of MTCNN, side by side."""

    def __init__(self) -> None:
        super().__init__()
        from facenet_pytorch.models.mtcnn import ONet, RNet

        self.refine, self.output = RNet(pretrained=False), ONet(pretrained=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (*self.refine(nn.functional.interpolate(x, 24)), *self.output(x))


def _torchvision(name: str, **given: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision import models

        model: nn.Module = getattr(models, name)(weights=None, **given)
        return model

    return build


def _timm(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import timm

        model: nn.Module = timm.create_model(name)
        return model

    return build


def _crepe() -> nn.Module:
    for name in ("torchaudio", "resampy"):  # which read sounds; the network alone is wanted
        sys.modules.setdefault(name, types.ModuleType(name))
    import torchcrepe

    model: nn.Module = torchcrepe.Crepe("tiny")
    return model


VISION = 'pip install "torchvision==0.28.0" (the one for torch 2.13)'
NETWORKS = (
    Network("detector with SPPF", "", "", Detector, (3, 640, 640)),
    Network("ResNet-50", "torchvision", VISION, _torchvision("resnet50"), (3, 224, 224)),
    Network("GoogLeNet", "torchvision", VISION, _torchvision("googlenet", init_weights=False), (3, 224, 224)),
    Network("Inception v3", "torchvision", VISION, _torchvision("inception_v3", init_weights=False), (3, 299, 299)),
    Network("DenseNet-121", "torchvision", VISION, _torchvision("densenet121"), (3, 224, 224)),
    Network("PoolFormer-S12", "timm", "pip install timm", _timm("poolformer_s12"), (3, 224, 224)),
    Network("ResNet-50 with blur pooling", "timm", "pip install timm", _timm("resnetblur50"), (3, 224, 224)),
    Network("MTCNN's R and O", "facenet_pytorch", "pip install --no-deps facenet-pytorch tqdm", FaceNets, (3, 48, 48)),
    Network("CREPE", "torchcrepe", "pip install --no-deps torchcrepe tqdm", _crepe, (1024,)),
)


class Result(NamedTuple):
    poolings: int
    share: float
    """Of the time that the network took before."""
    whole: float
    alone: float
    """How many times as fast the network, and its poolings, are."""
    difference: float


def measure(network: Network, batch: int) -> Result:
    """Modules are replaced, calls of functions routed; both runs are timed alike."""
    model = network.build().eval()
    x = torch.rand(batch, *network.shape)
    fast = copy.deepcopy(model)
    if changes := poolkit.accelerate(fast, x):
        times = changes.times
        assert times is not None
        before, after = (sum(pair[i] for pair in times.layers.values()) for i in (0, 1))
        difference = poolkit.drift(model, fast, x).output.relative_error
        return Result(len(changes), before / times.before, times.before / times.after, before / after, difference)
    slow = poolkit.summary(model, x, time=True)
    methods = {row.method: row.method for row in slow if row.kind == "function"}
    if not methods:
        raise SystemExit(f"{network.name} has no pooling")
    before, expected = _best(model, x)
    with poolkit.swap.functional(model, methods):
        after, got = _best(model, x)
    difference = ((got - expected).norm() / expected.norm()).item()
    return Result(len(slow), sum(row.share or 0 for row in slow), before / after, float("nan"), difference)


def _best(model: nn.Module, x: Tensor) -> tuple[float, Tensor]:
    from torch.utils.benchmark import Timer

    with torch.no_grad():
        y = model(x)
        timer = Timer("model(x)", globals={"model": model, "x": x}, num_threads=torch.get_num_threads())
        return timer.blocked_autorange(min_run_time=0.5).median, y if isinstance(y, Tensor) else y[0]


def _declare_operators() -> None:
    """Where torchvision's compiled operators fit another torch, it wants to know at least the names of two."""
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            _LIBRARIES.append(library)


_LIBRARIES: list[torch.library.Library] = []


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="networks whose name contains the word")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    chosen = [network for network in NETWORKS if given.only.lower() in network.name.lower()]
    if not chosen:
        parser.error(f"--only: no network's name contains {given.only!r}: {', '.join(n.name for n in NETWORKS)}")
    _declare_operators()
    print(f"batch {given.batch}, {given.threads} threads; times as fast with poolkit's kernels")
    print(f"{'network':28} {'poolings':>8} {'share':>7} {'whole':>7} {'poolings alone':>15}")
    wrong = 0
    for network in chosen:
        try:
            result = measure(network, given.batch)
        except ImportError as error:
            print(f"{network.name:28} needs {network.package} ({network.install}): {error}")
            continue
        alone = "-" if result.alone != result.alone else f"{result.alone:.2f}x"
        line = f"{network.name:28} {result.poolings:8} {result.share:7.1%} {result.whole:6.2f}x {alone:>15}"
        if not result.difference < AGREEMENT:
            wrong += 1
            line += f"  WRONG: outputs differ by {result.difference:.1e}"
        print(line, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
