"""poolkit cite, poolkit list and the methods that poolkit show takes, with their parameters."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from commands import refused, run
from test_every_layer import build, given_to, inputs_of, normalises
from torch._library.custom_ops import OPDEFS
from torch.utils._python_dispatch import TorchDispatchMode

import poolkit
from poolkit import ArgumentError, nn
from poolkit.cli.arguments import calls
from poolkit.methods import LAYERS, METHODS, REQUIRED, ROWS, Layer, Paper
from poolkit.show import Selection, WindowArguments, load, pool

pytestmark = pytest.mark.usefixtures("folder")

PAPERS = [paper for row in ROWS.values() for paper in row.papers]
ENTRY = re.compile(r"@(article|inproceedings|book|misc)\{(\w+),\n((?:  \w+ = \{.+\},\n)+)\}")


# ------------------------------------------------------------------------------------------------- cite


def entries(text: str) -> dict[str, dict[str, str]]:
    """The fields of every entry of a bibliography, by key; everything else must be comments."""
    rest = ENTRY.sub("", text)
    assert all(line.startswith("% ") for line in rest.splitlines() if line)
    assert "@" not in rest  # which would begin an entry
    keys = [key for _, key, _ in ENTRY.findall(text)]
    assert len(set(keys)) == len(keys)
    return {key: dict(re.findall(r"  (\w+) = \{(.+)\},", fields)) for _, key, fields in ENTRY.findall(text)}


def test_every_row_says_where_it_comes_from() -> None:
    for row in ROWS.values():
        assert row.papers or row.remark
        assert set(entries(poolkit.cite(row.name))) == {paper.key for paper in row.papers}
    for name, method in METHODS.items():
        assert f"Source: {method.source}." in inspect.getdoc(getattr(poolkit.functional, f"{name}_pool2d"))


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.key)
def test_papers_are_well_formed(paper: Paper) -> None:
    assert all(re.fullmatch(r"[^,{}\\&%#_]+, [^,{}\\&%#_]+", author) for author in paper.authors.split(" and "))
    assert re.fullmatch(r"[A-Z][^{}\\&%#_]+[^.]", paper.title)
    assert 1950 < paper.year < 2030
    assert re.fullmatch(r"(\d{4}\.\d{5}|0\d{3}\.\d{4}|1[0-4]\d\d\.\d{4})?", paper.arxiv)
    assert re.fullmatch(r"(10\.\d{4,5}/\S+)?", paper.doi)
    assert paper.arxiv or paper.doi or paper.kind == "book" or paper.year < 2000  # old proceedings have neither
    assert paper.venue or paper.kind == "misc"
    assert re.fullmatch(r"[a-z]+\d{4}[a-z0-9]+", paper.key)
    fields = entries(paper.bibtex)[paper.key]
    assert fields["author"] == paper.authors
    assert fields["title"] == f"{{{paper.title}}}"
    assert fields["year"] == str(paper.year)
    assert fields.get("doi", "") == paper.doi
    assert fields.get("eprint", "") == paper.arxiv


def test_different_papers_have_different_keys() -> None:
    assert len({paper.key for paper in PAPERS}) == len(set(PAPERS)) < len(PAPERS)  # some rows share theirs


def test_an_entry_letter_for_letter() -> None:
    assert run("cite", "soft") == (
        "% SoftPool (soft): stergiou2021refining\n\n"
        "@inproceedings{stergiou2021refining,\n"
        "  author = {Stergiou, Alexandros and Poppe, Ronald and Kalliatakis, Grigorios},\n"
        "  title = {{Refining activation downsampling with SoftPool}},\n"
        "  booktitle = {IEEE International Conference on Computer Vision (ICCV)},\n"
        "  year = {2021},\n"
        "  eprint = {2101.00440},\n"
        "  archivePrefix = {arXiv},\n"
        "}\n"
    )


def test_a_bibliography_holds_each_paper_once() -> None:
    text = run("cite", *ROWS, "soft", "cbam")
    assert text == poolkit.cite(*ROWS) + "\n"
    assert set(entries(text)) == {paper.key for paper in PAPERS}
    assert "% Average and max pooling combined (avg_max): no paper; practice of timm" in text


def test_names_nobody_has_are_refused() -> None:
    assert refused("cite", "sofft") == "poolkit: no method or layer is named 'sofft'; did you mean 'soft'?"
    assert refused("cite", "soft", "roi_aling").endswith("did you mean 'roi_align' or 'ps_roi_align'?")
    assert refused("cite", "xyzzy").endswith("known are " + ", ".join(ROWS))
    assert "Missing argument" in refused("cite")
    with pytest.raises(ArgumentError, match="did you mean 'median'"):
        poolkit.cite("mediam")


def test_citing_imports_nothing_heavy() -> None:
    code = "import poolkit, sys; poolkit.cite('soft'); assert not {'torch', 'numpy', 'typer'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------------------------- list


@pytest.fixture(scope="module")
def listed() -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in json.loads(run("list", "--json"))}


def test_every_row_is_listed(listed: dict[str, dict[str, Any]]) -> None:
    assert list(listed) == list(ROWS)
    for name, row in ROWS.items():
        assert (listed[name]["title"], listed[name]["summary"], listed[name]["formula"]) == (
            row.title,
            row.summary,
            row.formula,
        )
    text = run("list")
    positions = [text.index(f"\n {name} ") for name in ROWS]
    assert positions == sorted(positions)


def test_what_is_listed_of_methods_is_what_they_take(listed: dict[str, dict[str, Any]]) -> None:
    for name, method in METHODS.items():
        entry = listed[name]
        assert entry["ranks"] == [1, 2, 3]
        assert entry["forms"] == ["sliding", "adaptive", "global"]
        assert len(entry["functions"]) == len(entry["modules"]) == 9
        taken = inspect.signature(getattr(poolkit.functional, f"{name}_pool2d")).parameters
        for parameter in entry["parameters"]:
            default = taken[parameter["name"]].default
            assert parameter["required"] == (default is inspect.Parameter.empty)
            assert parameter["default"] == (None if parameter["required"] else default)
        assert [p["name"] for p in entry["parameters"] if p["required"]] == [
            p.name for p in method.params if p.default is REQUIRED
        ]
        assert not entry["learnable"]
        arguments = {p["name"]: method.samples[0][p["name"]] for p in entry["parameters"] if p["required"]}
        assert not list(getattr(nn, f"{method.class_name}Pool2d")(kernel_size=2, **arguments).parameters())
        assert entry["training_differs"] == (name in ("mixed", "stochastic"))
        assert entry["native"]


def test_what_is_listed_of_layers(listed: dict[str, dict[str, Any]]) -> None:
    for name, layer in LAYERS.items():
        modules = [build(sample) for sample in layer.samples]
        learnt = {name for module in modules for name, _ in module.named_parameters()}
        assert bool(listed[name]["learnable"]) == bool(learnt)
        differs = name == "fractional_max" or any(normalises(module) for module in modules)
        assert listed[name]["training_differs"] == differs
    assert listed["learnt_power"]["learnable"] == ["log_norm_type"]
    assert listed["auto"]["learnable"] == ["alpha"]
    assert listed["detail_preserving"]["learnable"] == ["alpha", "lam", "guide"]
    assert {"name": "num_heads", "required": False, "default": 8} in listed["latent_attention"]["parameters"]
    assert {"name": "**arguments", "required": False, "default": None} in listed["spatial_pyramid"]["parameters"]
    assert listed["roi_align"]["ranks"] == [2]
    assert listed["temporal"]["ranks"] == [1]
    for name, layer in LAYERS.items():
        ranks = {int(found[1]) for module in layer.modules if (found := re.search(r"(\d)d$", module))}
        assert not ranks or ranks == set(listed[name]["ranks"])


class Native(TorchDispatchMode):
    """Whether an operator of poolkit ran."""

    seen = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        written_in_python = func._schema.name in OPDEFS
        self.seen |= func.namespace == "poolkit" and not written_in_python
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
def test_layers_are_native_and_differ_in_training_as_their_rows_say(layer: Layer) -> None:
    native = trains = False
    for sample in layer.samples:
        module, inputs, given = build(sample), inputs_of(sample), given_to(sample)
        with torch.no_grad(), Native() as operators:
            evaluated, trained = (module.train(mode)(*inputs, **given) for mode in (False, True))
        native |= operators.seen
        trains |= not torch.equal(evaluated, trained)
    assert native == layer.native, f"the row of {layer.name} should say native={native}"
    assert trains == layer.trains, f"the row of {layer.name} should say trains={trains}"


# ----------------------------------------------------------------------------- methods with parameters


def rows_of(text: str) -> dict[str, str]:
    """The lines of a table by the name of their map."""
    return {line.partition("  ")[0].strip(): line for line in text.lstrip().splitlines() if line.strip()}


def arguments_of(values: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())


def test_a_method_twice_with_different_parameters_has_two_labels() -> None:
    np.save("x.npy", np.arange(64.0).reshape(8, 8))
    methods = ("soft:temperature=2", "soft:temperature=0.5,grad=weights", "soft", "soft:temperature=2")
    text = run("show", "x.npy", *(word for method in methods for word in ("--method", method)))
    labels = [label for label in rows_of(text) if label.startswith("soft")]
    assert labels == ["soft (temperature=2)", "soft (temperature=0.5, grad=weights)", "soft"]


@pytest.mark.parametrize("name", METHODS)
def test_samples_of_every_method_can_be_written_down(name: str) -> None:
    for sample in METHODS[name].samples:
        text = f"{name}:{arguments_of(sample)}" if sample else name
        assert calls([text], None) == [(name, sample)]


def test_every_method_is_shown_with_parameters() -> None:
    np.save("x.npy", np.random.default_rng(1).normal(size=(6, 8)))
    samples = {name: method.samples[-1] for name, method in METHODS.items()}
    methods = [f"{name}:{arguments_of(sample)}" if sample else name for name, sample in samples.items()]
    labels = [f"{name} ({arguments_of(sample)})" if sample else name for name, sample in samples.items()]
    rows = rows_of(run("show", "x.npy", "-o", "x.json", *(word for method in methods for word in ("--method", method))))
    assert {label.replace(",", ", ") for label in labels} < set(rows)


@pytest.mark.parametrize("name", METHODS)
def test_integers_are_pooled_with_any_parameters(name: str) -> None:
    cells = np.random.default_rng(1).integers(1, 99, (6, 8))
    np.save("whole.npy", cells.astype(np.int16))
    np.save("real.npy", cells.astype(np.float64))
    for sample in METHODS[name].samples:
        whole, real = (pool(load(f"{kind}.npy").field, name, WindowArguments(2), sample) for kind in ("whole", "real"))
        np.testing.assert_allclose(whole.values, real.values, rtol=1e-5)


def test_values_are_numbers_words_and_none() -> None:
    np.save("x.npy", np.full((4, 4), 2.0))
    text = run(
        *("show", "x.npy", "--method", "avg:count_include_pad=False,divisor_override=None"),
        *("--method", "lp:norm_type=inf", "--method", "top_k_mean:k=3", "--method", "avg_max:scale=.25,mode=add"),
    )
    rows = rows_of(text)
    assert "2 … 2" in rows["avg (count_include_pad=False, divisor_override=None)"]
    assert "2 … 2" in rows["lp (norm_type=inf)"]
    assert "2 … 2" in rows["top_k_mean (k=3)"]
    assert "1 … 1" in rows["avg_max (scale=0.25, mode=add)"]


def test_common_parameters_yield_to_a_methods_own() -> None:
    np.save("x.npy", np.ones((4, 4)))
    rows = rows_of(
        run(
            "show", "x.npy", "--method", "lp", "--method", "lp:norm_type=1", "--method", "max", "--param", "norm_type=2"
        )
    )
    assert "2 … 2" in rows["lp (norm_type=2)"]
    assert "4 … 4" in rows["lp (norm_type=1)"]
    assert "max" in rows


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("sofft:temperature=2", "but got 'sofft'; did you mean 'soft'?"),
        ("", "method must be one of 'max'"),
        (
            "soft:temprature=2",
            "'temprature' is no parameter of soft; allowed: temperature, grad; did you mean 'temperature'?",
        ),
        ("max:temperature=2", "'temperature' is no parameter of max; none is allowed"),
        ("avg:dtype=float64", "'dtype' is no parameter of avg"),
        ("soft:temperature=0", "temperature must be a finite number > 0, but got 0"),
        ("soft:temperature=nan", "temperature must be a finite number > 0, but got nan"),
        ("soft:temperature=hot", "temperature must be a finite number > 0, but got 'hot'"),
        ("soft:temperature=true", "temperature must be a finite number > 0, but got True"),
        ("soft:grad=paper", "grad must be 'exact' or 'weights', but got 'paper'"),
        ("quantile", "quantile needs the parameter q: a number from 0 to 1"),
        ("quantile:q=1.5", "q must be a number from 0 to 1, but got 1.5"),
        ("top_k_mean:k=0", "k must be an int > 0, but got 0"),
        ("top_k_mean:k=1.5", "k must be an int > 0, but got 1.5"),
        ("soft:", "what follows soft: should be NAME=VALUE such as norm_type=3, but got ''"),
        ("soft:temperature", "should be NAME=VALUE such as norm_type=3, but got 'temperature'"),
        ("soft:temperature=1,,", "but got ''"),
    ],
)
def test_methods_that_cannot_be_are_refused_in_one_line(method: str, reason: str) -> None:
    np.save("x.npy", np.ones((4, 4)))
    assert reason in refused("show", "x.npy", "--method", "max", "--method", method)
    assert reason in refused("explain", method, "--input-shape", "1,2,8", "--kernel-size", 2)


def test_explain_takes_parameters_with_the_name() -> None:
    told = run("explain", "avg_max:mode=cat", "--input-shape", "1,2,8", "--kernel-size", 2)
    assert [line.split(":")[0] for line in told.splitlines()] == ["avg", "max"]


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.trains])
def test_draws_come_from_the_seed(method: str) -> None:
    np.save("x.npy", np.random.default_rng(1).uniform(size=(1, 8, 8)))
    field = load("x.npy", Selection(rank=2)).field
    usual, *drawn = (pool(field, method, WindowArguments(2), {"training": True}, seed).values for seed in range(6))
    np.testing.assert_array_equal(usual, pool(field, method, WindowArguments(2), {"training": True}).values)
    other = 1 + next(place for place, values in enumerate(drawn) if values.max() != usual.max())
    words = ("show", "x.npy", "--method", f"{method}:training=true")
    assert run(*words) == run(*words, "--seed", 0) != run(*words, "--seed", other)
    assert "--seed should be an integer >= 0, but got '-1'" in refused(*words, "--seed", -1)
