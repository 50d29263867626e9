"""Processes: the rows p01 to p08, with each way to start one.

What a process gets it says in a pipe or as its result, so the functions stand in this module, which
the child imports too. The child knows nothing of the engine.
"""

from __future__ import annotations

import contextvars
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import asynchooks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import BaseContext

# Forking while other threads run, as tests do, is warned of from 3.12 on.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

variable: contextvars.ContextVar[str | None] = contextvars.ContextVar("variable", default=None)
portable: asynchooks.AsyncLocalStorage[Any] = asynchooks.AsyncLocalStorage(
    name="tests.boundaries.portable", portable=True
)
other: asynchooks.AsyncLocalStorage[Any] = asynchooks.AsyncLocalStorage(name="other")

Seen = tuple[Any, Any, Any]


def look(_: object = None) -> Seen:
    """What is in force by the portable storage, by another one, and by a plain variable."""
    return portable.get_store(), other.get_store(), variable.get()


def look_and_set(name: str) -> Seen:
    found = look()
    enter(name)
    return found


def enter(name: str) -> None:
    portable.enter_with(name)
    other.enter_with(name)
    variable.set(name)


def send(pipe: Any) -> None:
    pipe.send((look(), os.getpid()))


def in_request(name: Any, fn: Any, *args: Any) -> Any:
    def request() -> Any:
        enter(name)
        return fn(*args)

    return contextvars.copy_context().run(request)


def of_process(method: str, name: Any = "A") -> Seen:
    """What a process sees that a request has started."""
    context: BaseContext = multiprocessing.get_context(method)
    reading, writing = context.Pipe(duplex=False)
    process = context.Process(target=send, args=(writing,))  # type: ignore[attr-defined]
    in_request(name, process.start)
    seen: Seen
    seen, pid = reading.recv()
    process.join()
    assert process.exitcode == 0
    assert pid != os.getpid()
    return seen


@pytest.fixture
def make_pool() -> Iterator[Any]:
    pools: list[Executor] = []

    def make(method: str) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method))
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.shutdown()


def test_p01_forked_process(engine_on_or_off: None) -> None:
    assert of_process("fork") == ("A", "A", "A")


def test_p02_spawned_process(engine: None) -> None:
    assert of_process("spawn") == ("A", None, None)


def test_p02_what_cannot_be_pickled_stays(engine: None) -> None:
    assert of_process("spawn", lambda: "cannot be pickled") == (None, None, None)


def test_p03_process_of_a_fork_server(engine: None) -> None:
    assert of_process("forkserver") == ("A", None, None)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_p04_process_pool(engine: None, make_pool: Any, method: str) -> None:
    pool = make_pool(method)
    assert in_request("A", pool.submit, look_and_set, "job 1").result(60) == ("A", None, None)
    assert in_request("B", pool.submit, look).result(60) == ("B", None, None)
    assert in_request("C", lambda: list(pool.map(look, range(2)))) == [("C", None, None)] * 2
    assert pool.submit(look).result(60) == (None, None, None)


def test_p05_forked_workers(engine: None, make_pool: Any) -> None:
    """They have nothing of the request that has made the pool start them, nor of jobs before."""
    pool = make_pool("fork")
    assert in_request("A", pool.submit, look_and_set, "job 1").result(60) == ("A", None, None)
    assert pool.submit(look).result(60) == (None, None, None)


def test_p05_a_pool_of_multiprocessing(engine: None) -> None:
    context = multiprocessing.get_context("fork")
    pool = in_request("starter", context.Pool, 1)
    with pool:
        assert in_request("A", pool.apply, look_and_set, ("job 1",)) == ("A", None, None)
        assert in_request("B", pool.map, look, range(2)) == [("B", None, None)] * 2
        assert pool.apply(look) == (None, None, None)


def initialize(name: str) -> None:
    other.enter_with(name)
    variable.set(name)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_p04_what_the_initializer_sets_stays(engine: None, method: str) -> None:
    context = multiprocessing.get_context(method)
    pool = ProcessPoolExecutor(
        1, mp_context=context, initializer=initialize, initargs=("initializer",)
    )
    with pool:
        for name in "AB":
            seen = in_request(name, pool.submit, look_and_set, "job").result(60)
            assert seen == (name, "initializer", "initializer")


PROGRAM = """
import contextvars, multiprocessing, sys, warnings
from concurrent.futures import ProcessPoolExecutor
warnings.simplefilter("ignore", DeprecationWarning)
variable = contextvars.ContextVar("variable", default="lost")
variable.set("the program's")
def look():
    return variable.get()
fork = multiprocessing.get_context("fork")
with ProcessPoolExecutor(1, mp_context=fork) as pool:
    print(contextvars.copy_context().run(pool.submit, look).result())
with fork.Pool(1) as pool:
    print(contextvars.copy_context().run(pool.apply, look))
"""


@pytest.mark.parametrize("asynchooks_is", ["0", "1"])
def test_p05_forked_workers_have_what_the_program_has(asynchooks_is: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "ASYNCHOOKS": asynchooks_is},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("the program's\n" * 2, "")


def fail() -> None:
    raise LookupError("its own")


def test_p04_an_error_has_no_frame_of_ours(make_pool: Any) -> None:
    def report() -> str:
        return str(make_pool("spawn").submit(fail).exception(60).__cause__)

    plain = report()
    asynchooks.enable()
    try:
        assert report() == plain
    finally:
        asynchooks.disable()


@pytest.mark.tool("snapshot")
def test_p06_a_captured_context_can_be_pickled(engine_on_or_off: None) -> None:
    snapshot = in_request("A", asynchooks.AsyncLocalStorage.snapshot)
    arrived = pickle.loads(pickle.dumps(snapshot))
    assert arrived(look) == ("A", None, None)
    assert snapshot(look) == ("A", "A", "A")


@pytest.mark.impossible("asynchooks is of one interpreter, and enters no other")
@pytest.mark.skipif(sys.version_info < (3, 14), reason="pools of interpreters came with 3.14")
def test_p07_interpreter_pool(engine: None) -> None:
    from concurrent import futures

    pool_type = futures.InterpreterPoolExecutor  # type: ignore[attr-defined] # 3.14
    in_force = "[variable.name for variable in __import__('contextvars').copy_context()]"
    with pool_type(max_workers=1) as pool:
        assert in_request("A", pool.submit, eval, in_force).result(60) == []


@pytest.mark.tool("snapshot")
def test_p08_a_captured_runner(engine_on_or_off: None, make_pool: Any) -> None:
    """The recipe for threads, with processes: neither an error nor a process that hangs."""
    snapshot = in_request("A", asynchooks.AsyncLocalStorage.snapshot)
    assert make_pool("spawn").submit(snapshot, look).result(60) == ("A", None, None)


def test_a_portable_storage_needs_a_name() -> None:
    with pytest.raises(ValueError, match="has no name"):
        asynchooks.AsyncLocalStorage(portable=True)
