"""What methods and layers have in common: a name, a formula, a source."""

from __future__ import annotations

import dataclasses
import unicodedata
from typing import Literal

#: Which field of a BibTeX entry the venue is.
_FIELDS = {"article": "journal", "inproceedings": "booktitle", "book": "publisher", "misc": "howpublished"}
_CONFERENCES = {
    "ACCV": "Asian Conference on Computer Vision",
    "ACL": "Annual Meeting of the Association for Computational Linguistics",
    "AISTATS": "International Conference on Artificial Intelligence and Statistics",
    "CVPR": "IEEE Conference on Computer Vision and Pattern Recognition",
    "ECCV": "European Conference on Computer Vision",
    "ECML PKDD": "European Conference on Machine Learning and Knowledge Discovery in Databases",
    "EMNLP": "Conference on Empirical Methods in Natural Language Processing",
    "ICASSP": "IEEE International Conference on Acoustics, Speech and Signal Processing",
    "ICCV": "IEEE International Conference on Computer Vision",
    "ICLR": "International Conference on Learning Representations",
    "ICML": "International Conference on Machine Learning",
    "ICPR": "International Conference on Pattern Recognition",
    "Interspeech": "Annual Conference of the International Speech Communication Association",
    "NAACL": "Conference of the North American Chapter of the Association for Computational Linguistics",
    "NeurIPS": "Conference on Neural Information Processing Systems",
    "NIPS": "Advances in Neural Information Processing Systems",
    "RSKT": "International Conference on Rough Sets and Knowledge Technology",
    "SIGIR": "International ACM SIGIR Conference on Research and Development in Information Retrieval",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paper:
    """A publication, as its BibTeX entry says it."""

    kind: Literal["article", "inproceedings", "book", "misc"] = "inproceedings"
    authors: str  # "Family, Given and Family, Given"
    title: str
    venue: str = ""  # the journal, the publisher, or the conference in short
    year: int
    doi: str = ""
    arxiv: str = ""
    letter: str = ""  # tells papers apart whose keys were the same

    @property
    def key(self) -> str:
        """The first author, the year and the first word of the title: stergiou2021refining."""
        word = next(word for word in self.title.split() if word.lower() not in ("a", "an", "the"))
        text = unicodedata.normalize("NFKD", f"{self.families[0]}{self.year}{word}{self.letter}").lower()
        return "".join(letter for letter in text if letter.isascii() and letter.isalnum())

    @property
    def families(self) -> list[str]:
        return [author.partition(",")[0] for author in self.authors.split(" and ")]

    @property
    def link(self) -> str:
        if self.doi:
            return f"https://doi.org/{self.doi}"
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else ""

    def __str__(self) -> str:
        *others, last = self.families
        if len(others) > 5:
            others, last = others[:1], "others"
        who = " and ".join(part for part in (", ".join(others), last) if part)
        return ", ".join(part for part in (who, self.title, f"{self.venue} {self.year}".strip(), self.link) if part)

    @property
    def bibtex(self) -> str:
        conference = self.kind == "inproceedings"
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",  # braces keep the capitals
            _FIELDS[self.kind]: f"{_CONFERENCES[self.venue]} ({self.venue})" if conference else self.venue,
            "year": str(self.year),
            "doi": self.doi,
            "eprint": self.arxiv,
            "archivePrefix": "arXiv" if self.arxiv else "",
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A row of one of the two tables."""

    name: str
    title: str
    formula: str
    summary: str
    papers: tuple[Paper, ...] = ()
    #: Where it comes from besides, or which part of the papers it is.
    remark: str = ""
    #: The names of its neighbours.
    see: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Papers and remark in one line."""
        return "; ".join(part for part in (*map(str, self.papers), self.remark) if part)

    @property
    def keys(self) -> str:
        """Which entries of a bibliography are its papers, in one line."""
        keys = ", ".join(paper.key for paper in self.papers) or "no paper"
        return f"{self.title} ({self.name}): {keys}" + (f"; {self.remark}" if self.remark else "")
