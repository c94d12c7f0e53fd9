"""The cases of the client's list by their numbers: R operators, G geometry, B gradients, U uses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from numpy.typing import NDArray

import poolkit.numpy
from poolkit import functional, nn

SIXTEEN = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)


def test_R1_max_and_average_of_one_to_sixteen() -> None:
    assert functional.max_pool2d(SIXTEEN, 2, 2).tolist() == [[[[6, 8], [14, 16]]]]
    assert functional.avg_pool2d(SIXTEEN, 2, 2).tolist() == [[[[3.5, 5.5], [11.5, 13.5]]]]
    assert nn.MaxPool2d(2)(SIXTEEN).tolist() == [[[[6, 8], [14, 16]]]]
    assert nn.AvgPool2d(2)(SIXTEEN).tolist() == [[[[3.5, 5.5], [11.5, 13.5]]]]


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (13, 29), (224, 160)])
def test_R3_global_pooling_of_any_size(size: tuple[int, int]) -> None:
    x = torch.randn(2, 5, *size)
    for module, expected in (
        (nn.GlobalAvgPool2d(), x.double().mean((2, 3), keepdim=True).float()),
        (nn.GlobalMaxPool2d(), x.amax((2, 3), keepdim=True)),
    ):
        y = module(x)
        assert y.shape == (2, 5, 1, 1)
        torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("arguments", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}])
def test_R7_add_is_half_of_both_and_cat_is_average_then_max(arguments: dict[str, Any]) -> None:
    x = torch.randn(2, 3, 9, 11)
    average, largest = functional.avg_pool2d(x, **arguments), functional.max_pool2d(x, **arguments)
    torch.testing.assert_close(functional.avg_max_pool2d(x, **arguments), (average + largest) / 2)
    torch.testing.assert_close(functional.avg_max_pool2d(x, **arguments, mode="cat"), torch.cat((average, largest), 1))
    for output_size in (1, (4, 3), 7):
        average = functional.adaptive_avg_pool2d(x, output_size)
        largest = functional.adaptive_max_pool2d(x, output_size)
        torch.testing.assert_close(functional.adaptive_avg_max_pool2d(x, output_size), (average + largest) / 2)
        torch.testing.assert_close(
            nn.AdaptiveAvgMaxPool2d(output_size, mode="cat")(x), torch.cat((average, largest), 1)
        )


def test_R8_norms_lie_between_the_sum_and_the_maximum() -> None:
    x = torch.rand(1, 2, 8, 8, dtype=torch.float64) + 0.1
    torch.testing.assert_close(functional.lp_pool2d(x, 1, 2), functional.sum_pool2d(x, 2))
    torch.testing.assert_close(functional.lp_pool2d(x, 2, 2), functional.sum_pool2d(x * x, 2).sqrt())
    torch.testing.assert_close(functional.lp_pool2d(x, 400, 2), functional.max_pool2d(x, 2), rtol=5e-3, atol=0)
    assert torch.equal(functional.lp_pool2d(x, math.inf, 2), functional.max_pool2d(x, 2))
    torch.testing.assert_close(functional.power_avg_pool2d(x, 1, 2), functional.avg_pool2d(x, 2))
    assert torch.equal(functional.power_avg_pool2d(x, math.inf, 2), functional.max_pool2d(x, 2))


def test_R2_k_max_keeps_the_order_of_the_sequence() -> None:
    matrix = torch.tensor([[3.0, 1.0], [9.0, 7.0], [2.0, 8.0], [5.0, 4.0]])  # 4 steps of 2 features
    assert functional.k_max_pool1d(matrix.T, 2).T.tolist() == [[9, 7], [5, 8]]
    assert functional.k_max_pool1d(matrix.T, 2, order="value").T.tolist() == [[9, 8], [5, 7]]
    sentence = torch.randn(1, 3, 18)
    assert functional.dynamic_k_max_pool1d(sentence, layer=1, layers=3, k_top=3).shape == (1, 3, 12)


def test_R4_stochastic_pooling_draws_in_training_and_averages_in_evaluation() -> None:
    layer = nn.StochasticPool2d(2)
    x = torch.tensor([[[1.0, 2], [3, 4]]])
    assert {layer(x).item() for _ in range(200)} == {1, 2, 3, 4}
    assert layer.eval()(x).item() == 3.0  # (1 + 4 + 9 + 16) / 10


def test_R5_mixed_pooling_draws_in_training_and_takes_the_expectation_in_evaluation() -> None:
    layer = nn.MixedPool2d(2)
    assert {layer(SIXTEEN[:, :, :2, :2]).item() for _ in range(100)} == {6, 3.5}
    assert layer.eval()(SIXTEEN[:, :, :2, :2]).item() == 4.75


def test_R6_the_gradient_of_the_median_goes_to_the_cells_that_made_it() -> None:
    x = torch.tensor([[[9.0, 1.0, 5.0, 4.0]]], requires_grad=True)
    for even, value, share in (
        ("lower", 4, [0, 0, 0, 1]),
        ("higher", 5, [0, 0, 1, 0]),
        ("mean", 4.5, [0, 0, 0.5, 0.5]),
    ):
        y = functional.median_pool1d(x, 4, even=even)
        assert y.item() == value
        (gradient,) = torch.autograd.grad(y, x)
        assert gradient.flatten().tolist() == share


@pytest.mark.parametrize("name", ["max", "min", "avg", "sum", "avg_max", "median"])
def test_R13_each_rank_pools_alike(name: str) -> None:
    """A line, the same line as an image of one row, and as a volume of one row and one slice."""
    x = torch.randn(2, 3, 17)
    line = getattr(functional, f"{name}_pool1d")(x, kernel_size=3, stride=2, padding=1)
    for rank in (2, 3):
        ones, noughts = (1,) * (rank - 1), (0,) * (rank - 1)
        pool = getattr(functional, f"{name}_pool{rank}d")
        y = pool(
            x.reshape(2, 3, *ones, 17),
            kernel_size=(*ones, 3),
            stride=(*ones, 2),
            padding=(*noughts, 1),
        )
        assert torch.equal(y.reshape(line.shape), line)


@pytest.mark.parametrize("mode", ["lite", "full"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_R9_details_are_preserved(mode: str, symmetric: bool) -> None:
    """A bright cell in a dark window weighs more than in the average; a dark one in a bright window if symmetric."""
    layer = nn.DetailPreservingPool2d(1, 2, mode=mode, symmetric=symmetric)
    with torch.no_grad():
        layer.alpha.fill_(-1.0)
        layer.lam.fill_(1.0)
    bright = torch.tensor([[[[9.0, 1.0], [1.0, 1.0]]]], requires_grad=True)
    dark = torch.tensor([[[[1.0, 9.0], [9.0, 9.0]]]])
    assert layer(bright).item() > 3
    if mode == "lite":
        assert (layer(dark).item() < 7) == symmetric
    layer(bright).backward()
    assert bright.grad is not None
    assert layer.alpha.grad is not None


@pytest.mark.parametrize("logit", ["simplified", "bottleneck"])
def test_R10_importance_is_learnt(logit: str) -> None:
    """A few steps teach the logits which cells matter: those of a channel that marks them."""
    torch.manual_seed(0)
    layer = nn.LocalImportancePool2d(2, 2, 2, 0, logit)
    optimiser = torch.optim.Adam(layer.parameters(), 0.05)
    losses = []
    for _ in range(60):
        marks = torch.nn.functional.one_hot(torch.randint(4, (16, 16)), 4).float()
        marks = torch.nn.functional.pixel_shuffle(marks.permute(2, 0, 1)[None].reshape(1, 4, 16, 16), 2)
        values = torch.rand_like(marks)
        y = layer(torch.cat([values, marks], 1))[:, :1]
        wanted = functional.sum_pool2d(values * marks, 2)
        loss = (y - wanted).square().mean()
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_R11_soft_pooling_and_its_exact_gradient() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]], dtype=torch.float64, requires_grad=True)
    weights = torch.softmax(x.detach(), -1)
    y = functional.soft_pool1d(x, 4)
    torch.testing.assert_close(y, (weights * x.detach()).sum(-1, keepdim=True))
    y.backward()
    torch.testing.assert_close(x.grad, weights * (1 + x.detach() - y.detach()))


def test_R15_regions_become_maps_of_one_size() -> None:
    """As Faster R-CNN pools its boxes: a box of the whole map is adaptive pooling."""
    x = torch.randn(1, 3, 8, 12)
    whole = torch.tensor([[0.0, 0.0, 0.0, 11.0, 7.0]])
    assert torch.equal(functional.roi_pool(x, whole, (4, 6)), functional.adaptive_max_pool2d(x, (4, 6)))
    boxes = torch.tensor([[0.0, 1.0, 1.0, 5.0, 6.0], [0.0, 2.5, 0.0, 11.0, 3.0]])
    assert functional.roi_align(x, boxes, 7).shape == (2, 3, 7, 7)
    constant = functional.roi_align(torch.full_like(x, 5.0), boxes, 7, sampling_ratio=2)
    torch.testing.assert_close(constant, torch.full_like(constant, 5.0))


@pytest.mark.parametrize("size", [(7, 7), (1, 1), (5, 12)])
def test_R12_pooling_and_attention_work_together(size: tuple[int, int]) -> None:
    """A head that attends, and blocks that weigh what follows, for any size of map."""
    x = torch.randn(2, 8, *size)
    assert nn.AttentionPool2d(8, 7, num_heads=2, out_channels=5)(x).shape == (2, 5)
    for block in (nn.SqueezeExcitation2d(8, 4), nn.CBAM2d(8, 4)):
        y = block(x)
        assert y.shape == x.shape
        assert (y.abs() <= x.abs()).all()  # weights lie between 0 and 1
    y, weights = nn.GatedAttentionPool(8, 4)(x.flatten(2).transpose(1, 2), return_weights=True)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 1))


@pytest.mark.parametrize("kind", ["mean", "max", "min", "sum", "first", "last", "weighted", "mean_sqrt_len"])
def test_R14_padded_steps_never_leak(kind: str) -> None:
    """A recurrent net's outputs pooled in a padded batch are those of each sequence alone."""
    net = torch.nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    sequences = [torch.randn(length, 3) for length in (6, 2, 4)]
    packed, _ = net(torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False))
    pool = nn.TemporalPool(kind, layout="batch_first")
    alone = torch.stack([pool(net(sequence[None])[0])[0] for sequence in sequences])
    torch.testing.assert_close(pool(packed), alone)
    padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, padding_value=math.nan)
    torch.testing.assert_close(pool(padded, lengths), alone)


