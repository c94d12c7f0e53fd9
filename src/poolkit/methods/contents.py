"""Means of windows whose weights come from the content, with learnt parameters."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {1: (2, 3, 7), 2: (2, 3, 5, 7), 3: (2, 3, 3, 5, 4)}
_HALF = {1: (2, 3, 3), 2: (2, 3, 2, 3), 3: (2, 3, 1, 2, 2)}
_STRIDED = {1: (2, 3, 4), 2: (2, 3, 3, 4), 3: (2, 3, 2, 3, 2)}
_RANKS = (1, 2, 3)

LOCAL_IMPORTANCE = Layer(
    name="local_importance",
    title="Local importance pooling",
    formula="y = sum over the window of exp(t) x / sum of exp(t), where t = G(x) is learnt",
    summary="The mean of each window, weighted by the exponentials of logits that a small network makes of the input: "
    "what matters is learnt, not assumed.",
    file="importance",
    native=True,
    functions=tuple(f"local_importance_pool{rank}d" for rank in _RANKS),
    modules=tuple(
        f"{name}{rank}d" for name in ("LocalImportancePool", "SimplifiedLogit", "BottleneckLogit") for rank in _RANKS
    ),
    papers=(
        Paper(
            authors="Gao, Ziteng and Wang, Limin and Wu, Gangshan",
            title="LIP: local importance-based pooling",
            venue="ICCV",
            year=2019,
            arxiv="1908.04156",
        ),
    ),
    samples=(
        *(Sample(f"LocalImportancePool{rank}d", {"channels": 3}, (_MAPS[rank],), _STRIDED[rank]) for rank in _RANKS),
        Sample(
            "LocalImportancePool2d",
            {"channels": 3, "kernel_size": 2, "stride": None, "padding": 0, "logit": "bottleneck"},
            (_MAPS[2],),
            _HALF[2],
        ),
        *(Sample(f"SimplifiedLogit{rank}d", {"channels": 3}, (_MAPS[rank],), _MAPS[rank]) for rank in _RANKS),
        *(
            Sample(f"BottleneckLogit{rank}d", {"channels": 3, "hidden": 4}, (_MAPS[rank],), _MAPS[rank])
            for rank in _RANKS
        ),
    ),
    invalid=(
        ("LocalImportancePool2d", {"channels": 0}, "channels"),
        ("LocalImportancePool2d", {"channels": 3, "kernel_size": 0}, "kernel_size"),
        ("LocalImportancePool2d", {"channels": 3, "logit": "linear"}, "logit"),
        ("SimplifiedLogit1d", {"channels": 3, "scale": 0}, "scale"),
        ("BottleneckLogit3d", {"channels": 3, "hidden": 0}, "hidden"),
        ("BottleneckLogit3d", {"channels": 3, "scale": "12"}, "scale"),
    ),
    see=("soft", "detail_preserving", "avg"),
)

DETAIL_PRESERVING = Layer(
    name="detail_preserving",
    title="Detail-preserving pooling",
    formula="y = sum of w x / sum of w, where w = exp(alpha) + (q / mean q)^(exp(lam) / 2), q = (x - I)^2 + eps",
    summary="Means of windows that favour the cells that differ from the window's mean I, or from a learnt filter at "
    "its place. Each channel learns how much.",
    file="detail",
    functions=tuple(f"detail_preserving_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"DetailPreservingPool{rank}d" for rank in _RANKS),
    papers=(
        Paper(
            authors="Saeedan, Faraz and Weber, Nicolas and Goesele, Michael and Roth, Stefan",
            title="Detail-preserving pooling in deep networks",
            venue="CVPR",
            year=2018,
            arxiv="1804.04076",
        ),
    ),
    samples=(
        *(Sample(f"DetailPreservingPool{rank}d", {"channels": 3}, (_MAPS[rank],), _HALF[rank]) for rank in _RANKS),
        Sample("DetailPreservingPool1d", {"channels": 3, "mode": "full"}, (_MAPS[1],), _HALF[1]),
        Sample(
            "DetailPreservingPool2d",
            {"channels": 3, "kernel_size": 3, "stride": 2, "padding": 1, "mode": "full", "norm": "sum"},
            (_MAPS[2],),
            _STRIDED[2],
        ),
        Sample("DetailPreservingPool3d", {"channels": 3, "mode": "full"}, (_MAPS[3],), _HALF[3]),
        Sample("DetailPreservingPool2d", {"channels": 3, "norm": "none", "eps": 0.1}, (_MAPS[2],), _HALF[2]),
    ),
    invalid=(
        ("DetailPreservingPool2d", {"channels": -1}, "channels"),
        ("DetailPreservingPool2d", {"channels": 3, "mode": "half"}, "mode"),
        ("DetailPreservingPool2d", {"channels": 3, "norm": "max"}, "norm"),
        ("DetailPreservingPool2d", {"channels": 3, "eps": 0.0}, "eps"),
        ("DetailPreservingPool2d", {"channels": 3, "symmetric": 1}, "symmetric"),
        ("DetailPreservingPool2d", {"channels": 3, "stride": 0}, "stride"),
    ),
    see=("local_importance", "soft", "avg"),
)

LEARNT_POWER = Layer(
    name="learnt_power",
    title="Lp, power-average and generalised-mean pooling with a learnt exponent",
    formula="y = (sum or mean over the window of |x|^p)^(1/p), p learnt",
    summary="Between average and maximum, at a place that training finds; one exponent for all channels or each.",
    file="powers",
    functions=(),
    modules=tuple(f"Learnt{name}Pool{rank}d" for name in ("LP", "PowerAvg", "GeM") for rank in _RANKS),
    papers=(
        Paper(
            authors="Gulcehre, Caglar and Cho, Kyunghyun and Pascanu, Razvan and Bengio, Yoshua",
            title="Learned-norm pooling for deep feedforward and recurrent neural networks",
            venue="ECML PKDD",
            year=2014,
            arxiv="1311.1780",
        ),
    ),
    samples=(
        *(Sample(f"LearntLPPool{rank}d", {"kernel_size": 2}, (_MAPS[rank],), _HALF[rank]) for rank in _RANKS),
        *(
            Sample(
                f"LearntPowerAvgPool{rank}d",
                {"kernel_size": 3, "stride": 2, "padding": 1, "norm_type": 3.0, "channels": 3},
                (_MAPS[rank],),
                _STRIDED[rank],
            )
            for rank in _RANKS
        ),
        *(Sample(f"LearntGeMPool{rank}d", {"channels": 3}, (_MAPS[rank],), (2, 3, *(1,) * rank)) for rank in _RANKS),
        Sample("LearntGeMPool2d", {"kernel_size": 2, "p": 2.5, "eps": 0.5}, (_MAPS[2],), _HALF[2]),
    ),
    invalid=(
        ("LearntGeMPool2d", {"p": 0}, "p must"),
        ("LearntGeMPool2d", {"eps": 0}, "eps"),
        ("LearntGeMPool2d", {"stride": 2}, "kernel_size"),
        ("LearntLPPool2d", {"kernel_size": 2, "norm_type": 0}, "norm_type"),
        ("LearntLPPool2d", {"kernel_size": 2, "norm_type": "2"}, "norm_type"),
        ("LearntPowerAvgPool2d", {"kernel_size": 0}, "kernel_size"),
        ("LearntPowerAvgPool2d", {"kernel_size": 2, "channels": 0}, "channels"),
    ),
    see=("lp", "power_avg", "gem", "learnt_log_sum_exp"),
)

LEARNT_LOG_SUM_EXP = Layer(
    name="learnt_log_sum_exp",
    title="Log-sum-exp pooling with a learnt sharpness",
    formula="y = ln(mean over the window of exp(r x)) / r, r learnt",
    summary="From the minimum over the average to the maximum, to a place that training finds; r may pass through 0.",
    file="log_sum_exp",
    native=True,
    functions=(),
    modules=tuple(f"LearntLogSumExpPool{rank}d" for rank in _RANKS),
    papers=(
        Paper(
            authors="Pinheiro, Pedro O. and Collobert, Ronan",
            title="From image-level to pixel-level labeling with convolutional networks",
            venue="CVPR",
            year=2015,
            arxiv="1411.6228",
        ),
    ),
    samples=(
        *(
            Sample(f"LearntLogSumExpPool{rank}d", {"channels": 3, "r": 2.0}, (_MAPS[rank],), (2, 3, *(1,) * rank))
            for rank in _RANKS
        ),
        Sample(
            "LearntLogSumExpPool2d",
            {"kernel_size": 3, "stride": 2, "padding": 1, "r": -1.0},
            (_MAPS[2],),
            _STRIDED[2],
        ),
        Sample("LearntLogSumExpPool1d", {"kernel_size": 2, "r": 5.0}, (_MAPS[1],), _HALF[1]),
    ),
    invalid=(
        ("LearntLogSumExpPool2d", {"r": "10"}, "r must"),
        ("LearntLogSumExpPool2d", {"r": float("inf")}, "r must"),
        ("LearntLogSumExpPool2d", {"padding": 1}, "kernel_size"),
        ("LearntLogSumExpPool2d", {"kernel_size": 2, "channels": 0}, "channels"),
    ),
    see=("log_sum_exp", "learnt_power", "soft"),
)
