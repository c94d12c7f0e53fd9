"""YOLO's SPPF block in a small detector: where on the page is the digit, and which is it?

    python examples/sppf.py

Each cell of a grid answers, as in YOLO: is the middle of the digit here, and which digit is it? SPPF pools a map three
times by 5 x 5, one after the other; SPP pools it by 5, 9 and 13, side by side. Both give the same numbers.
"""

from __future__ import annotations

import time

import torch
import typer
from data import mnist
from torch import Tensor

from poolkit import functional as F
from poolkit import nn

#: With --smoke, where seeds 0 to 4 find all and read 58-63 %; chance reads 10 %.
FLOORS = {"equal": 1.0, "found": 0.95, "read": 0.48}

PAGE, CELL = 64, 8
GRID = PAGE // CELL


def pages(digits: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy pages (N, 1, PAGE, PAGE) with a digit anywhere on each, the cells of their middles, and which digits."""
    which = torch.randint(len(digits), (count,))
    corners = torch.randint(PAGE - 28, (count, 2))
    page = 0.1 * torch.randn(count, 1, PAGE, PAGE)
    for image, digit, (y, x) in zip(page, digits[which], corners.tolist(), strict=True):
        image[:, y : y + 28, x : x + 28] += digit
    y, x = (corners + 14).T // CELL
    return page, y * GRID + x, which


def convolution(inputs: int, outputs: int) -> torch.nn.Sequential:
    """Half the height, half the width."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
        torch.nn.BatchNorm2d(outputs),
        torch.nn.SiLU(),
    )


class Detector(torch.nn.Module):
    """Pages -> for each cell 1 + 10 answers, (N, 11, cells)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Sequential(convolution(1, 12), convolution(12, 24), convolution(24, 48))
        self.sppf = nn.SPPF2d(48, 64)  # 5, 9 and 13 cells of 8 pixels: each cell sees the whole digit, and the page
        self.answer = torch.nn.Conv2d(64, 11, 1)

    def forward(self, pages: Tensor) -> Tensor:
        return self.answer(self.sppf(self.backbone(pages))).flatten(2)


def train(net: Detector, digits: Tensor, labels: Tensor, steps: int) -> None:
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    net.train()
    for _ in range(steps):
        page, cell, which = pages(digits, 32)
        answer = net(page)
        here = torch.nn.functional.cross_entropy(answer[:, 0], cell)
        read = torch.nn.functional.cross_entropy(answer[torch.arange(32), 1:, cell], labels[which])
        optimizer.zero_grad()
        (here + read).backward()
        optimizer.step()
        schedule.step()


def spp_is_sppf() -> bool:
    """Compares three poolings of 5 cells in a row with poolings of 5, 9 and 13 cells, and prints what either takes."""
    x = torch.randn(8, 32, GRID, GRID)
    start = time.perf_counter()
    chained = F.sppf_pool2d(x)
    middle = time.perf_counter()
    beside = torch.cat([x, *(nn.MaxPool2d(k, 1, k // 2)(x) for k in (5, 9, 13))], 1)
    times = f"{1e3 * (middle - start):.2f} and {1e3 * (time.perf_counter() - middle):.2f} ms"
    same = torch.equal(chained, beside)
    print(f"SPPF and SPP give {'the same' if same else 'different'} {chained.numel()} numbers, in {times}")
    return same


def main(seed: int = 0, smoke: bool = False) -> dict[str, float]:
    """Prints on how many of 500 pages an unseen digit is found, within a cell, and on how many it is read."""
    torch.manual_seed(seed)
    result = {"equal": float(spp_is_sppf())}
    (digits, labels), (test_digits, test_labels) = mnist()
    net = Detector()
    train(net, digits, labels, steps=120 if smoke else 1500)
    net.eval()
    page, cell, which = pages(test_digits, 500)
    with torch.no_grad():
        answer = net(page)
    found = answer[:, 0].argmax(1)
    read = answer[torch.arange(500), 1:, found].argmax(1)
    off = torch.maximum((found // GRID - cell // GRID).abs(), (found % GRID - cell % GRID).abs())
    result["found"] = (off <= 1).float().mean().item()  # a middle may lie where cells meet
    result["read"] = (read == test_labels[which]).float().mean().item()
    print(f"the digit is found on {result['found']:.1%} of the pages, and read right on {result['read']:.1%}")
    return result


if __name__ == "__main__":
    typer.run(main)
