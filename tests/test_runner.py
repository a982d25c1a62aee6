"""The notebook runner on small notebooks in a temporary repository."""

from __future__ import annotations

import json
import os
import re
import sys

import pytest

pytest.importorskip("papermill", reason="papermill is not installed")

import nbformat

from canonlib import tiers
from canonlib.book import clean, runner
from canonlib.book.parameters import chapter_parameters, read_value, run_name
from canonlib.book.status import read_records
from canonlib.cli.book import join_pairs
from canonlib.errors import ConfigError
from canonlib.pipeline import Run

HEADER = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% tags=["parameters"]
tier = "world"
seed = 0
rate: float = 0.5
full = False

"""
GOOD = (
    HEADER
    + """# %% [markdown]
# # Title

# %%
import os, sys
for i in range(3):
    print("out", i, flush=True)
    print("progress", i, file=sys.stderr, flush=True)

# %%
print(seed, rate, full, tier, os.environ["PYTHONHASHSEED"], hash("a") != 0)
sys.executable.rsplit("/", 1)[-1], set("abc")
"""
)
BAD = (
    HEADER
    + """# %%
good = 1

# %%
raise ValueError("the seventh seal")
"""
)
WAIT = """import pathlib, time
end = time.monotonic() + 60
while time.monotonic() < end and not pathlib.Path({path!r}).exists():
    time.sleep(0.05)
