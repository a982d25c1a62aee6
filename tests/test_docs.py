"""What the reference promises: every public name has a docstring with shapes and errors, and its examples are true."""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from canonlib.book import catalogue, derived, usage
from canonlib.errors import CanonlibError

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "canonlib"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if path.name != "__main__.py"
)
SHAPE = re.compile(r"\[[^\]]*[a-z.][^\]]*\]|\bshapes?\b")
NAMED = re.compile(r"\b\w*Error\b|\b[Ee]rrors (as )?(in|of|as)\b|[Rr]aises what")


class Public(NamedTuple):
    """A public function, class or method, where it stands."""

    module: str
    name: str
    node: ast.FunctionDef | ast.ClassDef

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def prose(self) -> str:
        """The docstring up to its example."""
        return self.doc.split(">>>")[0]


def public(module: str) -> Iterator[Public]:
    """Functions and classes of a module, and methods and properties of the classes, without a leading underscore."""
    for node in catalogue.tree(module).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield Public(module, node.name, node)
            for item in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
                    yield Public(module, f"{node.name}.{item.name}", item)


EVERY = [thing for module in MODULES for thing in public(module)]
FUNCTIONS = [thing for thing in EVERY if isinstance(thing.node, ast.FunctionDef)]


def raises(module: str, node: ast.AST, seen: frozenset[str] = frozenset()) -> set[str]:
    """Errors of canonlib that a function raises itself, by a ``require_...`` or through a private function of its module."""
    private = {n.name: n for n in catalogue.tree(module).body if isinstance(n, ast.FunctionDef) and n.name[0] == "_"}
    own = {c.__name__ for c in _subclasses(CanonlibError)}
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Raise) and part.exc is not None:
            name = ast.unparse(part.exc.func if isinstance(part.exc, ast.Call) else part.exc)
            found |= {"ConfigError"} if name == "unknown" else {name} & own
        if isinstance(part, ast.Call):
            name = ast.unparse(part.func).rpartition(".")[2]
            if name in private and name not in seen:
                found |= raises(module, private[name], seen | {name})
            elif name.startswith("require_"):
                found.add("ConfigError")
    return found


def _subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


def takes_tensors(node: ast.FunctionDef) -> bool:
    """Whether an argument or the result is annotated as a torch tensor."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    notes = [a.annotation for a in every if a.annotation] + ([node.returns] if node.returns else [])
    return any("torch.Tensor" in ast.unparse(note) for note in notes)


def listed(problems: list[Public]) -> str:
    return "\n".join(f"{p.module}.{p.name}" for p in problems)


def test_every_public_name_has_a_docstring():
    assert len(EVERY) > 400
    assert not (bare := [p for p in EVERY if not p.doc]), listed(bare)


def test_constants_of_the_reference_have_docstrings():
    bare = [e.name for room in catalogue.ROOMS for e in catalogue.room_entries(f"canonlib.{room}") if not e.doc]
    assert not bare, bare


def test_functions_of_tensors_name_a_shape():
    tensors = [p for p in FUNCTIONS if takes_tensors(p.node)]
    assert len(tensors) > 80
    assert not (vague := [p for p in tensors if not SHAPE.search(p.prose)]), listed(vague)


def test_errors_are_named():
    """In a function's docstring; for what a class checks when it is made, in the class's."""
    silent = []
    for p in (p for p in EVERY if not p.module.startswith("canonlib.cli")):  # its docstrings are help texts
        if isinstance(p.node, ast.FunctionDef):
            silent += [p] if raises(p.module, p.node) and not NAMED.search(p.prose) else []
        else:
            made = [
                n for n in p.node.body if isinstance(n, ast.FunctionDef) and n.name in ("__init__", "__post_init__")
            ]
            told = p.prose + "".join(ast.get_docstring(n) or "" for n in made)
            silent += [p] if any(raises(p.module, n) for n in made) and not NAMED.search(told) else []
    assert not silent, listed(silent)


def test_the_audit_finds_what_is_missing(monkeypatch):
    """The four checks above on a module that breaks every rule."""
    bad = ast.parse("""
def bare(x): return x
def vague(x: torch.Tensor): "Doubles it."
def silent(n):
    "Counts."
    _check(n)
def _check(n):
    if n < 0:
        raise ConfigError("n")
