"""Global descriptors of images, for retrieval and place recognition."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.means import SPOC_PAPER
from poolkit.methods.row import Paper

_RANKS = (1, 2, 3)
_MAPS = {1: (2, 3, 7), 2: (2, 3, 4, 5), 3: (2, 3, 2, 3, 2)}
_MASK = {"mask": [[True, True, False, True, False], [False, True, True, False, False]]}

NETVLAD = Layer(
    name="netvlad",
    title="NetVLAD",
    formula="y_k = sum of a_k (x - c_k), a = softmax over k of (w_k x + b_k); each y_k, then all, made 1 long",
    summary="How the descriptors of an image, or of any set, lie around learnt cluster centres: the trainable vector "
    "of locally aggregated descriptors, for place recognition and retrieval. With ghost clusters it is GhostVLAD.",
    file="vlad",
    functions=("netvlad_pool",),
    modules=("NetVLADPool", *(f"NetVLADPool{rank}d" for rank in _RANKS)),
    papers=(
        Paper(
            authors="Arandjelović, Relja and Gronat, Petr and Torii, Akihiko and Pajdla, Tomas and Sivic, Josef",
            title="NetVLAD: CNN architecture for weakly supervised place recognition",
            venue="CVPR",
            year=2016,
            arxiv="1511.07247",
        ),
        Paper(
            authors="Zhong, Yujie and Arandjelović, Relja and Zisserman, Andrew",
            title="GhostVLAD for set-based face recognition",
            venue="ACCV",
            year=2018,
            arxiv="1810.09951",
        ),
    ),
    samples=(
        Sample("NetVLADPool", {"in_channels": 4, "num_clusters": 3}, ((2, 5, 4),), (2, 12)),
        *(
            Sample(f"NetVLADPool{rank}d", {"in_channels": 3, "num_clusters": 2}, (_MAPS[rank],), (2, 6))
            for rank in _RANKS
        ),
        Sample(
            "NetVLADPool2d",
            {"in_channels": 3, "num_clusters": 2, "normalize_input": False},
            (_MAPS[2],),
            (2, 6),
        ),
        Sample(
            "NetVLADPool",
            {"in_channels": 4, "num_clusters": 2, "ghost_clusters": 1},
            ((2, 5, 4),),
            (2, 8),
            _MASK,
        ),
    ),
    invalid=(
        ("NetVLADPool", {"in_channels": 0}, "in_channels"),
        ("NetVLADPool", {"in_channels": 4, "num_clusters": 2.5}, "num_clusters"),
        ("NetVLADPool2d", {"in_channels": 4, "ghost_clusters": -1}, "ghost_clusters"),
        ("NetVLADPool2d", {"in_channels": 4, "normalize_input": 1}, "normalize_input"),
    ),
    see=("attention", "latent_attention"),
)

SPOC = Layer(
    name="spoc",
    title="SPoC",
    formula="y = sum of w x, w = exp(-d^2 / (2 s^2)) at distance d from the centre, or 1",
    summary="Sum-pooled convolutional features: one sum a channel, in which cells near the centre of the image may "
    "count more.",
    file="retrieval",
    native=True,
    functions=tuple(f"spoc_pool{rank}d" for rank in _RANKS),
    modules=tuple(f"SPoCPool{rank}d" for rank in _RANKS),
    papers=(SPOC_PAPER,),
    samples=(
        *(Sample(f"SPoCPool{rank}d", {}, (_MAPS[rank],), (2, 3)) for rank in _RANKS),
        *(Sample(f"SPoCPool{rank}d", {"sigma": 1 / 3}, (_MAPS[rank],), (2, 3)) for rank in _RANKS),
    ),
    invalid=(
        ("SPoCPool2d", {"sigma": 0}, "sigma"),
        ("SPoCPool2d", {"sigma": float("inf")}, "sigma"),
        ("SPoCPool1d", {"sigma": True}, "sigma"),
    ),
    see=("rmac", "sum", "avg"),
)

RMAC = Layer(
    name="rmac",
    title="R-MAC",
    formula="y = sum over regions of v / (|v| + eps), v the maxima of the region's channels",
    summary="Regional maximum activations of convolutions: the maxima of squares of several sizes all over the map, "
    "each made about 1 long, and added up. The descriptor of an image for retrieval that still sees small objects.",
    file="retrieval",
    native=True,
    functions=("rmac_pool2d",),
    modules=("RMACPool2d",),
    papers=(
        Paper(
            authors="Tolias, Giorgos and Sicre, Ronan and Jégou, Hervé",
            title="Particular object retrieval with integral max-pooling of CNN activations",
            venue="ICLR",
            year=2016,
            arxiv="1511.05879",
        ),
    ),
    samples=(
        Sample("RMACPool2d", {}, ((2, 3, 5, 8),), (2, 3)),
        Sample("RMACPool2d", {"levels": 4, "eps": 0.1}, ((2, 3, 7, 7),), (2, 3)),
        Sample("RMACPool2d", {"levels": 2}, ((2, 3, 9, 4),), (2, 3)),
    ),
    invalid=(
        ("RMACPool2d", {"levels": 0}, "levels"),
        ("RMACPool2d", {"levels": 3.0}, "levels"),
        ("RMACPool2d", {"eps": 0.0}, "eps"),
    ),
    see=("spoc", "max", "netvlad"),
)
