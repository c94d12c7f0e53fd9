"""Pooling of segments."""

from __future__ import annotations

from poolkit.methods.layer import Layer, Sample

_ROWS = (7, 3)
_LENGTHS = {"lengths": [3, 0, 1, 3]}
_WEIGHTS = {"weights": [0.5, 1.0, 2.0, 0.25, 3.0, 1.5, 0.75]}

SEGMENT = Layer(
    name="segment",
    title="Segment pooling",
    formula="y = sum, mean, max, min, median, first, last, weighted mean, softmax-weighted mean, logsumexp, var or std "
    "of the rows of a segment",
    summary="One vector for each segment of packed rows, without padding: the words of sentences of any length, the "
    "nodes of graphs, the points of objects. Segments are given by lengths, by offsets, or by an index in any order.",
    file="segments",
    functions=("segment_pool",),
    modules=("SegmentPool",),
    native=True,
    remark="as graph and recommendation libraries have it, under names such as scatter, segment or bag",
    samples=(
        Sample("SegmentPool", {}, (_ROWS,), (4, 3), _LENGTHS),
        *(
            Sample("SegmentPool", {"reduction": reduction}, (_ROWS,), (4, 3), _LENGTHS)
            for reduction in ("sum", "max", "min", "median", "first", "last")
        ),
        Sample("SegmentPool", {"reduction": "weighted"}, (_ROWS,), (4, 3), {**_LENGTHS, **_WEIGHTS}),
        Sample("SegmentPool", {"reduction": "logsumexp", "temperature": 0.5}, (_ROWS,), (4, 3), _LENGTHS),
        Sample("SegmentPool", {"reduction": "var", "unbiased": True}, (_ROWS,), (4, 3), _LENGTHS),
        Sample("SegmentPool", {"reduction": "std", "eps": 1e-3}, (_ROWS,), (4, 3), _LENGTHS),
        Sample("SegmentPool", {"reduction": "softmax", "temperature": 2.0}, (_ROWS,), (4, 3), _LENGTHS),
    ),
    invalid=(
        ("SegmentPool", {"reduction": "mode"}, "reduction"),
        ("SegmentPool", {"reduction": "softmax", "temperature": 0}, "temperature"),
        ("SegmentPool", {"reduction": "softmax", "temperature": "1"}, "temperature"),
        ("SegmentPool", {"reduction": "std", "eps": -1e-5}, "eps"),
        ("SegmentPool", {"reduction": "std", "unbiased": 1}, "unbiased"),
    ),
    unbatched=False,
    see=("temporal", "statistics", "k_max"),
)
