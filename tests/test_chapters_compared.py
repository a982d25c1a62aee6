"""What the notebook tests compare depends on nothing that was trained: another processor ends at another SAE.

Read from the source, without running it: names that hold what a training made are followed through a chapter's cells, and
a cell with the tag may compute with them but not show them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
TAG = "nbval-check-output"
SAME_EVERYWHERE = {"tier", "lm", "knowledge"}
"""What a ``Run`` has that nothing here trains: its settings, and the model that is shipped and what that answers."""
TRAINS = {"Run", "Training", "train", "train_together", "train_meta_sae", "held_out_variance", "claim", "compute"}
SHOWS = {"print", "display", "say", "table"}
FILLS = {"append", "extend", "update", "add", "insert", "setdefault"}


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def loaded(node: ast.AST) -> Iterator[str]:
    """Names that an expression or a function reads from outside; ``run`` only where it is asked for what was trained."""
    own = {arg.arg for child in ast.walk(node) if isinstance(child, ast.arguments) for arg in child.args}
    if isinstance(node, ast.FunctionDef):
        own |= {
            child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
        }
    skipped = {
        id(child.value) for child in ast.walk(node)
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.attr in SAME_EVERYWHERE
    }  # fmt: skip
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and id(child) not in skipped and child.id not in own:
            yield child.id


def holds(node: ast.AST, trained: set[str]) -> bool:
    """Whether an expression's value may come from a training."""
    calls = {called(child) for child in ast.walk(node) if isinstance(child, ast.Call)}
    return bool(trained & set(loaded(node)) or TRAINS & calls)


def stored(target: ast.AST) -> Iterator[str]:
    """Names that filling ``target`` changes: its own, those of a tuple, that of the container it goes into."""
    yield from (child.id for child in ast.walk(target) if isinstance(child, ast.Name))


def follow(statement: ast.stmt, trained: set[str]) -> None:
    """Add the names that a statement fills from a training, and take out those that it fills with something else."""
    if isinstance(statement, ast.Assign) and not holds(statement.value, trained):
        trained.difference_update(t.id for t in statement.targets if isinstance(t, ast.Name))
    before = None
    while before != len(trained):  # the statements in a loop's body may fill one another
        before = len(trained)
        for node in ast.walk(statement):
            for target, value in fillings(node):
                if holds(value, trained):
                    trained.update(stored(target))


def fillings(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """What a node fills, and with what."""
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and node.value:
        yield node.target, node.value
    elif isinstance(node, ast.For):
        yield node.target, node.iter
    elif isinstance(node, ast.withitem) and node.optional_vars:
        yield node.optional_vars, node.context_expr
    elif isinstance(node, ast.FunctionDef):
        yield ast.Name(node.name, ast.Store()), node
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and called(node) in FILLS:
        yield from ((node.func.value, argument) for argument in node.args)


def shown(tree: ast.Module) -> Iterator[ast.AST]:
    """Expressions whose values a cell shows: what is printed or displayed, and its last line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in SHOWS:
            yield node
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        yield tree.body[-1].value


def unanswered(node: ast.AST) -> bool:
    """An exercise's check of an answer that is still None: it says so, whatever else it is given."""
    return isinstance(node, ast.Call) and called(node).startswith("check_")


def findings(source: str) -> list[str]:
    """Shown expressions of tagged cells that hold what was trained, as source."""
    trained: set[str] = set()
    found = []
    for cell in jupytext.reads(source, fmt="py:percent").cells:
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source)
        for statement in tree.body:
            follow(statement, trained)
        if TAG in cell.metadata.get("tags", ()):
            for node in shown(tree):
                parts = node.args if isinstance(node, ast.Call) and called(node) in SHOWS else [node]
                found += [ast.unparse(part) for part in parts if holds(part, trained) and not unanswered(part)]
    return found


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_is_compared_depends_on_no_training(notebook: Path) -> None:
    assert findings(notebook.read_text(encoding="utf-8")) == []


HEAD = "# %%\nfrom x import y\nrun = Run()\nsae = run.family('a').sae(8)\nsizes = run.tier.sizes\n"


@pytest.mark.parametrize(("cell", "n"), [
    ("print(sizes)", 0),
    ("print(run.tier.families)", 0),
    ("print(sae.W_dec[0, 0])", 1),
    ("w = sae.W_dec\nfor row in w:\n    print(row)", 1),
    ("best = max(sizes, key=lambda n: sae.score(n))\nprint(best)", 1),
    ("rows = []\nrows.append(sae.l0)\nviz.table(rows, {})", 1),
    ("rows = {}\nrows['a'] = sae.l0\nrows", 1),
    ("def l0():\n    return sae.l0\nl0()", 1),
    ("answer_1_1 = None\nexercises.check_l0(answer_1_1, sae)", 0),
    ("answer_1_1 = None\nprint(sae.l0)\nexercises.check_l0(answer_1_1, sae)", 1),
    ("display(exercises.check_l0(None, sae))", 0),
    ("if (n := sae.l0) > 3:\n    print(n)", 1),
    ("training = train(family, 8, x, 0, out)\ntraining", 1),
])  # fmt: skip
def test_the_names_are_followed(cell: str, n: int) -> None:
    assert len(set(findings(f'{HEAD}\n# %% tags=["{TAG}"]\n{cell}\n'))) == n
