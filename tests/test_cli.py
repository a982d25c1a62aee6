"""The command line: expected errors are one line, Ctrl-C says how to go on, --help imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
import typer
from typer.testing import CliRunner

import canonlib.cli as cli
from canonlib.errors import ConfigError

runner = CliRunner()


def two_line_error(width: int = 0) -> None:
    raise ConfigError(f"width must be at least 1, got {width}.\n  Choose from: [0, 32], [bold].")


def interrupted() -> None:
    raise KeyboardInterrupt


def broken() -> None:
    raise ZeroDivisionError("a defect, not an expected error")


def make_group() -> typer.Typer:
    group = typer.Typer()

    @group.command()
    def ls(long: bool = False, where: str = "here") -> None:
        """List."""
        typer.echo(f"long={long} where={where}")

    @group.command()
    def fail(width: int = 0) -> None:
        """Fail."""
        two_line_error(width)

    return group


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in module behind the names ``store`` (a group) and ``run`` (a function)."""
    module = types.ModuleType("canonlib_cli_stand_in")
    module.group, module.error, module.stop, module.broken = make_group(), two_line_error, interrupted, broken
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, attribute in {"store": "group", "run": "error", "world": "stop", "claims": "broken"}.items():
        monkeypatch.setitem(cli.ROOMS, name, cli.Room(module.__name__, attribute, "stand-in"))


def test_arguments_reach_the_command_behind_the_name(rooms: None) -> None:
    result = runner.invoke(cli.app, ["store", "ls", "--long", "--where", "there"])
    assert result.exit_code == 0
    assert result.stdout == "long=True where=there\n"


def test_help_of_a_sub_command_is_its_own(rooms: None) -> None:
    result = runner.invoke(cli.app, ["store", "ls", "--help"])
    assert result.exit_code == 0
    assert "--where" in result.stdout
    assert "canonlib store ls" in result.stdout


@pytest.mark.parametrize("args", [["store", "fail"], ["run"]], ids=["group", "function"])
def test_expected_error_is_one_line_with_exit_code_2(rooms: None, monkeypatch: pytest.MonkeyPatch, args: list) -> None:
    monkeypatch.delenv("CANONLIB_DEBUG", raising=False)
    result = runner.invoke(cli.app, args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: width must be at least 1, got 0. Choose from: [0, 32], [bold].\n"


def test_function_room_reads_its_options(rooms: None) -> None:
    result = runner.invoke(cli.app, ["run", "--width", "7"])
    assert "got 7." in result.stderr


def test_debug_shows_the_exception(rooms: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANONLIB_DEBUG", "1")
    result = runner.invoke(cli.app, ["run"])
    assert isinstance(result.exception, ConfigError)


def test_a_defect_is_not_dressed_up_as_an_expected_error(rooms: None) -> None:
    result = runner.invoke(cli.app, ["claims"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_ctrl_c_says_how_to_go_on(rooms: None) -> None:
    result = runner.invoke(cli.app, ["world"])
    assert result.exit_code == 130
    assert result.stderr == f"{cli.INTERRUPTED}\n"


def test_unknown_command_and_option_are_usage_errors(rooms: None) -> None:
    assert runner.invoke(cli.app, ["stor"]).exit_code == 2
    result = runner.invoke(cli.app, ["store", "ls", "--wher", "x"])
    assert result.exit_code == 2
    assert "No such option" in result.stderr


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from canonlib.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert e.code in (0, None), e.code\n"
        "heavy = {'torch', 'numpy', 'transformers', 'plotly', 'papermill'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in cli.ROOMS:
        assert name in done.stdout


@pytest.mark.parametrize("name", cli.ROOMS)
def test_every_command_is_there(name: str) -> None:
    assert runner.invoke(cli.app, [name, "--help"]).exit_code == 0