""")
    monkeypatch.setattr(catalogue, "tree", lambda module: bad)
    bare, vague, silent = public("m")
    assert not bare.doc
    assert takes_tensors(vague.node) and not SHAPE.search(vague.prose)
    assert raises("m", silent.node) == {"ConfigError"} and not raises("m", vague.node)


def examples(module: str) -> list[doctest.DocTest]:
    return [t for t in doctest.DocTestFinder().find(importlib.import_module(module)) if t.examples]


WITH_EXAMPLES = [
    m for m in MODULES if ">>> " in catalogue.source(m).read_text(encoding="utf-8") and m != "canonlib.book.apidocs"
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_show_what_happens(module, monkeypatch, tmp_path):
    monkeypatch.setenv("CANONLIB_STORE", str(tmp_path))
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []
    for test in examples(module):
        runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).attempted > 0
    assert not said, "".join(said)


_MAIN = """
stitch.insertion_effects stitch.classify stitch.cosine_predictor stitch.insert stitch.swap stitch.combine
stitch.swap_groups stitch.swap_effects stitch.plan stitch.walk stitch.pool stitch.greedy_order stitch.frankenstein
meta.train_meta_sae meta.decompose meta.users meta.variance_explained meta.recipe meta.pursue meta.name_meta_latents
meta.score_parts meta.random_directions meta.gaussian_directions meta.stack compare.nearest compare.max_cosine
compare.shared_latents sae.metrics.reconstruction sae.metrics.ce_loss_recovered sae.training.train
sae.family.TrainedFamily contexts.top_contexts viz.line_by_size viz.effect_scatter viz.table viz.say
viz.colored_tokens store.Store tiers.get tiers.Family world.questions.question world.match.match_facts judge.build_cases
claims.verdict intervals.mean_interval rows.Rows toy.planted toy.recovery toy.planted_sae
"""
ENTRY_POINTS = _MAIN.split()


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_points_show_an_example(name):
    assert ">>> " in catalogue.every_name()[f"canonlib.{name}"].doc


def test_every_exported_name_has_one_entry():
    names = [e.name for room in catalogue.ROOMS for m in catalogue.room_modules(f"canonlib.{room}")
             for e in catalogue.entries(m)]  # fmt: skip
    assert len(set(names)) == len(names)
    known = catalogue.every_name()
    for room in catalogue.ROOMS:
        for name in catalogue.exports(f"canonlib.{room}") if catalogue.room_modules(f"canonlib.{room}") else ():
            assert f"canonlib.{room}.{name}" in known
    assert known["canonlib.meta.decomposition.decompose"].name == "canonlib.meta.decompose"
    assert known["canonlib.viz.top_contexts"].name == "canonlib.contexts.top_contexts"


def test_every_room_has_a_page():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book" / "api").glob("*.md"))
    for room in catalogue.ROOMS:
        assert f".. canon-room:: canonlib.{room}\n" in pages, room
    shown = {p.name for p in SOURCE.iterdir() if (p / "__init__.py").is_file()} - {"cli"}
    assert shown <= set(catalogue.ROOMS)


def cell(source, *tags):
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source}


def test_uses_are_found_where_they_are():
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "decompose"},
        cell(
            "from canonlib import tiers, world\nfrom canonlib.pipeline import Run\nrun = Run(tiers.get('world'))",
            "hide-input",
        ),
        cell("%matplotlib inline\nfrom canonlib.meta import decompose as take_apart"),
        cell("found = take_apart(meta, 0)\nfound.residual_norm, run.meta, world.facts('Einstein')"),
        cell("world = 3\nworld.facts, decompose"),
    ]
    uses = usage.chapter_uses("05-x", {"cells": cells})
    assert {(u.name, u.cell, u.shown) for u in uses} == {
        ("canonlib.pipeline.Run", 1, False),
        ("canonlib.tiers.get", 1, False),
        ("canonlib.meta.decompose", 3, True),
        ("canonlib.meta.Decomposition.residual_norm", 3, True),
        ("canonlib.pipeline.Run.meta", 3, True),
        ("canonlib.world.facts", 3, True),
    }


def test_the_first_use_in_view_counts(tmp_path):
    importing = "from canonlib.meta import decompose\n"
    for stem, cells in {
        "03-a": [cell(importing + "decompose(m, 0)", "hide-input")],
        "05-b": [cell(importing), cell("decompose(m, 1)"), cell("decompose(m, 2)")],
        "06-c": [cell(importing + "decompose(m, 0)")],
        "intro": [cell(importing + "decompose(m, 0)")],
    }.items():
        (tmp_path / f"{stem}.ipynb").write_text(json.dumps({"cells": cells}))
    found = usage.by_name(tmp_path)["canonlib.meta.decompose"]
    assert found.first == usage.Use("canonlib.meta.decompose", "05-b", 1, True)
    assert found.chapters == ("03-a", "05-b", "06-c")


def test_the_chapters_use_the_library():
    found = usage.by_name(ROOT / "book")
    assert found["canonlib.stitch.insertion_effects"].first.chapter.startswith("03")
    assert found["canonlib.meta.decompose"].first.chapter.startswith("05")
    assert len(found) > 100


def test_every_name_but_the_workshops_has_its_chapter():
    used = usage.by_name(ROOT / "book")
    homeless = [
        entry.name
        for room in set(catalogue.ROOMS) - set(derived.WORKSHOP)
        for module in catalogue.room_modules(f"canonlib.{room}")
        for entry in catalogue.entries(module)
        if derived.place_of(entry.home) is None and (entry.name not in used or used[entry.name].first is None)
    ]
    assert homeless == []


def test_the_sections_that_derive_names_are_there():
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("*.py")}
    places = set(derived.DERIVED.values())
    assert [p for p in places if not re.search(rf"^# #+ {re.escape(p.heading)}$", sources[p.chapter], re.M)] == []


def test_what_derives_a_name_is_said_of_names_that_exist():
    modules = {m for room in catalogue.ROOMS for m in catalogue.room_modules(f"canonlib.{room}")}
    homes = {entry.home for module in modules for entry in catalogue.entries(module)}
    assert [key for key in derived.DERIVED if key not in modules | homes] == []


def test_the_key_that_fits_best_counts():
    assert derived.place_of("canonlib.compare.shared_latents").heading == "Five seeds"
    assert derived.place_of("canonlib.compare.nearest").heading == "Seeing it in the directions"
    assert derived.place_of("canonlib.store.Store") is None
