"""A small GAN that writes digits of 14 x 14 pixels, with pooling in its discriminator.

    python examples/gan.py --pool soft

The discriminator shrinks its maps by max, average, soft or blur pooling. A classifier of real digits judges what the
generator writes: the Frechet distance between its features of real and of written digits, before and after learning.
"""

from __future__ import annotations

from typing import Literal

import torch
import typer
from data import mnist
from torch import Tensor

from poolkit import functional as F
from poolkit import nn

#: With --smoke, where by seeds 0 to 4 the distance becomes 2.2 to 5.4 times smaller.
FLOORS = {"nearer": 1.5}

NOISE = 32


def pooling(name: str) -> torch.nn.Module:
    """Half the height, half the width."""
    return nn.BlurPool2d(3) if name == "blur" else nn.Pool(name, kernel_size=2)


def generator() -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(NOISE, 32 * 7 * 7),
        torch.nn.BatchNorm1d(32 * 7 * 7),
        torch.nn.ReLU(),
        torch.nn.Unflatten(1, (32, 7, 7)),
        torch.nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False),  # 14
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 1, 3, padding=1),
        torch.nn.Sigmoid(),
    )


def discriminator(pool: str, outputs: int = 1) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.LeakyReLU(0.2),
        pooling(pool),  # 7
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.LeakyReLU(0.2),
        pooling(pool),  # 3 or, by blur pooling, 4
        torch.nn.Flatten(),
        torch.nn.LazyLinear(32),
        torch.nn.LeakyReLU(0.2),
        torch.nn.Linear(32, outputs),
    )


def train_classifier(images: Tensor, labels: Tensor, epochs: int = 2) -> torch.nn.Sequential:
    """The judge, which sees only real digits; its last layer but one gives the features."""
    net = discriminator("max", outputs=10)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(50):
            loss = torch.nn.functional.cross_entropy(net(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net.eval()


def train(writer: torch.nn.Module, critic: torch.nn.Module, images: Tensor, steps: int, batch: int = 32) -> None:
    """Both learn in turn: the critic to tell real from written, the writer to be taken for real."""
    loss_of = torch.nn.functional.binary_cross_entropy_with_logits
    writing, judging = (torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.99)) for net in (writer, critic))
    real, written = torch.full((batch, 1), 0.9), torch.zeros(batch, 1)  # 0.9: never quite sure
    for _ in range(steps):
        digits = writer(torch.randn(batch, NOISE))
        seen = images[torch.randint(len(images), (batch,))]
        loss = loss_of(critic(seen), real) + loss_of(critic(digits.detach()), written)
        judging.zero_grad()
        loss.backward()
        judging.step()
        loss = loss_of(critic(digits), real)
        writing.zero_grad()
        loss.backward()
        writing.step()


def distance(features: Tensor, others: Tensor) -> float:
    """Frechet distance of two Gaussians with the means and covariances of the features (N, D), as in FID."""
    (mean, cov), (other_mean, other_cov) = ((f.mean(0), f.T.cov()) for f in (features.double(), others.double()))
    values = torch.linalg.eigvals(cov @ other_cov).real.clamp(min=0)
    return ((mean - other_mean).square().sum() + cov.trace() + other_cov.trace() - 2 * values.sqrt().sum()).item()


@torch.no_grad()
def judged(judge: torch.nn.Sequential, digits: Tensor, real: Tensor) -> tuple[float, float]:
    """How far the digits are from real ones, and how sure the judge is which they are."""
    features = judge[:-1]
    return distance(features(digits), features(real)), judge(digits).softmax(1).amax(1).mean().item()


def main(pool: Literal["blur", "avg", "soft", "max"] = "blur", seed: int = 0, smoke: bool = False) -> dict[str, float]:
    """Prints how far from real digits is what the generator writes, and what unseen real ones are; draws gan.png."""
    from PIL import Image

    torch.manual_seed(seed)
    (images, labels), (test_images, _) = mnist()
    images, test_images = F.avg_pool2d(images, 2), F.avg_pool2d(test_images, 2)
    judge = train_classifier(images, labels)
    writer, critic = generator(), discriminator(pool)
    noise = torch.randn(1000, NOISE)
    with torch.no_grad():
        before = writer.eval()(noise)
    train(writer.train(), critic, images, steps=300 if smoke else 5000)
    with torch.no_grad():
        after = writer.eval()(noise)
    figures = {}
    for name, digits in (("untrained", before), ("trained", after), ("real, unseen", test_images)):
        figures[name], sure = judged(judge, digits, images)
        print(f"{name}: distance to real digits {figures[name]:.1f}; the judge is {sure:.0%} sure")
    sheet = (after[:64].reshape(8, 8, 14, 14).transpose(1, 2).reshape(112, 112) * 255).byte()
    Image.fromarray(sheet.numpy()).save("gan.png")
    print("gan.png shows 64 of them")
    return {"nearer": figures["untrained"] / figures["trained"]}


if __name__ == "__main__":
    typer.run(main)
