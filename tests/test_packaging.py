"""The repository's promises about itself: one set of pins, ranges that admit them, light imports, no stray files."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata as metadata
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
PIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*")
# jupyter-book brings these three; what imports them builds the book and nothing else.
WITH_JUPYTER_BOOK = {"sphinx", "docutils", "pyyaml"}


def lock_lines() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def locked() -> dict[str, Version]:
    return {name: Version(version) for name, version in (line.split("==") for line in lock_lines())}


def ranges() -> list[str]:
    extras = PROJECT["optional-dependencies"]
    return [*PROJECT["dependencies"], *(requirement for group in extras.values() for requirement in group)]


def committed() -> list[Path]:
    """Files that git tracks or would track on the next ``git add``."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_lock_holds_exact_pins_only_sorted_and_once() -> None:
    lines = lock_lines()
    assert len(lines) > 100
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_lock_pins_torch_and_leaves_out_what_is_not_ours() -> None:
    assert "torch==2.13.0" in lock_lines()
    assert not {"canonlib", "torchvision"} & set(locked())
    assert [name for name in locked() if name.startswith(("nvidia", "cuda"))] == []


def test_environment_yml_gives_the_same_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))
    assert environment["name"] == "canonlib"
    conda, pip = environment["dependencies"][:-1], environment["dependencies"][-1]["pip"]
    assert conda == ["python=3.11", "pip"]
    # Binder has no GPU and little room, and the notebooks there use this tree's canonlib.
    assert pip == ["--extra-index-url https://download.pytorch.org/whl/cpu", *lock_lines(), "-e ."]


def test_the_extra_pinned_is_the_lock_but_for_what_colab_keeps() -> None:
    direct = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert {"torch", "numpy", "ipython"} <= direct
    wanted = [line for line in lock_lines() if line.split("==")[0] in direct - {"torch", "numpy", "ipython"}]
    assert PROJECT["optional-dependencies"]["pinned"] == wanted, "python scripts/lock.py --again"


def test_no_dependency_replaces_colabs_running_kernel() -> None:
    kernel = {"ipykernel", "jupyter-client", "tornado", "pyzmq", "prompt-toolkit", "notebook"}
    todo, seen = [canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]], set()
    while todo:
        name = todo.pop()
        if name in seen or name in ("ipython", "torch"):  # Colab has these, in versions that our ranges admit
            continue
        seen.add(name)
        needed = [Requirement(text) for text in metadata.requires(name) or []]
        todo += [canonicalize_name(r.name) for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]
    assert seen & kernel == set()
    ipython = next(r for r in map(Requirement, PROJECT["dependencies"]) if r.name == "ipython")
    assert ipython.specifier.contains("7.34.0")


def test_make_lock_writes_what_is_committed(tmp_path: Path) -> None:
    for name in ("requirements.lock", "environment.yml", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    text = (tmp_path / "pyproject.toml").read_text(encoding="utf8")
    (tmp_path / "pyproject.toml").write_text(re.sub(r"(?ms)^pinned = \[.*?^\]", 'pinned = [\n    "torch==1",\n]', text))
    lock = runpy.run_path(str(ROOT / "scripts" / "lock.py"))
    lock["write"](*lock["locked"](), tmp_path)
    for name in ("requirements.lock", "environment.yml", "pyproject.toml"):
        assert (tmp_path / name).read_text(encoding="utf8") == (ROOT / name).read_text(encoding="utf8"), name
    assert not [text for text in lock["requirements"]() if "==" in text and "mathjax" not in text]


@pytest.mark.parametrize("text", ranges())
def test_declared_range_admits_the_pin(text: str) -> None:
    requirement = Requirement(text)
    pin = locked()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pin), f"{text} does not admit {pin}; run make lock"


def test_lock_is_closed() -> None:
    """Every dependency of a pinned package is pinned, in a version that the package accepts."""
    pins, wrong = locked(), []
    for name in pins:
        for text in metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker and not needed.marker.evaluate({"extra": ""}):
                continue
            pin = pins.get(canonicalize_name(needed.name))
            # CUDA builds of torch bring their libraries along, in versions that the lock leaves to them.
            if pin is None and name == "torch":
                continue
            if pin is None or not needed.specifier.contains(pin, prereleases=True):
                wrong.append(f"{name} needs {text}, pinned: {pin}")
    assert wrong == []


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"canonlib", "__future__"}


