"""The workflows: few rights, no secrets, actions of a stated major version, and nothing called that is not there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf8"), flags=re.M))
# Written by the step before, or by git itself.
MADE_THERE = re.compile(r"^(dist|book/_build)/")


def workflow(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf8"))


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(path)["jobs"].values():
        yield from job["steps"]


def commands(path: Path) -> Iterator[str]:
    for step in steps(path):
        yield from step.get("run", "").splitlines()


def make_targets(line: str) -> list[str]:
    """Targets of every ``make`` in a line of shell; variables and options are not targets."""
    found = []
    for part in re.split(r"&&|\|\||;|\|", re.sub(r"\$\{\{.*?\}\}", "EXPRESSION", line)):
        if part.strip().startswith("make "):
            found += [word for word in shlex.split(part)[1:] if "=" not in word and not word.startswith("-")]
    return found


def files_named(line: str) -> list[str]:
    """Scripts, tests and notebooks that a line of shell names without wildcards."""
    words = re.findall(r"(?<![\w./$-])(?:[\w.-]+/)+[\w.-]+", line)
    return [word for word in words if not MADE_THERE.match(word) and not word.startswith((".venv/", "origin/"))]


def test_the_workflows_that_there_must_be() -> None:
    assert [path.stem for path in WORKFLOWS] == ["notebooks", "publish", "release", "test", "weekly"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_a_workflow_asks_for_few_rights_and_ends(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    assert workflow(path)["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job or "environment" in job for job in workflow(path)["jobs"].values())
    assert "secrets." not in text
    wider = {name for name, job in workflow(path)["jobs"].items() if job.get("permissions")}
    assert wider <= {"deploy", "publish"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_actions_are_githubs_own_with_a_major_version(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"actions/[\w-]+(/\w+)?@v\d+", name)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_every_make_target_and_file_that_is_called_is_there(path: Path) -> None:
    lines = list(commands(path))
    assert [target for line in lines for target in make_targets(line) if target not in TARGETS] == []
    assert [name for line in lines for name in files_named(line) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_what_a_job_needs_is_a_job_before_it(path: Path) -> None:
    jobs = workflow(path)["jobs"]
    for name, job in jobs.items():
        needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        assert set(needed) <= set(jobs) - {name}


def test_the_readers_of_a_line_read() -> None:
    assert make_targets("make strict offline VENV=.venv -j2 && cd x; make links") == ["strict", "offline", "links"]
    assert files_named(".venv/bin/python scripts/lock.py dist/*.whl tests/test_x.py https://a.org/b") == [
        "scripts/lock.py", "tests/test_x.py",
    ]  # fmt: skip


def test_the_matrix_is_every_chapter() -> None:
    """The listing that the workflow computes, run here, names each source; the matrix takes it as it comes."""
    jobs = workflow(ROOT / ".github" / "workflows" / "notebooks.yml")["jobs"]
    assert jobs["chapter"]["strategy"]["matrix"] == {"chapter": "${{ fromJSON(needs.store.outputs.chapters) }}"}
    listing = next(step["run"] for step in jobs["store"]["steps"] if step.get("id") == "list")
    assert jobs["store"]["outputs"] == {"chapters": "${{ steps.list.outputs.chapters }}"}
    names = re.search(r"\$\((.*) \| jq -R \. \| jq -sc \.\)", listing)
    assert names is not None
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    done = subprocess.run(["bash", "-c", names[1]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))


def test_the_store_is_saved_under_the_key_that_it_is_looked_for() -> None:
    caches = [step for path in WORKFLOWS for step in steps(path) if step.get("uses", "").startswith("actions/cache")]
    keys = {step["with"]["key"] for step in caches if "/save" not in step["uses"]}
    assert keys == {"store-v1-${{ hashFiles('src/canonlib/**', 'notebooks/**', 'requirements.lock') }}"}
    (saved,) = (step for step in caches if "/save" in step["uses"])
    looked_for = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.cache-primary-key \}\}", saved["with"]["key"])
    assert looked_for is not None, "computed anew after the tests, the hash would count compiled files"
    assert [step["uses"] for step in caches if step.get("id") == looked_for[1]] == ["actions/cache/restore@v4"]


def test_only_what_passed_the_tests_is_published() -> None:
    publish = workflow(ROOT / ".github" / "workflows" / "publish.yml")
    triggers = publish[True]  # YAML 1.1 reads the key "on" so
    assert set(triggers) == {"workflow_run", "workflow_dispatch"}
    assert triggers["workflow_run"]["workflows"] == [workflow(ROOT / ".github" / "workflows" / "test.yml")["name"]]
    assert "workflow_run.conclusion == 'success'" in publish["jobs"]["build"]["if"]
    assert "workflow_run.head_sha" in publish["jobs"]["build"]["steps"][0]["with"]["ref"]