def test_R15_chained_windows_are_the_large_ones() -> None:
    x = torch.randn(1, 2, 20, 20)
    large = [functional.max_pool2d(x, kernel, 1, kernel // 2) for kernel in (5, 9, 13)]
    assert torch.equal(functional.sppf_pool2d(x), torch.cat([x, *large], 1))
    assert nn.SPPF2d(2, 6)(x).shape == (1, 6, 20, 20)
    assert nn.SpatialPyramidPool2d((1, 2, 4))(x).shape == (1, 2 * 21)


def test_R15_unpooling_restores_the_positions() -> None:
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 1], x[0, 0, 1, 2], x[0, 0, 3, 0], x[0, 0, 2, 3] = 5, 6, 7, 8
    y, indices = functional.max_pool2d(x, 2, return_indices=True)
    assert y.tolist() == [[[[5, 6], [7, 8]]]]
    assert indices.tolist() == [[[[1, 6], [12, 11]]]]
    assert torch.equal(functional.max_unpool2d(y, indices, 2), x)


def test_G1_kernel_of_an_int_and_of_a_rectangle() -> None:
    assert functional.max_pool2d(SIXTEEN, (1, 4)).tolist() == [[[[4], [8], [12], [16]]]]
    assert functional.max_pool2d(SIXTEEN, (4, 1)).tolist() == [[[[13, 14, 15, 16]]]]
    assert torch.equal(functional.max_pool2d(SIXTEEN, 3), functional.max_pool2d(SIXTEEN, (3, 3)))


def test_G2_stride_is_the_kernel_by_default_and_may_differ_by_axis() -> None:
    x = torch.randn(1, 2, 12, 12)
    for kernel in (2, 3, (2, 3)):
        assert torch.equal(functional.avg_pool2d(x, kernel), functional.avg_pool2d(x, kernel, kernel))
    assert functional.max_pool2d(x, 2, (1, 2)).shape == (1, 2, 11, 6)
    assert functional.max_pool2d(SIXTEEN, 2, (1, 2)).tolist() == [[[[6, 8], [10, 12], [14, 16]]]]
    assert functional.max_pool2d(SIXTEEN, 2, (2, 1)).tolist() == [[[[6, 7, 8], [14, 15, 16]]]]


def test_G3_padding_of_every_kind() -> None:
    """H_out = (H + p_h1 + p_h2 - k_h) / s_h + 1, and the padding is where it was asked for."""
    x = torch.randn(1, 2, 9, 10)
    for (top, bottom), (left, right) in (((0, 1), (2, 0)), ((1, 0), (0, 2)), ((2, 2), (1, 2))):
        y = functional.avg_pool2d(x, 3, (2, 1), ((top, bottom), (left, right)))
        assert y.shape[2:] == ((9 + top + bottom - 3) // 2 + 1, (10 + left + right - 3) // 1 + 1)
        padded = torch.nn.functional.pad(x, (left, right, top, bottom))
        torch.testing.assert_close(y, functional.avg_pool2d(padded, 3, (2, 1)))
    assert torch.equal(functional.max_pool2d(x, 3, 2, "valid"), functional.max_pool2d(x, 3, 2, 0))
    assert torch.equal(functional.max_pool2d(x, 3, 2, (1, 0)), functional.max_pool2d(x, 3, 2, ((1, 1), (0, 0))))


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1])
def test_G4_dilation(dilation: int, padding: int) -> None:
    """H_out = floor((H + 2p - d (k - 1) - 1) / s + 1)."""
    x = torch.randn(1, 2, 28, 31)
    for kernel, stride in ((2, 1), (3, 2)):
        y = functional.max_pool2d(x, kernel, stride, padding, dilation)
        expected = [math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1) for size in (28, 31)]
        assert list(y.shape[2:]) == expected
        assert torch.equal(y, torch.nn.functional.max_pool2d(x, kernel, stride, padding, dilation))
    assert functional.sum_pool1d(torch.arange(7.0)[None], 3, 1, 0, 2).tolist() == [[6, 9, 12]]