def test_every_import_is_a_declared_dependency() -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]} | WITH_JUPYTER_BOOK
    cluster = {Requirement(text).name for text in PROJECT["optional-dependencies"]["cluster"]}
    judge = {Requirement(text).name for text in PROJECT["optional-dependencies"]["judge"]}
    notebooks = {Requirement(text).name for text in PROJECT["optional-dependencies"]["notebooks"]}
    # The rooms that say which extra they need.
    optional = {
        "src/canonlib/sae/cluster.py": cluster,
        "src/canonlib/judge/client.py": judge,
        "src/canonlib/judge/transport.py": judge,
    }
    optional |= {path.relative_to(ROOT).as_posix(): notebooks for path in (ROOT / "src/canonlib/book").glob("*.py")}
    optional["src/canonlib/book/pdf.py"] = notebooks | {"playwright"}
    optional["src/canonlib/book/testing.py"] = {"pytest"}  # a plugin of pytest's own
    distributions, missing = metadata.packages_distributions(), []
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "notebooks").glob("*.py")]:
        for module in sorted(imports_of(path)):
            names = {canonicalize_name(name) for name in distributions.get(module, [module])}
            if not names & (declared | optional.get(path.relative_to(ROOT).as_posix(), set())):
                missing.append(f"{path.relative_to(ROOT)} imports {module}")
    assert missing == []


def test_entry_points_lead_somewhere() -> None:
    points = PROJECT["scripts"] | PROJECT["entry-points"]["myst_nb.mime_renderers"]
    for target in points.values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), target


def test_import_canonlib_is_light() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import canonlib; took = time.perf_counter() - start\n"
        "heavy = {'torch', 'numpy', 'transformers', 'plotly', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(took)"
    )
    took = [float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(3)]
    assert min(took) < 0.3


def test_make_help_lists_every_target_with_its_cost() -> None:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, flags=re.M))
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.M)[1].split())
    shown = subprocess.run(["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    listed = re.findall(r"^([\w-]+) +(?:seconds|minutes) +\S", shown, flags=re.M)
    assert {"book", "test", "setup", "html"} <= targets
    assert sorted(listed) == sorted(targets) == sorted(phony)


def test_no_committed_file_holds_a_path_of_one_machine() -> None:
    # home/me stands for nobody: tests and prose may use it as an example.
    folders = "|".join(["work", "root", "tmp", r"home/(?!me/)\w+", r"Users/(?!me/)\w+"])
    machine = re.compile(rf"(?<![\w.~/}}-])/(?:{folders})/")
    found = []
    for path in committed():
        content = path.read_bytes()
        if b"\0" in content[:8192]:
            continue
        for number, line in enumerate(content.decode("utf8", errors="replace").splitlines(), 1):
            if machine.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_nothing_is_pickled() -> None:
    assert [p.name for p in committed() if p.suffix in {".pkl", ".pickle", ".pt", ".pth", ".joblib", ".npz"}] == []
    calls = re.compile(r"^\s*(?:import|from) (?:pickle|joblib|dill)\b|\btorch\.(?:load|save)\(", flags=re.M)
    python = [p for p in committed() if p.suffix == ".py" and p != Path(__file__).resolve()]
    assert [p.name for p in python if calls.search(p.read_text(encoding="utf8"))] == []


def test_no_committed_file_is_larger_than_3_mb() -> None:
    assert [p.name for p in committed() if p.stat().st_size > 3_000_000] == []


def test_licence_and_citation() -> None:
    assert "MIT License" in (ROOT / "LICENSE").read_text(encoding="utf8")
    assert "CC BY 4.0" in (ROOT / "README.md").read_text(encoding="utf8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"] == metadata.version("canonlib")
    assert citation["authors"] == [{"name": "The canonlib authors"}]
    assert citation["references"][0]["title"] == "Sparse Autoencoders Do Not Find Canonical Units of Analysis"


def test_readme_has_one_block_for_the_claims_table() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    assert readme.count("<!-- claims:begin -->") == readme.count("<!-- claims:end -->") == 1
    assert readme.index("<!-- claims:begin -->") < readme.index("<!-- claims:end -->")
