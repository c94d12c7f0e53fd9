"""Attention pooling."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MASK = {"mask": [[True, True, False, True, False], [False, True, True, False, False]]}

_ILSE = Paper(
    authors="Ilse, Maximilian and Tomczak, Jakub M. and Welling, Max",
    title="Attention-based deep multiple instance learning",
    venue="ICML",
    year=2018,
    arxiv="1802.04712",
)

ATTENTION = Layer(
    name="attention",
    title="Attention pooling of a map",
    formula="y = W_c softmax(q k^T / sqrt(d)) v, where q comes from the mean, k and v from the mean and all cells",
    summary="The mean of a map asks and all its cells answer, with learnt positions: the head of CLIP's ResNets. Maps "
    "of another size than the positions were learnt for are taken too. `attention_pool` is the step without weights.",
    file="attention",
    native=True,
    functions=("attention_pool",),
    modules=("AttentionPool2d",),
    papers=(
        Paper(
            authors="Radford, Alec and Kim, Jong Wook and Hallacy, Chris and Ramesh, Aditya and Goh, Gabriel and "
            "Agarwal, Sandhini and Sastry, Girish and Askell, Amanda and Mishkin, Pamela and Clark, Jack and "
            "Krueger, Gretchen and Sutskever, Ilya",
            title="Learning transferable visual models from natural language supervision",
            venue="ICML",
            year=2021,
            arxiv="2103.00020",
        ),
    ),
    samples=(
        Sample(
            "AttentionPool2d",
            {"in_channels": 4, "spatial_size": (3, 2), "num_heads": 2},
            ((2, 4, 3, 2),),
            (2, 4),
        ),
        Sample(
            "AttentionPool2d",
            {"in_channels": 4, "spatial_size": 2, "num_heads": 1, "out_channels": 3},
            ((2, 4, 3, 4),),
            (2, 3),
        ),
    ),
    invalid=(
        ("AttentionPool2d", {"in_channels": 4, "spatial_size": 2, "num_heads": 3}, "num_heads"),
        ("AttentionPool2d", {"in_channels": 4, "spatial_size": 0, "num_heads": 2}, "spatial_size"),
        ("AttentionPool2d", {"in_channels": 0, "spatial_size": 2, "num_heads": 1}, "in_channels"),
        ("AttentionPool2d", {"in_channels": 4.0, "spatial_size": 2, "num_heads": 1}, "in_channels"),
    ),
    see=("latent_attention", "gated_attention", "avg"),
)

LATENT_ATTENTION = Layer(
    name="latent_attention",
    title="Latent attention pooling",
    formula="z = W_o softmax(q k^T / sqrt(d)) v with learnt q; y = z + MLP(LayerNorm(z))",
    summary="Learnt queries ask any number of tokens, and a residual MLP follows: the multi-head attention pooling "
    "(MAP) head of vision transformers.",
    file="attention",
    functions=(),
    modules=("LatentAttentionPool",),
    papers=(
        Paper(
            authors="Lee, Juho and Lee, Yoonho and Kim, Jungtaek and Kosiorek, Adam R. and Choi, Seungjin and "
            "Teh, Yee Whye",
            title="Set transformer: a framework for attention-based permutation-invariant neural networks",
            venue="ICML",
            year=2019,
            arxiv="1810.00825",
        ),
        Paper(
            authors="Zhai, Xiaohua and Mustafa, Basil and Kolesnikov, Alexander and Beyer, Lucas",
            title="Sigmoid loss for language image pre-training",
            venue="ICCV",
            year=2023,
            arxiv="2303.15343",
        ),
    ),
    samples=(
        Sample("LatentAttentionPool", {"in_channels": 4, "num_heads": 2}, ((2, 5, 4),), (2, 4)),
        Sample(
            "LatentAttentionPool",
            {"in_channels": 4, "num_heads": 2, "num_latents": 3, "reduce": "mean"},
            ((2, 5, 4),),
            (2, 4),
            _MASK,
        ),
        Sample(
            "LatentAttentionPool",
            {"in_channels": 4, "num_heads": 1, "num_latents": 2, "reduce": "none", "mlp_ratio": 0.5},
            ((2, 5, 4),),
            (2, 2, 4),
        ),
    ),
    invalid=(
        ("LatentAttentionPool", {"in_channels": 4}, "num_heads"),
        ("LatentAttentionPool", {"in_channels": 4, "num_heads": 2, "reduce": "max"}, "reduce"),
        ("LatentAttentionPool", {"in_channels": 4, "num_heads": 2, "num_latents": 0}, "num_latents"),
        ("LatentAttentionPool", {"in_channels": 4, "num_heads": 2, "mlp_ratio": 0}, "mlp_ratio"),
        ("LatentAttentionPool", {"in_channels": 4, "num_heads": 2, "mlp_ratio": float("nan")}, "mlp_ratio"),
        ("LatentAttentionPool", {"in_channels": 4, "num_heads": 2, "eps": -1.0}, "eps"),
    ),
    see=("attention", "gated_attention"),
)

ADDITIVE_ATTENTION = Layer(
    name="additive_attention",
    title="Additive attention pooling",
    formula="y = sum of a_k h_k, a = softmax over k of w tanh(V h_k + b) + c",
    summary="The weighted mean of a set of vectors, each weighed by a small network of itself alone: of words for a "
    "sentence, of instances for a bag.",
    file="attention",
    functions=(),
    modules=("AdditiveAttentionPool",),
    papers=(
        Paper(
            authors="Yang, Zichao and Yang, Diyi and Dyer, Chris and He, Xiaodong and Smola, Alex and Hovy, Eduard",
            title="Hierarchical attention networks for document classification",
            venue="NAACL",
            year=2016,
            doi="10.18653/v1/N16-1174",
        ),
        Paper(
            authors="Lin, Zhouhan and Feng, Minwei and dos Santos, Cicero Nogueira and Yu, Mo and Xiang, Bing and "
            "Zhou, Bowen and Bengio, Yoshua",
            title="A structured self-attentive sentence embedding",
            venue="ICLR",
            year=2017,
            arxiv="1703.03130",
        ),
        _ILSE,
    ),
    remark="the second with several heads, the third for bags, without its gate",
    samples=(
        Sample("AdditiveAttentionPool", {"in_channels": 4, "hidden_channels": 3}, ((2, 5, 4),), (2, 4)),
        Sample(
            "AdditiveAttentionPool",
            {"in_channels": 4, "hidden_channels": 3, "num_heads": 2},
            ((2, 5, 4),),
            (2, 8),
            _MASK,
        ),
        Sample(
            "AdditiveAttentionPool",
            {"in_channels": 4, "hidden_channels": 3, "layout": "channels_first"},
            ((2, 4, 5),),
            (2, 4),
            {"lengths": [5, 2]},
        ),
    ),
    invalid=(
        ("AdditiveAttentionPool", {"in_channels": 0}, "in_channels"),
        ("AdditiveAttentionPool", {"in_channels": 4, "hidden_channels": 0}, "hidden_channels"),
        ("AdditiveAttentionPool", {"in_channels": 4, "num_heads": 0}, "num_heads"),
        ("AdditiveAttentionPool", {"in_channels": 4, "layout": "NCL"}, "layout"),
    ),
    see=("gated_attention", "latent_attention", "attentive_statistics"),
)

GATED_ATTENTION = Layer(
    name="gated_attention",
    title="Gated attention pooling",
    formula="y = sum of a_k h_k, a = softmax over k of w (tanh(V h_k) * sigmoid(U h_k))",
    summary="The weighted mean of a bag of instances, each weighed by a small gated network: pooling for "
    "multiple-instance learning that also says which instances mattered.",
    file="attention",
    functions=(),
    modules=("GatedAttentionPool",),
    papers=(_ILSE,),
    samples=(
        Sample("GatedAttentionPool", {"in_channels": 4, "hidden_channels": 3}, ((2, 5, 4),), (2, 4)),
        Sample(
            "GatedAttentionPool",
            {"in_channels": 4, "hidden_channels": 3, "num_heads": 2},
            ((2, 5, 4),),
            (2, 8),
            _MASK,
        ),
        Sample(
            "GatedAttentionPool",
            {"in_channels": 4, "hidden_channels": 3, "layout": "channels_first"},
            ((2, 4, 5),),
            (2, 4),
            {"lengths": [5, 2]},
        ),
    ),
    invalid=(
        ("GatedAttentionPool", {"in_channels": 0}, "in_channels"),
        ("GatedAttentionPool", {"in_channels": 4, "hidden_channels": 0}, "hidden_channels"),
        ("GatedAttentionPool", {"in_channels": 4, "num_heads": 0}, "num_heads"),
        ("GatedAttentionPool", {"in_channels": 4, "layout": "NCL"}, "layout"),
    ),
    see=("additive_attention", "attention", "temporal"),
)