def test_G5_shapes() -> None:
    x = torch.randn(4, 32, 28, 28)
    assert functional.max_pool2d(x, 2, 2).shape == (4, 32, 14, 14)
    assert functional.avg_pool2d(x, 3, 1, 1).shape == (4, 32, 28, 28)
    for kernel in (1, 2, 3, 4, 5):
        for size in (27, 28):
            y = functional.max_pool2d(x[..., :size], kernel, 1, "same")
            assert y.shape == (4, 32, 28, size)


def test_G6_channels_are_independent_and_keep_their_number() -> None:
    x = torch.randn(2, 6, 9, 9)
    for name, params in (("max", {}), ("avg", {}), ("lp", {"norm_type": 2}), ("avg_max", {})):
        pool = getattr(functional, f"{name}_pool2d")
        y = pool(x, kernel_size=3, stride=2, **params)
        assert y.shape[1] == 6
        for channel in range(6):
            alone = pool(x[:, channel : channel + 1], kernel_size=3, stride=2, **params)
            torch.testing.assert_close(y[:, channel : channel + 1], alone)
    assert functional.avg_max_pool2d(x, 3, mode="cat").shape[1] == 12


def test_B1_average_shares_the_gradient() -> None:
    """Not copied N times: a window of four sends a quarter to each of its cells."""
    x = SIXTEEN.clone().requires_grad_()
    functional.avg_pool2d(x, 2).backward(torch.tensor([[[[4.0, 8.0], [12.0, 16.0]]]]))
    assert x.grad is not None
    assert x.grad.tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]
    overlapping = torch.randn(1, 1, 8, 8, requires_grad=True)
    y = functional.avg_pool2d(overlapping, 3, 1)
    gradient = torch.rand_like(y)
    y.backward(gradient)
    assert overlapping.grad is not None
    torch.testing.assert_close(overlapping.grad.sum(), gradient.sum())


