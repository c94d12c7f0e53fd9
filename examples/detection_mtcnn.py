"""Face detection with MTCNN and its published weights: as many faces with poolkit's pooling as with torch's?

    python examples/detection_mtcnn.py

Three networks in a row look for faces, each more closely (Zhang et al., 2016). Images are shrunk by adaptive average
pooling, and candidates are cut out by RoI align. The weights were learnt with max pooling: with average pooling in its
place they miss faces. After a swap a trained network has to learn again.
"""

from __future__ import annotations

from collections.abc import Callable

import data
import torch
import typer
from torch import Tensor

from poolkit import functional as F
from poolkit import nn

#: Nothing is drawn and nothing learnt here: the counts are the same in every run.
FLOORS = {"found": 1.0, "equal": 1.0, "lost by average": 0.5}

SCORES = (0.6, 0.7, 0.7)  # that a candidate needs to pass each network
SHRINK = 0.709  # from one size of the image to the next


class Stage(torch.nn.Module):
    """One of the networks: images to how much each is a face, and how its box is off."""

    def __init__(self, name: str, *trunk: torch.nn.Module, heads: tuple[torch.nn.Module, ...]) -> None:
        super().__init__()
        self.trunk, self.heads = torch.nn.Sequential(*trunk), torch.nn.ModuleList(heads)
        weights = torch.load(data.find("facenet-pytorch", f"facenet_pytorch/data/{name}.pt"), weights_only=True)
        self.load_state_dict(dict(zip(self.state_dict(), weights.values(), strict=True)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.trunk(x)
        return self.heads[0](x).softmax(1)[:, 1], self.heads[1](x)


class Columns(torch.nn.Module):
    """Flattens column by column, as the library did in which the weights were learnt."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 2, 1).flatten(1)


def networks(pool: Callable[[int], torch.nn.Module]) -> tuple[Stage, Stage, Stage]:
    """P-, R- and O-Net, with six poolings of two or three cells."""
    from torch.nn import Conv2d, Linear, PReLU

    pnet = [Conv2d(3, 10, 3), PReLU(10), pool(2), Conv2d(10, 16, 3), PReLU(16), Conv2d(16, 32, 3), PReLU(32)]
    rnet = [Conv2d(3, 28, 3), PReLU(28), pool(3), Conv2d(28, 48, 3), PReLU(48), pool(3), Conv2d(48, 64, 2), PReLU(64)]
    rnet += [Columns(), Linear(576, 128), PReLU(128)]
    onet = [Conv2d(3, 32, 3), PReLU(32), pool(3), Conv2d(32, 64, 3), PReLU(64), pool(3), Conv2d(64, 64, 3), PReLU(64)]
    onet += [pool(2), Conv2d(64, 128, 2), PReLU(128), Columns(), Linear(1152, 256), PReLU(256)]
    return (
        Stage("pnet", *pnet, heads=(Conv2d(32, 2, 1), Conv2d(32, 4, 1))),
        Stage("rnet", *rnet, heads=(Linear(128, 2), Linear(128, 4))),
        Stage("onet", *onet, heads=(Linear(256, 2), Linear(256, 4), Linear(256, 10))),  # the last finds eyes and mouths
    )


def apart(boxes: Tensor, scores: Tensor, most: float, of_smaller: bool = False) -> Tensor:
    """Which boxes stay when of two that overlap by more than `most` the worse goes: non-maximum suppression."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order, kept = scores.argsort(descending=True), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        sides = torch.minimum(boxes[best, 2:], boxes[order, 2:]) - torch.maximum(boxes[best, :2], boxes[order, :2])
        common = sides.clamp(min=0).prod(1)
        whole = torch.minimum(areas[best], areas[order]) if of_smaller else areas[best] + areas[order] - common
        order = order[common <= most * whole]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.int64)


def moved(boxes: Tensor, corrections: Tensor) -> Tensor:
    return boxes + corrections * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)


