"""poolkit.summary of the architectures of timm, on the meta device: `make census`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import poolkit

#: One architecture of so many; they are listed in alphabetical order, relatives side by side.
EVERY = 6
AT_LEAST = 200

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def timm() -> Iterator[Any]:
    """timm needs torchvision, whose compiled operators fit another torch: two of them are declared instead."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield pytest.importorskip("timm")
    del library  # which forgets them


@pytest.mark.filterwarnings("ignore")
def test_every_sixth_architecture_is_summed_up(timm: Any) -> None:
    names = timm.list_models()[::EVERY]
    poolings, failed = 0, {}
    for name in names:
        with torch.device("meta"):
            try:
                model = timm.create_model(name)
            except Exception as error:  # timm's own affair
                print(f"{name} cannot be built on the meta device: {error!r}")
                continue
            x = torch.zeros(1, *model.default_cfg["input_size"])
        try:
            told = poolkit.summary(model, x)
            poolings += len(told)
            assert str(told)
        except Exception as error:
            failed[name] = repr(error)
    print(f"{len(names)} architectures, {poolings} poolings, {len(failed)} failures")
    assert not failed
    assert len(names) >= AT_LEAST
    assert poolings > len(names)
