"""ASYNCHOOKS in the environment: the engine in any Python process, and not a word otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SUB_INTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
inside = interpreters.create()
interpreters.run_string(inside, "print('inside', flush=True)")
interpreters.destroy(inside)  # from 3.14 on the interpreter's exit warns of one that is left
"""


def run(code: str, mode: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "ASYNCHOOKS"}
    if mode is not None:
        environment["ASYNCHOOKS"] = mode
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.parametrize(
    ("mode", "engine", "tracing"),
    [
        (None, False, False),
        ("", False, False),
        ("0", False, False),
        ("1", True, False),
        ("trace", True, True),
    ],
)
def test_what_is_on(mode: str | None, engine: bool, tracing: bool) -> None:
    code = (
        "import sys\n"
        "loaded = 'asynchooks' in sys.modules\n"
        "import asynchooks\n"
        "from asynchooks import engine\n"
        "print(loaded, asynchooks.is_enabled(), engine._is_tracing)"
    )
    result = run(code, mode)
    assert result.stdout.split() == [str(engine), str(engine), str(tracing)]
    assert result.stderr == ""


ANOTHER_HANDLE = """
class Meta(type): pass
class Handle(asyncio.Handle{}): __slots__ = ("more",)
asyncio.events.Handle = Handle
"""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ANOTHER_HANDLE.format(""), "has no slot"),
        (ANOTHER_HANDLE.format(", metaclass=Meta"), "somebody else"),
        ("asyncio.Task = asyncio.tasks._PyTask", "a C task"),
    ],
)
def test_it_steps_aside_where_asyncio_is_not_as_expected(change: str, reason: str) -> None:
    code = (
        f"import asyncio\n{change}\n"
        "import asynchooks\n"
        "asynchooks.enable()\n"
        "assert not asynchooks.is_enabled()\n"
        "asyncio.run(asyncio.sleep(0))\n"
    )
    result = run(code, None)
    assert "stepped aside" in result.stderr
    assert reason in result.stderr


@pytest.mark.parametrize("mode", [None, "1", "trace"])
def test_a_sub_interpreter_runs_as_without_us(mode: str | None) -> None:
    result = run(SUB_INTERPRETER, mode)
    assert (result.stdout, result.stderr) == ("inside\n", "")


def test_tasks_of_a_sub_interpreter_are_not_ours() -> None:
    """CPython's definition of a task's wake-up is one for all interpreters of a process."""
    program = (
        "import asyncio\\n"
        "async def main():\\n"
        " loop = asyncio.get_running_loop()\\n"
        " for _ in range(100):\\n"
        "  future = loop.create_future()\\n"
        "  loop.call_soon(future.set_result, None)\\n"
        "  await future\\n"
        "  await asyncio.create_task(asyncio.sleep(0))\\n"
        "asyncio.run(main())\\n"
        "print('inside', flush=True)"
    )
    seen = (
        "import asynchooks\n"
        "seen = []\n"
        "heard = {name: lambda *args: seen.append(args)\n"
        "         for name in ('init', 'before', 'after', 'destroy', 'settled')}\n"
        "asynchooks.create_hook(**heard).enable()\n"
    )
    code = SUB_INTERPRETER.replace("print('inside', flush=True)", program)
    result = run(f"{seen}{code}assert seen == [], seen\n", "1")
    assert (result.stdout, result.stderr) == ("inside\n", "")


def test_a_sub_interpreter_that_wants_us_is_refused_clearly() -> None:
    code = SUB_INTERPRETER.replace(
        "print('inside', flush=True)",
        "\\ntry:\\n import asynchooks\\nexcept ImportError as exc:\\n print(exc, flush=True)",
    )
    assert "interpreter" in run(code, None).stdout
