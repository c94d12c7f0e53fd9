"""Pooling of many instances, or steps, under one label."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_FIRST, _LAST = (2, 3, 7), (2, 7, 3)
_LENGTHS = {"lengths": [7, 3]}
_MASK = {"mask": [[True, True, False, True, True, False, True], [False, False, True, True, False, False, False]]}

AUTO = Layer(
    name="auto",
    title="Auto-pool",
    formula="y = sum of w x over the valid steps, w = softmax of alpha x, alpha learnt for each channel",
    summary="Between the minimum, the mean and the maximum over time, at a place that each channel learns: alpha 0 is "
    "the mean, 1 softmax pooling, large the maximum.",
    file="self_weighted",
    native=True,
    functions=("auto_pool",),
    modules=("AutoPool",),
    papers=(
        Paper(
            kind="article",
            authors="McFee, Brian and Salamon, Justin and Bello, Juan Pablo",
            title="Adaptive pooling operators for weakly labeled sound event detection",
            venue="IEEE/ACM Transactions on Audio, Speech, and Language Processing",
            year=2018,
            arxiv="1804.10070",
        ),
    ),
    samples=(
        Sample("AutoPool", {"channels": 3}, (_FIRST,), (2, 3)),
        Sample("AutoPool", {"channels": 3, "init": 0.0}, (_FIRST,), (2, 3), _LENGTHS),
        Sample("AutoPool", {"channels": 3, "init": -2, "layout": "batch_first"}, (_LAST,), (2, 3), _MASK),
    ),
    invalid=(
        ("AutoPool", {"channels": 0}, "channels"),
        ("AutoPool", {"channels": 3, "init": "mean"}, "init"),
        ("AutoPool", {"channels": 3, "init": float("nan")}, "init"),
        ("AutoPool", {"channels": 3, "layout": "NCL"}, "layout"),
    ),
    see=("linear_softmax", "soft", "temporal"),
)

LINEAR_SOFTMAX = Layer(
    name="linear_softmax",
    title="Linear softmax pooling",
    formula="y = sum of x^2 / sum of x over the valid steps",
    summary="The mean of probabilities over time, each weighted by itself.",
    file="self_weighted",
    native=True,
    functions=("linear_softmax_pool",),
    modules=("LinearSoftmaxPool",),
    papers=(
        Paper(
            authors="Wang, Yun and Li, Juncheng and Metze, Florian",
            title="A comparison of five multiple instance learning pooling functions for sound event detection with "
            "weak labeling",
            venue="ICASSP",
            year=2019,
            arxiv="1810.09050",
        ),
    ),
    samples=(
        Sample("LinearSoftmaxPool", {}, (_FIRST,), (2, 3)),
        Sample("LinearSoftmaxPool", {}, (_FIRST,), (2, 3), _LENGTHS),
        Sample("LinearSoftmaxPool", {"layout": "batch_first"}, (_LAST,), (2, 3), _MASK),
    ),
    invalid=(("LinearSoftmaxPool", {"layout": "NCL"}, "layout"),),
    see=("auto", "stochastic", "noisy_or"),
)

NOISY_OR = Layer(
    name="noisy_or",
    title="Noisy-or pooling",
    formula="y = 1 - product of (1 - p) over the valid instances",
    summary="The probability that a bag holds a positive instance, from the probabilities of its instances or their "
    "logits.",
    file="bags",
    native=True,
    functions=("noisy_or_pool",),
    modules=("NoisyOrPool",),
    papers=(
        Paper(
            authors="Maron, Oded and Lozano-Pérez, Tomás",
            title="A framework for multiple-instance learning",
            venue="NeurIPS",
            year=1997,
        ),
    ),
    samples=(
        Sample("NoisyOrPool", {}, (_FIRST,), (2, 3)),
        Sample("NoisyOrPool", {}, (_FIRST,), (2, 3), _LENGTHS),
        Sample("NoisyOrPool", {"layout": "batch_first"}, (_LAST,), (2, 3), _MASK),
        Sample("NoisyOrPool", {"logits": True}, (_FIRST,), (2, 3), _MASK),
    ),
    invalid=(
        ("NoisyOrPool", {"logits": 1}, "logits"),
        ("NoisyOrPool", {"layout": "NCL"}, "layout"),
    ),
    see=("noisy_and", "linear_softmax", "gated_attention"),
)

ISR = Layer(
    name="isr",
    title="ISR pooling",
    formula="y = S / (1 + S), S = sum of p / (1 - p) over the valid instances",
    summary="The odds of a bag's instances added up, as a probability; of logits, the sigmoid of their log-sum-exp.",
    file="bags",
    native=True,
    functions=("isr_pool",),
    modules=("ISRPool",),
    papers=(
        Paper(
            authors="Keeler, James D. and Rumelhart, David E. and Leow, Wee-Kheng",
            title="Integrated segmentation and recognition of hand-printed numerals",
            venue="NeurIPS",
            year=1990,
        ),
    ),
    samples=(
        Sample("ISRPool", {"logits": True}, (_FIRST,), (2, 3)),
        Sample("ISRPool", {"logits": True}, (_FIRST,), (2, 3), _LENGTHS),
        Sample("ISRPool", {"logits": True, "layout": "batch_first"}, (_LAST,), (2, 3), _MASK),
        Sample("ISRPool", {}, ((2, 3, 6),), (2, 3)),
    ),
    invalid=(
        ("ISRPool", {"logits": 1}, "logits"),
        ("ISRPool", {"layout": "NCL"}, "layout"),
    ),
    see=("noisy_or", "noisy_and"),
)

NOISY_AND = Layer(
    name="noisy_and",
    title="Noisy-and pooling",
    formula="y = (s(a (m - b)) - s(-a b)) / (s(a (1 - b)) - s(-a b)), s the sigmoid, m the mean of the instances, "
    "b learnt",
    summary="A bag is positive once the mean probability of its instances passes a threshold, which each class learns.",
    file="bags",
    native=True,
    functions=("noisy_and_pool",),
    modules=("NoisyAndPool",),
    papers=(
        Paper(
            kind="article",
            authors="Kraus, Oren Z. and Ba, Jimmy Lei and Frey, Brendan J.",
            title="Classifying and segmenting microscopy images with deep multiple instance learning",
            venue="Bioinformatics",
            year=2016,
            doi="10.1093/bioinformatics/btw252",
        ),
    ),
    samples=(
        Sample("NoisyAndPool", {"channels": 3}, (_FIRST,), (2, 3)),
        Sample("NoisyAndPool", {"channels": 3, "a": 0.5, "init": 0.2}, (_FIRST,), (2, 3), _LENGTHS),
        Sample("NoisyAndPool", {"channels": 3, "logits": True, "layout": "batch_first"}, (_LAST,), (2, 3), _MASK),
    ),
    invalid=(
        ("NoisyAndPool", {"channels": 0}, "channels"),
        ("NoisyAndPool", {"channels": 3, "a": 0}, "a"),
        ("NoisyAndPool", {"channels": 3, "a": float("inf")}, "a"),
        ("NoisyAndPool", {"channels": 3, "init": None}, "init"),
        ("NoisyAndPool", {"channels": 3, "logits": "yes"}, "logits"),
        ("NoisyAndPool", {"channels": 3, "layout": "NCL"}, "layout"),
    ),
    see=("noisy_or", "temporal", "gated_attention"),
)
