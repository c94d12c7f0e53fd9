"""Pooling over time."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_LENGTHS = {"lengths": [7, 3]}
_MASK = {"mask": [[True, True, False, True, True, False, True], [False, False, True, True, False, False, False]]}
_WEIGHTS = {"weights": [[0.5, 1.0, 2.0, 0.25, 3.0, 1.5, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]}
_FIRST, _LAST = (2, 3, 7), (2, 7, 3)

TEMPORAL = Layer(
    name="temporal",
    title="Temporal pooling",
    formula="y = mean, max, min, sum, first, last, weighted mean or sum / sqrt(n) over the n valid steps",
    summary="One vector for each sequence of a padded batch, from its valid steps alone: given by lengths, by a mask, "
    "or by a PackedSequence.",
    file="temporal",
    native=True,
    functions=("temporal_pool",),
    modules=("TemporalPool",),
    papers=(
        Paper(
            authors="Kim, Yoon",
            title="Convolutional neural networks for sentence classification",
            venue="EMNLP",
            year=2014,
            doi="10.3115/v1/D14-1181",
            arxiv="1408.5882",
        ),
        Paper(
            kind="misc",
            authors="Cer, Daniel and Yang, Yinfei and Kong, Sheng-yi and Hua, Nan and Limtiaco, Nicole and "
            "St. John, Rhomni and Constant, Noah and Guajardo-Cespedes, Mario and Yuan, Steve and Tar, Chris and "
            "Sung, Yun-Hsuan and Strope, Brian and Kurzweil, Ray",
            title="Universal sentence encoder",
            year=2018,
            arxiv="1803.11175",
        ),
    ),
    remark="the first for the maximum over time, the second for mean_sqrt_len",
    samples=(
        Sample("TemporalPool", {}, (_FIRST,), (2, 3)),
        Sample("TemporalPool", {}, (_FIRST,), (2, 3), _LENGTHS),
        Sample("TemporalPool", {"kind": "max"}, (_FIRST,), (2, 3)),
        Sample("TemporalPool", {"kind": "max"}, (_FIRST,), (2, 3), _MASK),
        Sample("TemporalPool", {"kind": "min", "layout": "batch_first"}, (_LAST,), (2, 3), _LENGTHS),
        Sample("TemporalPool", {"kind": "sum"}, (_FIRST,), (2, 3), _MASK),
        Sample("TemporalPool", {"kind": "first"}, (_FIRST,), (2, 3), _MASK),
        Sample("TemporalPool", {"kind": "last", "layout": "batch_first"}, (_LAST,), (2, 3), _MASK),
        Sample("TemporalPool", {"kind": "weighted"}, (_FIRST,), (2, 3), _MASK),
        Sample("TemporalPool", {"kind": "weighted"}, (_FIRST,), (2, 3), {**_LENGTHS, **_WEIGHTS}),
        Sample("TemporalPool", {"kind": "mean_sqrt_len"}, (_FIRST,), (2, 3), _LENGTHS),
    ),
    invalid=(
        ("TemporalPool", {"kind": "median"}, "kind"),
        ("TemporalPool", {"layout": "NCL"}, "layout"),
        ("TemporalPool", {"layout": ["batch_first"]}, "layout"),
    ),
    see=("statistics", "max", "avg"),
)

STATISTICS = Layer(
    name="statistics",
    title="Statistics pooling",
    formula="y = [mean, sqrt(mean of (x - mean)^2 + eps)] over the valid steps",
    summary="Mean and standard deviation of every channel over time, side by side, as speaker recognition uses them.",
    file="statistics",
    native=True,
    functions=("statistics_pool",),
    modules=("StatisticsPool",),
    papers=(
        Paper(
            authors="Snyder, David and Garcia-Romero, Daniel and Sell, Gregory and Povey, Daniel and "
            "Khudanpur, Sanjeev",
            title="X-vectors: robust DNN embeddings for speaker recognition",
            venue="ICASSP",
            year=2018,
            doi="10.1109/ICASSP.2018.8461375",
        ),
    ),
    samples=(
        Sample("StatisticsPool", {}, (_FIRST,), (2, 6)),
        Sample("StatisticsPool", {"unbiased": True}, (_FIRST,), (2, 6), _LENGTHS),
        Sample("StatisticsPool", {"eps": 1e-3, "layout": "batch_first"}, (_LAST,), (2, 6), _MASK),
    ),
    invalid=(
        ("StatisticsPool", {"eps": 0}, "eps"),
        ("StatisticsPool", {"eps": float("nan")}, "eps"),
        ("StatisticsPool", {"eps": "small"}, "eps"),
        ("StatisticsPool", {"unbiased": "no"}, "unbiased"),
        ("StatisticsPool", {"layout": "NCL"}, "layout"),
    ),
    see=("temporal",),
)

K_MAX = Layer(
    name="k_max",
    title="K-max pooling",
    formula="y = the k largest steps of a row, in the order that they had or the largest first",
    summary="Keeps the k largest steps of every channel of a sequence. Padded steps are never picked; rows of fewer "
    "than k valid steps end in zeros.",
    file="k_max",
    native=True,
    functions=("k_max_pool1d", "dynamic_k_max_pool1d"),
    modules=("KMaxPool1d", "DynamicKMaxPool1d"),
    papers=(
        Paper(
            authors="Kalchbrenner, Nal and Grefenstette, Edward and Blunsom, Phil",
            title="A convolutional neural network for modelling sentences",
            venue="ACL",
            year=2014,
            doi="10.3115/v1/P14-1062",
            arxiv="1404.2188",
        ),
    ),
    samples=(
        Sample("KMaxPool1d", {"k": 3}, (_FIRST,), (2, 3, 3)),
        Sample("KMaxPool1d", {"k": 4}, (_FIRST,), (2, 3, 4), _LENGTHS),
        Sample("KMaxPool1d", {"k": 2, "order": "value"}, (_FIRST,), (2, 3, 2), _LENGTHS),
        Sample("DynamicKMaxPool1d", {"layer": 1, "layers": 2, "k_top": 2}, (_FIRST,), (2, 3, 4)),
        Sample("DynamicKMaxPool1d", {"layer": 1, "layers": 3, "k_top": 4}, (_FIRST,), (2, 3, 5), _LENGTHS),
    ),
    invalid=(
        ("KMaxPool1d", {"k": 0}, "k"),
        ("KMaxPool1d", {"k": 2.0}, "k"),
        ("KMaxPool1d", {"k": 2, "order": "size"}, "order"),
        ("DynamicKMaxPool1d", {"layer": 3, "layers": 2, "k_top": 1}, "layer"),
        ("DynamicKMaxPool1d", {"layer": 1, "layers": 2, "k_top": 0}, "k_top"),
    ),
    integers=True,
    see=("top_k_mean", "max", "temporal"),
)

ATTENTIVE_STATISTICS = Layer(
    name="attentive_statistics",
    title="Attentive statistics pooling",
    formula="y = [m, sqrt(max(sum of w (x - m)^2, eps))], m = sum of w x, w = softmax of learnt scores of the steps",
    summary="Mean and standard deviation of every channel over time, under weights that a small network gives the "
    "steps, of each channel or of all.",
    file="attentive_statistics",
    native=True,
    functions=("attentive_statistics_pool",),
    modules=("AttentiveStatisticsPool",),
    papers=(
        Paper(
            authors="Okabe, Koji and Koshinaka, Takafumi and Shinoda, Koichi",
            title="Attentive statistics pooling for deep speaker embedding",
            venue="Interspeech",
            year=2018,
            arxiv="1803.10963",
        ),
        Paper(
            authors="Desplanques, Brecht and Thienpondt, Jenthe and Demuynck, Kris",
            title="ECAPA-TDNN: emphasized channel attention, propagation and aggregation in TDNN based speaker "
            "verification",
            venue="Interspeech",
            year=2020,
            arxiv="2005.07143",
        ),
    ),
    remark="the second for weights of each channel and the global context",
    samples=(
        Sample("AttentiveStatisticsPool", {"channels": 3, "hidden_channels": 4}, (_FIRST,), (2, 6)),
        Sample(
            "AttentiveStatisticsPool",
            {"channels": 3, "hidden_channels": 2, "per_channel": False, "global_context": False},
            (_FIRST,),
            (2, 6),
            _LENGTHS,
        ),
        Sample(
            "AttentiveStatisticsPool",
            {"channels": 3, "hidden_channels": 2, "eps": 1e-3, "layout": "batch_first"},
            (_LAST,),
            (2, 6),
            _MASK,
        ),
    ),
    invalid=(
        ("AttentiveStatisticsPool", {"channels": 0}, "channels"),
        ("AttentiveStatisticsPool", {"channels": 3, "hidden_channels": 1.5}, "hidden_channels"),
        ("AttentiveStatisticsPool", {"channels": 3, "per_channel": 1}, "per_channel"),
        ("AttentiveStatisticsPool", {"channels": 3, "global_context": None}, "global_context"),
        ("AttentiveStatisticsPool", {"channels": 3, "eps": 0.0}, "eps"),
        ("AttentiveStatisticsPool", {"channels": 3, "layout": "NCL"}, "layout"),
    ),
    see=("statistics", "additive_attention"),
)

SPLADE = Layer(
    name="splade",
    title="SPLADE pooling",
    formula="y = max or sum of log(1 + relu(x)) over the valid tokens",
    summary="A sparse vector over the vocabulary from the logits of a text's tokens, for retrieval with an inverted "
    "index.",
    file="splade",
    native=True,
    functions=("splade_pool",),
    modules=("SpladePool",),
    papers=(
        Paper(
            authors="Formal, Thibault and Piwowarski, Benjamin and Clinchant, Stéphane",
            title="SPLADE: sparse lexical and expansion model for first stage ranking",
            venue="SIGIR",
            year=2021,
            arxiv="2107.05720",
        ),
        Paper(
            kind="misc",
            authors="Formal, Thibault and Lassance, Carlos and Piwowarski, Benjamin and Clinchant, Stéphane",
            title="SPLADE v2: sparse lexical and expansion model for information retrieval",
            year=2021,
            arxiv="2109.10086",
            letter="b",
        ),
        Paper(
            authors="Shen, Xinjie and Geng, Zhichao and Yang, Yang",
            title="Exploring l0 sparsification for inference-free sparse retrievers",
            venue="SIGIR",
            year=2025,
            arxiv="2504.14839",
        ),
    ),
    remark="the first for the sum, the second for the maximum, the third for the logarithm taken twice",
    samples=(
        Sample("SpladePool", {}, (_FIRST,), (2, 3)),
        Sample("SpladePool", {"kind": "sum"}, (_FIRST,), (2, 3), _LENGTHS),
        Sample("SpladePool", {"activation": "log1p_relu", "layout": "batch_first"}, (_LAST,), (2, 3), _MASK),
        Sample("SpladePool", {"kind": "sum", "activation": "log1p_relu"}, (_FIRST,), (2, 3), _MASK),
    ),
    invalid=(
        ("SpladePool", {"kind": "mean"}, "kind"),
        ("SpladePool", {"activation": "softplus"}, "activation"),
        ("SpladePool", {"layout": "NCL"}, "layout"),
    ),
    see=("temporal", "max"),
)
