"""Which papers to cite."""

from __future__ import annotations

from poolkit.errors import ArgumentError, nearest
from poolkit.methods import ROWS


def cite(*names: str) -> str:
    """BibTeX entries of the papers that methods and layers come from, each paper once.

    Comments before the entries say which are whose.

    >>> print(cite("stochastic"))
    % Stochastic pooling (stochastic): zeiler2013stochastic
    <BLANKLINE>
    @inproceedings{zeiler2013stochastic,
      author = {Zeiler, Matthew D. and Fergus, Rob},
      title = {{Stochastic pooling for regularization of deep convolutional neural networks}},
      booktitle = {International Conference on Learning Representations (ICLR)},
      year = {2013},
      eprint = {1301.3557},
      archivePrefix = {arXiv},
    }
    """
    for name in names:
        if name not in ROWS:
            hint = nearest(name, ROWS) or f"; known are {', '.join(ROWS)}"
            raise ArgumentError(f"no method or layer is named {name!r}{hint}")
    rows = [ROWS[name] for name in dict.fromkeys(names)]
    papers = dict.fromkeys(paper for row in rows for paper in row.papers)
    comments = "\n".join(f"% {row.keys}" for row in rows)
    return "\n\n".join([comments, *(paper.bibtex for paper in papers)])
