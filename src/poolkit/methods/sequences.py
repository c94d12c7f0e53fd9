"""Pooling over time."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample

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
    functions=("temporal_pool",),
    modules=("TemporalPool",),
    cite="Kim, Convolutional neural networks for sentence classification, EMNLP 2014, arXiv 1408.5882 (max over time); "
    "mean_sqrt_len: Cer et al., Universal sentence encoder, 2018, arXiv 1803.11175",
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
    functions=("statistics_pool",),
    modules=("StatisticsPool",),
    cite="Snyder, Garcia-Romero, Sell, Povey and Khudanpur, X-vectors: robust DNN embeddings for speaker recognition, "
    "ICASSP 2018",
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
    functions=("k_max_pool1d", "dynamic_k_max_pool1d"),
    modules=("KMaxPool1d", "DynamicKMaxPool1d"),
    cite="Kalchbrenner, Grefenstette and Blunsom, A convolutional neural network for modelling sentences, ACL 2014, "
    "arXiv 1404.2188",
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