def test_B2_max_sends_the_gradient_to_the_winner() -> None:
    x = torch.tensor([[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 2.0]]]], requires_grad=True)
    y, indices = functional.max_pool2d(x, 2, return_indices=True)
    assert y.tolist() == [[[[5, 2]]]]
    assert indices.tolist() == [[[[1, 2]]]]
    y.backward(torch.tensor([[[[10.0, 20.0]]]]))
    assert x.grad is not None
    assert x.grad.tolist() == [[[[0, 10, 20, 0], [0, 0, 0, 0]]]]


def test_B2_winners_are_recorded_in_one_byte() -> None:
    kept: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    x = torch.randn(4, 32, 28, 28, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = functional.max_pool2d(x, 2)
    assert [(tensor.dtype, tensor.numel()) for tensor in kept] == [(torch.uint8, y.numel())]


def test_U1_shape_of_the_spectrogram() -> None:
    """Three seconds at 16 kHz, 512-point frames 256 samples apart: 257 x 188, which 2 x 2 makes 128 x 94."""
    frames = torch.stft(
        torch.randn(3 * 16000), n_fft=512, hop_length=256, window=torch.hann_window(512), return_complex=True
    )
    decibels = 20 * frames.abs().clamp_min(1e-5).log10()
    assert decibels.shape == (257, 188)
    x = decibels[None]
    for pool in (functional.max_pool2d, functional.avg_pool2d):
        assert pool(x, 2).shape == (1, 128, 94)
    corner = decibels[:2, :2]
    assert functional.max_pool2d(x, 2)[0, 0, 0] == corner.max()
    torch.testing.assert_close(functional.avg_pool2d(x, 2)[0, 0, 0], corner.mean())


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("name", ["max", "avg"])
@pytest.mark.parametrize("size", [(4, 4), (5, 6), (28, 28), (7, 9)])
@pytest.mark.parametrize(("pool_size", "strides"), [(2, None), (3, 2), (2, 1), (3, 1), ((2, 3), (1, 2))])
def test_U7_keras_style_gives_the_numbers_of_pytorch_style(
    name: str,
    padding: str,
    size: tuple[int, int],
    pool_size: int | tuple[int, int],
    strides: int | tuple[int, int],
) -> None:
    """Channels last with TensorFlow's padding, as arrays and as permuted tensors."""
    x: NDArray[Any] = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    keras = getattr(poolkit.numpy, f"{name}_pool2d")(x, pool_size, strides, padding, data_format="channels_last")
    first = torch.tensor(x).permute(0, 3, 1, 2)
    pytorch = getattr(functional, f"{name}_pool2d")(first, pool_size, strides, padding)
    assert pytorch.is_contiguous(memory_format=torch.channels_last)

    kernel = (pool_size,) * 2 if isinstance(pool_size, int) else pool_size
    step = kernel if strides is None else (strides,) * 2 if isinstance(strides, int) else strides
    axes = []
    for length, k, s in zip(size, kernel, step, strict=True):
        sides = oracle.same_padding(length, k, s, 1) if padding == "same" else (0, 0)
        axes.append(oracle.slide(length, k, s, *sides, 1, False))
    params = {"count_include_pad": False} if name == "avg" else {}
    expected = oracle.pool(name, np.moveaxis(x, -1, 1), axes, **params).values
    assert pytorch.shape == expected.shape
    assert keras.shape == np.moveaxis(expected, 1, -1).shape
    np.testing.assert_allclose(pytorch.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.moveaxis(keras, -1, 1), expected, rtol=1e-5, atol=1e-6)
    if padding == "same":
        assert pytorch.shape[2:] == tuple(math.ceil(n / s) for n, s in zip(size, step, strict=True))


def test_U7_numbers_of_both_styles() -> None:
    """One to sixteen, 2 x 2, stride 2, in both frameworks' words; and the same-padded 3 x 3 of stride 2."""
    x = SIXTEEN.numpy().reshape(1, 4, 4, 1)
    for name, rows in (("max", [[6, 8], [14, 16]]), ("avg", [[3.5, 5.5], [11.5, 13.5]])):
        keras = getattr(poolkit.numpy, f"{name}_pool2d")(x, 2, 2, "valid", data_format="channels_last")
        assert keras[0, :, :, 0].tolist() == rows
        assert getattr(functional, f"{name}_pool2d")(SIXTEEN, 2, 2, "valid")[0, 0].tolist() == rows
    same = functional.avg_pool1d(torch.arange(1.0, 7.0)[None], 3, 2, "same")
    assert same.tolist() == [[2, 4, 5.5]]