"""


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "_toc.yml").write_text("root: intro\n")
    for name in ("notebooks", "book"):
        (tmp_path / name).mkdir()
    (tmp_path / "notebooks" / "01-good.py").write_text(GOOD)
    return tmp_path


def run(repository, *names, **more):
    lines: list[str] = []
    done = runner.run_chapters(names, root=repository, write=lines.append, **more)
    return done, "".join(lines)


def stdout(path):
    cells = nbformat.read(path, as_version=4).cells
    return "".join(o.get("text", "") for c in cells if c.cell_type == "code" for o in c.outputs)


def test_two_runs_are_byte_identical_and_leave_the_file_alone(repository):
    (first,), progress = run(repository)
    data, stamp = first.path.read_bytes(), first.path.stat().st_mtime_ns
    (second,), again = run(repository)
    assert first.changed
    assert not second.changed
    assert second.path.read_bytes() == data
    assert second.path.stat().st_mtime_ns == stamp
    told = read_records(first.path.parent)["01-good"]["memory_mib"]
    assert os.name != "posix" or 20 < told < 4_000, "a kernel that does next to nothing"
    assert "01-good  cell 1/3" in progress
    assert "01-good  cell 3/3" in progress
    assert "unchanged" in again
    text = stdout(first.path)
    assert "out 0\nout 1\nout 2\n" in text
    assert "progress" not in text
    assert "0 0.5 False world 0 True" in text
    assert not list(repository.glob("book/.*partial"))


def test_several_chapters_side_by_side_end_in_order_and_as_alone(repository):
    for stem in ("02-other", "03-third"):
        (repository / "notebooks" / f"{stem}.py").write_text(GOOD)
    alone, _ = run(repository)
    data = [one.path.read_bytes() for one in alone]
    for one in alone:
        one.path.unlink()
    together = runner.run_chapters(root=repository, jobs=2)
    assert [one.chapter for one in together] == ["01-good", "02-other", "03-third"]
    assert [one.path.read_bytes() for one in together] == data


def test_a_failure_among_several_is_told_and_the_rest_of_the_queue_is_dropped(repository):
    (repository / "notebooks" / "01-good.py").write_text(BAD)
    failed = repository / "book" / "_build" / "failed" / "01-good.ipynb"
    # The second waits for the first to fail: else the others may all end before that.
    waiting = f"{GOOD}\n# %%\n{WAIT.format(path=str(failed))}"
    (repository / "notebooks" / "02-other.py").write_text(waiting)
    for stem in ("03-third", "04-fourth", "05-fifth"):
        (repository / "notebooks" / f"{stem}.py").write_text(GOOD)
    with pytest.raises(runner.NotebookError, match=r"chapter 01-good, cell 3 of 3: ValueError: the seventh seal"):
        runner.run_chapters(root=repository, jobs=2)
    assert not (repository / "book" / "05-fifth.ipynb").exists()


def test_a_kernel_has_one_thread_whatever_the_environment_says(repository, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    source = HEADER + '# %%\nimport os\nprint("threads", os.environ["OMP_NUM_THREADS"])\n'
    (repository / "notebooks" / "01-good.py").write_text(source)
    (done,), _ = run(repository)
    assert "threads 1" in stdout(done.path)


def test_parameters_go_to_a_folder_of_their_own(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (done,), _ = run(repository, "1", parameters={"seed": "1", "full": "true"})
    assert done.path.as_posix() == "runs/01-good-full-True-seed-1/01-good.ipynb"
    assert "1 0.5 True world" in stdout(done.path)
    assert not list((repository / "book").glob("*.ipynb"))


def test_a_failing_cell_keeps_the_committed_notebook(repository):
    source = repository / "notebooks" / "02-bad.py"
    source.write_text(BAD)
    committed = repository / "book" / "02-bad.ipynb"
    committed.write_text("committed")
    with pytest.raises(runner.NotebookError) as caught:
        run(repository, "2")
    message = str(caught.value)
    assert "chapter 02-bad, cell 3 of 3: ValueError: the seventh seal" in message
    assert 'raise ValueError("the seventh seal")' in message
    assert "book/_build/failed/02-bad.ipynb" in message
    assert "\x1b" not in message
    assert committed.read_text() == "committed"
    failed = json.loads((repository / "book" / "_build" / "failed" / "02-bad.ipynb").read_text())
    assert "the seventh seal" in json.dumps(failed)


def test_a_dying_kernel_is_told_with_its_cell(repository):
    (repository / "notebooks" / "03-dies.py").write_text(HEADER + "# %%\nimport os\nos._exit(9)\n")
    with pytest.raises(runner.NotebookError, match=r"chapter 03-dies, cell 2 of 2: the kernel died"):
        run(repository, "3")


def test_outputs_that_cannot_be_kept_are_refused_with_their_cell(repository):
    (repository / "notebooks" / "04-big.py").write_text(HEADER + '# %%\nprint("x" * 300_001)\n\n# %%\nobject()\n')
    with pytest.raises(runner.NotebookError) as caught:
        run(repository, "4")
    assert "cell 2: an output of 300," in str(caught.value)
    assert "cell 3: an output with a memory address" in str(caught.value)
    assert not (repository / "book" / "04-big.ipynb").exists()


@pytest.mark.parametrize("name", ["1", "01", "01-good", "01-g", "good", "01-good.py"])
def test_a_chapter_is_found_by_number_name_or_start(repository, name):
    assert [p.stem for p in runner.find_chapters(repository, [name])] == ["01-good"]


def test_the_first_page_has_a_name_and_runs_last(repository):
    for stem in ("intro", "05-findings"):
        (repository / "notebooks" / f"{stem}.py").write_text(GOOD)
    assert [p.stem for p in runner.find_chapters(repository, [])] == ["01-good", "05-findings", "intro"]
    assert [p.stem for p in runner.find_chapters(repository, ["intro", "5"])] == ["intro", "05-findings"]


@pytest.mark.parametrize("name", ["2", "bad", "", "goood", "0"])
def test_an_unknown_chapter_lists_the_choices(repository, name):
    (repository / "notebooks" / "11-other.py").write_text(GOOD)
    with pytest.raises(ConfigError, match="01-good"):
        runner.find_chapters(repository, [name])


def test_an_ambiguous_start_is_refused(repository):
    (repository / "notebooks" / "02-gone.py").write_text(GOOD)
    with pytest.raises(ConfigError, match="ambiguous: 01-good, 02-gone"):
        runner.find_chapters(repository, ["go"])


def test_bad_requests_stop_before_anything_runs(repository):
    for parameters, message in (({"sede": "1"}, "Did you mean 'seed'"), ({"seed": "x"}, "of type int"),
                                ({"full": "maybe"}, "of type bool")):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            run(repository, "1", parameters=parameters)
    with pytest.raises(ConfigError, match="jobs must be a whole number of at least 1, got 0"):
        run(repository, "1", jobs=0)
    with pytest.raises(ConfigError, match="default parameters"):
        run(repository, "1", out=repository / "book" / "sub")
    (repository / "notebooks" / "05-none.py").write_text("# %%\n1\n")
    with pytest.raises(ConfigError, match="no parameters cell"):
        run(repository, "5", parameters={"seed": "1"})
    assert not list((repository / "book").iterdir())


def test_no_repository_and_no_chapters_are_told(tmp_path):
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(ConfigError, match="holds no chapter"):
        runner.find_chapters(tmp_path, [])


def test_parameters_are_read_with_their_types(repository):
    known = chapter_parameters(repository / "notebooks" / "01-good.py")
    assert {name: parameter.default for name, parameter in known.items()} == {
        "tier": "world", "seed": 0, "rate": 0.5, "full": False,
    }  # fmt: skip
    assert read_value("rate", "1e-3", known["rate"]) == 0.001
    assert read_value("full", "no", known["full"]) is False
    assert read_value("seed", "7", known["seed"]) == 7
    with pytest.raises(ConfigError, match="seed must be of type int like its default 0, got '7.5'"):
        read_value("seed", "7.5", known["seed"])


@pytest.mark.parametrize(("line", "text", "value"), [
    ("limit = None", "12", 12), ("limit = None", "0.5", 0.5), ("limit = None", "a name", "a name"),
    ("limit = None", "none", None), ("limit = None", "true", True), ("limit: int | None = None", "12", 12),
    ("limit: int | None = 3", "None", None), ("limit: Optional[float] = None", "2", 2.0),
    ("limit: int | str = 3", "many", "many"), ("limit: bool = False", "1", True), ("limit: float = 1", "2", 2.0),
])  # fmt: skip
def test_defaults_of_none_and_types_of_several_kinds_are_known(tmp_path, line, text, value):
    (tmp_path / "01-a.py").write_text(f'# %% tags=["parameters"]\n{line}\nnever: int\n')
    known = chapter_parameters(tmp_path / "01-a.py")
    assert list(known) == ["limit"]
    found = read_value("limit", text, known["limit"])
    assert found == value and type(found) is type(value)


def test_none_is_refused_where_it_may_not_be(tmp_path):
    (tmp_path / "01-a.py").write_text('# %% tags=["parameters"]\nlimit: int | None = None\nseed = 0\n')
    known = chapter_parameters(tmp_path / "01-a.py")
    with pytest.raises(ConfigError, match="seed must be of type int like its default 0, got 'None'"):
        read_value("seed", "None", known["seed"])
    with pytest.raises(ConfigError, match="limit must be of type int or None like its default None, got 'x'"):
        read_value("limit", "x", known["limit"])


def test_every_run_has_a_folder_of_its_own():
    values = ["a=b", "a_b", "a b", "a/b", "A_B", "x" * 200, "x" * 201, None, 0, "0.0", "../../etc", "ä"]
    names = [run_name("01-a", {"p": value}) for value in values]
    assert len(set(names)) == len(values)
    assert all(re.fullmatch(r"[\w.-]{1,140}", name) and ".." not in name.split("-") for name in names)
    assert run_name("01-a", {"seed": 1}) == "01-a-seed-1"


def test_pairs_on_the_command_line():
    assert join_pairs(["3", "-p", "seed", "1", "-p", "tier=toy", "4"]) == ["3", "-p", "seed=1", "-p", "tier=toy", "4"]
    assert join_pairs(["-p"]) == ["-p"]


def test_own_kernel_wins_over_a_kernel_of_the_user(tmp_path, monkeypatch):
    from jupyter_client.kernelspec import KernelSpecManager

    from canonlib.book.kernel import own_kernel

    other = tmp_path / "user" / "kernels" / "python3"
    other.mkdir(parents=True)
    spec = {"argv": ["/elsewhere/python"], "display_name": "x", "language": "python"}
    (other / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "user"))
    assert KernelSpecManager().get_kernel_spec("python3").argv[0] == "/elsewhere/python"
    with own_kernel(tmp_path) as name:
        assert KernelSpecManager().get_kernel_spec(name).argv[0] == sys.executable
    assert KernelSpecManager().get_kernel_spec("python3").argv[0] == "/elsewhere/python"


def test_cleaning_joins_stdout_and_drops_stderr_and_widgets():
    v4 = nbformat.v4
    cell = v4.new_code_cell("x", outputs=[
        v4.new_output("stream", name="stdout", text="a"), v4.new_output("stream", name="stderr", text="noise"),
        v4.new_output("stream", name="stdout", text="b"),
        v4.new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {}, "text/plain": "bar"}),
    ])  # fmt: skip
    notebook = v4.new_notebook(cells=[cell])
    clean.clean_notebook(notebook, "stem")
    assert [(o.output_type, o.text) for o in notebook.cells[0].outputs] == [("stream", "ab")]


def test_private_folders_are_found_as_whole_names():
    v4 = nbformat.v4
    shown = v4.new_output("stream", name="stdout", text="see /home/me/x and /home/meadow")
    cell = v4.new_code_cell("x", outputs=[shown])
    notebook = v4.new_notebook(cells=[cell])
    assert len(clean.output_problems(notebook, ("/home/me",))) == 1
    assert clean.output_problems(notebook, ("/home/m",)) == []


def test_bars_are_for_a_reader_and_not_for_the_runner(repository, tmp_path, monkeypatch):
    source = """# %%
from canonlib import tiers
from canonlib.pipeline import Run

print(Run(tiers.get("world")).progress, Run(tiers.get("world"), progress=True).progress)
"""
    monkeypatch.setenv("CANONLIB_STORE", str(tmp_path / "store"))
    (repository / "notebooks" / "01-good.py").write_text(HEADER + source)
    (done,), _ = run(repository)
    assert stdout(done.path) == "False True\n"
    monkeypatch.delenv("CANONLIB_PROGRESS", raising=False)
    assert Run(tiers.get("world")).progress
    monkeypatch.setenv("CANONLIB_PROGRESS", "0")
    assert not Run(tiers.get("world")).progress


def test_without_the_notebook_packages_the_error_names_the_extra(repository, monkeypatch):
    monkeypatch.setattr(runner, "NEEDED", ("papermill", "no_such_package"))
    with pytest.raises(ConfigError, match=r"needs no_such_package: pip install 'canonlib\[notebooks\]'"):
        runner.run_chapters(root=repository)