def squares(boxes: Tensor) -> Tensor:
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True)
    return torch.cat([middle - side / 2, middle + side / 2], 1)


@torch.no_grad()
def detect(image: Tensor, stages: tuple[Stage, Stage, Stage], smallest: int = 40) -> tuple[Tensor, Tensor]:
    """The boxes (K, 4) and scores of the faces in an image (3, H, W) from 0 to 1, of `smallest` pixels or more."""
    image = (image * 255 - 127.5) / 128
    pnet, *closer = stages
    found = []
    scale = 12 / smallest  # pnet looks at squares of 12 pixels, two pixels apart
    while min(image.shape[1:]) * scale >= 12:
        small = F.adaptive_avg_pool2d(image, [int(extent * scale) + 1 for extent in image.shape[1:]])
        scores, corrections = (result[0] for result in pnet(small[None]))
        y, x = (scores >= SCORES[0]).nonzero(as_tuple=True)
        boxes = torch.stack([2 * x, 2 * y, 2 * x + 12, 2 * y + 12], 1) / scale
        kept = apart(boxes, scores[y, x], 0.5)
        found.append((boxes[kept], scores[y, x][kept], corrections[:, y, x].T[kept]))
        scale *= SHRINK
    boxes, scores, corrections = map(torch.cat, zip(*found, strict=True))
    for stage, size, least in zip(closer, (24, 48), SCORES[1:], strict=True):
        kept = apart(boxes, scores, 0.7)
        boxes = squares(moved(boxes[kept], corrections[kept]))
        scores, corrections = stage(F.roi_align(image, boxes, size))
        passed = scores > least
        boxes, scores, corrections = boxes[passed], scores[passed], corrections[passed]
    boxes = moved(boxes, corrections)
    kept = apart(boxes, scores, 0.7, of_smaller=True)
    return boxes[kept], scores[kept]


def sheet(squares: Tensor, columns: int = 10) -> Tensor:
    """Small grey squares (N, 1, h, w) as one image (3, H, W), three times as large and with grey between them."""
    squares = torch.nn.functional.interpolate(squares, scale_factor=3, mode="bicubic").clamp(0, 1)
    squares = torch.nn.functional.pad(squares, (20, 20, 20, 20), value=0.5)
    return torch.cat([torch.cat(tuple(row), 1) for row in squares[:, 0].split(columns)]).expand(3, -1, -1)


def main(smoke: bool = False) -> dict[str, float]:
    """Prints how many faces each pooling finds on a sheet of portraits, one without a face, and photographs."""
    portraits, others = data.portraits()
    count = 20 if smoke else 100
    images = {
        f"{count} portraits": sheet(portraits[:count]),
        f"{count} pieces of background": sheet(others[:count]),
        "astronaut": data.photograph("astronaut.png"),
        "cat": data.photograph("chelsea.png"),
    }
    poolings: dict[str, Callable[[int], torch.nn.Module]] = {
        "torch's max": lambda k: torch.nn.MaxPool2d(k, 2, ceil_mode=True),
        "poolkit's max": lambda k: nn.MaxPool2d(k, 2, ceil_mode=True),
        "poolkit's soft, nearly max": lambda k: nn.SoftPool2d(k, 2, ceil_mode=True, temperature=0.05),
        "poolkit's average": lambda k: nn.AvgPool2d(k, 2, ceil_mode=True),
    }
    print("faces found in:".ljust(28), *images, sep="  ")
    found: dict[str, list[int]] = {}
    for title, pool in poolings.items():
        stages = networks(pool)
        found[title] = [len(detect(image, stages)[1]) for image in images.values()]
        print(
            title.ljust(28),
            *(str(faces).rjust(len(name)) for faces, name in zip(found[title], images, strict=True)),
            sep="  ",
        )
    torchs, ours, _, average = found.values()
    return {"found": ours[0] / count, "equal": float(torchs == ours), "lost by average": 1 - average[0] / count}


if __name__ == "__main__":
    typer.run(main)
