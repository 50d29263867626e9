"""redis-py: commands, pipelines, and waiting for a blocking pool. valkey is made from it.

A thread that listens to messages belongs to nobody, so that no request stays in it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks._detached import call_detached
from asynchooks.libraries.database import command_span
from asynchooks.libraries.drivers import Calls, read_text, trace_calls
from asynchooks.libraries.pools import waiting

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.libraries.drivers import Status
    from asynchooks.tracing import Span

__all__ = ("MODULE", "NAME", "SUPPORTED", "install", "trace_package")

NAME = "redis"
MODULE = "redis"
SUPPORTED = ("4.2", "9")

# Of a longer command, or pipeline, no more is recorded.
_MAXIMUM_ARGUMENTS = 16
_MAXIMUM_COMMANDS = 64
# Passwords are arguments of these.
_SECRET = frozenset(("AUTH", "HELLO", "ACL", "CONFIG", "MIGRATE"))


def install(patches: Patches, module: ModuleType) -> None:
    trace_package(patches, module, "Redis")


def trace_package(patches: Patches, module: ModuleType, client: str) -> None:
    """Trace a package that is made like redis-py, whose class for clients is of that name."""
    system = module.__name__
    status = functools.partial(_error_prefix, _prefixes(module))
    _trace_clients(patches, module, client, system, status)
    patches.wrap(module.client.PubSub, "run_in_thread", _make_run_in_thread)
    # Some versions leave importing it to the application.
    patches.when_imported(
        f"{system}.asyncio",
        lambda asyncio: _trace_clients(patches, asyncio, client, system, status),
    )


def _trace_clients(
    patches: Patches, package: Any, client: str, system: str, status: Status
) -> None:
    def begin(client: Any, *args: Any, **options: Any) -> Span | None:
        return _begin(system, client, args)

    def begin_pipeline(pipeline: Any, *args: Any, **kwargs: Any) -> Span | None:
        return _begin_pipeline(system, pipeline)

    trace_calls(
        patches,
        (
            Calls(getattr(package, client), ("execute_command",), begin, parameters=_parameters),
            Calls(package.client.PubSub, ("execute_command",), begin),
            Calls(
                package.client.Pipeline,
                ("immediate_execute_command",),
                begin,
                parameters=_parameters,
            ),
            Calls(package.client.Pipeline, ("execute",), begin_pipeline, is_whole=True),
        ),
        status,
    )
    patches.wrap(package.connection.BlockingConnectionPool, "get_connection", waiting)


def _make_run_in_thread(original: Any) -> Any:
    @functools.wraps(original)
    def run_in_thread(*args: Any, **kwargs: Any) -> Any:
        return call_detached(functools.partial(original, *args, **kwargs))

    return run_in_thread


def _begin(system: str, client: Any, args: tuple[Any, ...]) -> Span | None:
    operation = read_text(args[0]).upper() if args else ""
    if not operation:
        return None
    return command_span(system, operation, text=_text(args), **_address(client))


def _parameters(client: Any, *args: Any, **options: Any) -> object:
    if not args or read_text(args[0]).upper().partition(" ")[0] in _SECRET:
        return None
    return args[1 : 1 + _MAXIMUM_ARGUMENTS]


def _begin_pipeline(system: str, pipeline: Any) -> Span | None:
    commands = pipeline.command_stack
    if not commands and not pipeline.watching:
        return None
    # Async pipelines have a method of the name that is a flag of the others.
    is_transaction = getattr(pipeline, "is_transaction", pipeline.transaction)
    return command_span(
        system,
        "MULTI" if is_transaction or pipeline.explicit_transaction else "PIPELINE",
        text="; ".join(_text(args) for args, _ in commands[:_MAXIMUM_COMMANDS]),
        batch_size=len(commands),
        **_address(pipeline),
    )


def _text(args: tuple[Any, ...]) -> str:
    """A command as it may be recorded: what stands for each of its arguments is a question mark."""
    words = [read_text(args[0]).upper(), *"?" * min(len(args) - 1, _MAXIMUM_ARGUMENTS)]
    if len(args) - 1 > _MAXIMUM_ARGUMENTS:
        words.append("...")
    return " ".join(words)


def _address(client: Any) -> dict[str, Any]:
    options = client.connection_pool.connection_kwargs
    return {
        "namespace": str(options.get("db") or 0),
        "address": options.get("path") or options.get("host") or "localhost",
        "port": None if "path" in options else options.get("port", 6379),
    }


def _prefixes(module: ModuleType) -> dict[type, str]:
    """By a type of exception, the prefix of the errors that the parser makes such an exception of,
    and takes off."""
    parsers = getattr(module, "_parsers", module.connection)
    codes = parsers.BaseParser.EXCEPTION_CLASSES
    return {cls: code for code, cls in codes.items() if isinstance(cls, type)}


def _error_prefix(prefixes: dict[type, str], exc: Any) -> object:
    prefix = getattr(exc, "status_code", None) or prefixes.get(type(exc))
    if prefix is not None or not any(c.__name__ == "ResponseError" for c in type(exc).__mro__):
        return prefix
    # A pipeline puts its command before what the server said.
    first = str(exc).rpartition("caused error: ")[2].partition(" ")[0]
    return first if first.isalpha() and first.isupper() else "ERR"
