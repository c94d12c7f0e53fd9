"""Second-order pooling."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_RANKS = (1, 2, 3)
_MAPS = {1: (2, 3, 7), 2: (2, 3, 4, 5), 3: (2, 3, 2, 3, 2)}

BILINEAR = Layer(
    name="bilinear",
    title="Bilinear pooling",
    formula="y_ij = mean of x_i z_j over all cells, then its root with its sign, then all made 1 long",
    summary="The products of any two channels, of one map or of two, averaged over all cells: which features occur "
    "together, wherever that is. For fine-grained recognition and texture.",
    file="second_order",
    functions=tuple(f"bilinear_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"BilinearPool{rank}d" for rank in _RANKS),
    papers=(
        Paper(
            authors="Lin, Tsung-Yu and RoyChowdhury, Aruni and Maji, Subhransu",
            title="Bilinear CNN models for fine-grained visual recognition",
            venue="ICCV",
            year=2015,
            arxiv="1504.07889",
        ),
    ),
    samples=(
        *(Sample(f"BilinearPool{rank}d", {}, (_MAPS[rank],), (2, 9)) for rank in _RANKS),
        Sample("BilinearPool2d", {}, (_MAPS[2], (2, 2, 4, 5)), (2, 6)),
        Sample("BilinearPool1d", {"signed_sqrt": False, "normalize": False}, (_MAPS[1],), (2, 9)),
        Sample("BilinearPool2d", {"normalize": False, "eps": 1e-4}, (_MAPS[2],), (2, 9)),
    ),
    invalid=(
        ("BilinearPool2d", {"signed_sqrt": 1}, "signed_sqrt"),
        ("BilinearPool2d", {"normalize": None}, "normalize"),
        ("BilinearPool2d", {"eps": 0.0}, "eps"),
    ),
    see=("covariance", "isqrt_covariance"),
)

COVARIANCE = Layer(
    name="covariance",
    title="Covariance pooling",
    formula="y_ij = mean of (x_i - mean x_i) (x_j - mean x_j) over all cells",
    summary="How any two channels vary together over a map: its second-order statistics, as the upper triangle of "
    "their matrix or as all of it.",
    file="second_order",
    native=True,
    functions=tuple(f"covariance_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"CovariancePool{rank}d" for rank in _RANKS),
    papers=(
        Paper(
            authors="Li, Peihua and Xie, Jiangtao and Wang, Qilong and Zuo, Wangmeng",
            title="Is second-order information helpful for large-scale visual recognition?",
            venue="ICCV",
            year=2017,
            arxiv="1703.08050",
        ),
    ),
    samples=(
        *(Sample(f"CovariancePool{rank}d", {}, (_MAPS[rank],), (2, 6)) for rank in _RANKS),
        Sample("CovariancePool1d", {"unbiased": True, "form": "isometric"}, (_MAPS[1],), (2, 6)),
        Sample("CovariancePool2d", {"form": "matrix"}, (_MAPS[2],), (2, 3, 3)),
    ),
    invalid=(
        ("CovariancePool2d", {"unbiased": 0}, "unbiased"),
        ("CovariancePool2d", {"form": "lower"}, "form"),
        ("CovariancePool3d", {"form": None}, "form"),
    ),
    see=("isqrt_covariance", "bilinear", "statistics"),
)

ISQRT_COVARIANCE = Layer(
    name="isqrt_covariance",
    title="iSQRT covariance pooling",
    formula="y = S^(1/2) by Newton-Schulz: Y <- Y (3 I - Z Y) / 2, Z <- (3 I - Z Y) Z / 2 from Y = S / tr S, Z = I",
    summary="The square root of the channels' covariance matrix, by a few products of matrices: covariance pooling "
    "whose large eigenvalues do not drown the others, and that trains well.",
    file="second_order",
    native=True,
    functions=tuple(f"isqrt_covariance_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"ISQRTCovariancePool{rank}d" for rank in _RANKS),
    papers=(
        Paper(
            authors="Li, Peihua and Xie, Jiangtao and Wang, Qilong and Gao, Zilin",
            title="Towards faster training of global covariance pooling networks by iterative matrix square root "
            "normalization",
            venue="CVPR",
            year=2018,
            arxiv="1712.01034",
        ),
    ),
    samples=(
        *(Sample(f"ISQRTCovariancePool{rank}d", {}, (_MAPS[rank],), (2, 6)) for rank in _RANKS),
        Sample("ISQRTCovariancePool2d", {"iterations": 1, "form": "matrix"}, (_MAPS[2],), (2, 3, 3)),
        Sample("ISQRTCovariancePool2d", {"iterations": 3, "unbiased": True, "form": "isometric"}, (_MAPS[2],), (2, 6)),
    ),
    invalid=(
        ("ISQRTCovariancePool2d", {"iterations": 0}, "iterations"),
        ("ISQRTCovariancePool2d", {"iterations": 5.0}, "iterations"),
        ("ISQRTCovariancePool2d", {"unbiased": "no"}, "unbiased"),
        ("ISQRTCovariancePool1d", {"form": "vector"}, "form"),
    ),
    see=("covariance", "bilinear"),
)
