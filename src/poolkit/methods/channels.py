"""Pooling over the channels, and the blocks that weigh channels and cells by pooling."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample
from poolkit.methods.row import Paper

_MAPS = {1: (2, 4, 5), 2: (2, 4, 3, 5), 3: (2, 4, 3, 2, 3)}

CBAM_PAPER = Paper(
    authors="Woo, Sanghyun and Park, Jongchan and Lee, Joon-Young and Kweon, In So",
    title="CBAM: convolutional block attention module",
    venue="ECCV",
    year=2018,
    arxiv="1807.06521",
)

CHANNEL = Layer(
    name="channel",
    title="Channel pooling",
    formula="y = mean, max or min over the channels of x",
    summary="One value for each cell from all its channels; several kinds become the channels of the result.",
    file="channel",
    native=True,
    functions=("channel_pool",),
    modules=("ChannelPool",),
    papers=(CBAM_PAPER,),
    samples=(
        Sample("ChannelPool", {}, (_MAPS[2],), (2, 2, 3, 5)),
        Sample("ChannelPool", {"kind": "min"}, (_MAPS[1],), (2, 1, 5)),
        Sample("ChannelPool", {"kind": ("min", "max", "mean")}, (_MAPS[3],), (2, 3, 3, 2, 3)),
        Sample("ChannelPool", {"kind": "max", "dim": -1}, ((2, 4),), (2, 1)),
    ),
    invalid=(
        ("ChannelPool", {"kind": "median"}, "kind"),
        ("ChannelPool", {"kind": ()}, "kind"),
        ("ChannelPool", {"kind": None}, "kind"),
        ("ChannelPool", {"kind": [["max"]]}, "kind"),
        ("ChannelPool", {"dim": 1.5}, "dim"),
    ),
    unbatched=False,  # with dim=0
    see=("channel_group", "cbam", "avg", "max", "min"),
)

CHANNEL_GROUP = Layer(
    name="channel_group",
    title="Channel group pooling (maxout)",
    formula="y[i] = max, min or mean of x[i * g], ..., x[i * g + g - 1] over the channels",
    summary="One channel for every group of neighbouring ones. With the maximum a layer of g linear functions a unit "
    "becomes maxout.",
    file="channel",
    native=True,
    functions=("channel_group_pool",),
    modules=("ChannelGroupPool",),
    papers=(
        Paper(
            authors="Goodfellow, Ian and Warde-Farley, David and Mirza, Mehdi and Courville, Aaron and Bengio, Yoshua",
            title="Maxout networks",
            venue="ICML",
            year=2013,
            arxiv="1302.4389",
        ),
    ),
    samples=(
        Sample("ChannelGroupPool", {"group_size": 2}, (_MAPS[2],), (2, 2, 3, 5)),
        Sample("ChannelGroupPool", {"group_size": 4, "kind": "min"}, (_MAPS[1],), (2, 1, 5)),
        Sample("ChannelGroupPool", {"group_size": 1}, (_MAPS[3],), _MAPS[3]),
        Sample("ChannelGroupPool", {"group_size": 2, "kind": "mean", "dim": -1}, ((2, 4),), (2, 2)),
    ),
    invalid=(
        ("ChannelGroupPool", {"group_size": 0}, "group_size"),
        ("ChannelGroupPool", {"group_size": 2.0}, "group_size"),
        ("ChannelGroupPool", {"group_size": 2, "kind": "median"}, "kind"),
        ("ChannelGroupPool", {"group_size": 2, "kind": ("max", "mean")}, "kind"),
        ("ChannelGroupPool", {"group_size": 2, "dim": None}, "dim"),
    ),
    unbatched=False,  # with dim=0
    see=("channel", "max"),
)

SQUEEZE_EXCITATION = Layer(
    name="squeeze_excitation",
    title="Squeeze-and-excitation",
    formula="y = x * sigmoid(W_2 relu(W_1 mean(x)))",
    summary="Weighs every channel by what a small network makes of the means of all channels.",
    file="excitation",
    native=True,
    functions=(),
    modules=tuple(f"SqueezeExcitation{rank}d" for rank in _MAPS),
    papers=(
        Paper(
            authors="Hu, Jie and Shen, Li and Sun, Gang",
            title="Squeeze-and-excitation networks",
            venue="CVPR",
            year=2018,
            arxiv="1709.01507",
        ),
    ),
    samples=tuple(
        Sample(f"SqueezeExcitation{rank}d", {"in_channels": 4, "reduction": 2}, (size,), size)
        for rank, size in _MAPS.items()
    ),
    invalid=(
        ("SqueezeExcitation2d", {"in_channels": 0}, "in_channels"),
        ("SqueezeExcitation2d", {"in_channels": 4, "reduction": 0}, "reduction"),
        ("SqueezeExcitation2d", {"in_channels": 4, "reduction": 1.5}, "reduction"),
    ),
    see=("cbam", "avg"),
)

CBAM = Layer(
    name="cbam",
    title="Convolutional block attention",
    formula="x' = x * sigmoid(MLP(mean(x)) + MLP(max(x))); y = x' * sigmoid(conv([mean_c(x'), max_c(x')]))",
    summary="Weighs every channel by the plane's mean and maximum, then every cell by its channels' mean and maximum.",
    file="excitation",
    native=True,
    functions=(),
    modules=tuple(f"CBAM{rank}d" for rank in _MAPS),
    papers=(CBAM_PAPER,),
    samples=tuple(
        Sample(f"CBAM{rank}d", {"in_channels": 4, "reduction": 2, "kernel_size": 3}, (size,), size)
        for rank, size in _MAPS.items()
    ),
    invalid=(
        ("CBAM2d", {"in_channels": 4, "kernel_size": 2}, "kernel_size"),
        ("CBAM2d", {"in_channels": 4, "kernel_size": (3, 3, 3)}, "kernel_size"),
        ("CBAM2d", {"in_channels": 4, "reduction": -1}, "reduction"),
    ),
    see=("squeeze_excitation", "channel"),
)
