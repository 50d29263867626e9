"""The command line's grammar: what is ours, what is the command's, and what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asynchooks.cli.arguments import DEFAULT_PORT, parse

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("run -- uvicorn app:app --port 80", "uvicorn app:app --port 80"),
        ("run uvicorn app:app --port 80", "uvicorn app:app --port 80"),
        ("run --port 1 uvicorn --port 80", "uvicorn --port 80"),
        ("run --port=1 uvicorn --port 80", "uvicorn --port 80"),
        ("run --no-view -- python -m pkg -- --flag", "python -m pkg -- --flag"),
        ("run --service shop --store a.db x", "x"),
        ("run -- --odd", "--odd"),
        ("run -- run -- x", "run -- x"),
    ],
)
def test_the_command_begins_where_ours_ends(line: str, command: str) -> None:
    assert parse(line.split()).command == command.split()


def test_options_of_run() -> None:
    line = ("run", "--port", "4319", "--no-view", "--service", "shop", "--store", "a.db", "--", "x")
    arguments = parse(line)
    assert (arguments.port, arguments.no_view, arguments.service) == (4319, True, "shop")
    assert arguments.store == Path("a.db")


def test_defaults() -> None:
    view = parse(["view"])
    assert (view.host, view.port, view.store) == ("127.0.0.1", DEFAULT_PORT, None)
    run = parse(["run", "x"])
    assert (run.port, run.no_view, run.service, run.store) == (None, False, None, None)
    assert parse(["demo"]).once is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "no command to run, expected `asynchooks run -- COMMAND`; see"),
        (["run", "--"], "no command to run"),
        (["run", "--port"], "--port: expected one argument"),
        (["run", "--port", "http", "--", "x"], "'http' is not a port, expected 0 to 65535"),
        (["view", "--port", "65536"], "'65536' is not a port, expected 0 to 65535"),
        (["view", "--port", "-1"], "--port"),
        (["view", "--port", "٣"], "is not a port"),
        (["run", "--colour", "x"], "unrecognized arguments: --colour; see `asynchooks run --help`"),
        (["run", "--por", "1", "x"], "unrecognized arguments: --por"),
        (["view", "extra"], "unrecognized arguments: extra"),
        (["serve"], "invalid choice: 'serve'"),
        ([], "no command, expected one of run, view, demo, doctor; see `asynchooks --help`"),
        (["--once"], "unrecognized arguments: --once; see `asynchooks --help`"),
    ],
)
def test_a_wrong_line_is_one_line_and_status_2(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("asynchooks: ")
    assert err.count("\n") == 1
    assert message in err
    assert "--help`" in err


@pytest.mark.parametrize("command", ["", "run", "view", "demo"])
def test_help_is_worth_reading(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse([*command.split(), "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: asynchooks")
    assert max(map(len, out.splitlines())) <= 100
    if command in ("", "run"):
        assert "asynchooks run -- uvicorn app:app" in out
