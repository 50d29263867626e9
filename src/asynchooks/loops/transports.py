"""Transports, servers and subprocesses of asyncio's own loop.

Each is a resource from its `__init__` on, and the loop's callbacks to it are its steps: so what a
protocol does in `connection_made` or `data_received` is caused by the connection. What a server
accepts is made by the server, and a subprocess's pipes by the subprocess. A TLS connection is two
transports, as it is in asyncio: the socket's and, whose steps are inside the socket's, the one that
the application has.
"""

from __future__ import annotations

import socket
from asyncio import base_events, base_subprocess, selector_events, sslproto, unix_events
from typing import TYPE_CHECKING, Any

from asynchooks import _native

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynchooks._patching import Patches

__all__ = ("install",)

# Of what the stubs leave out.
_selector_events: Any = selector_events
_unix_events: Any = unix_events
_LOOP = selector_events.BaseSelectorEventLoop
_UNIX_LOOP = unix_events._UnixSelectorEventLoop


def install(patches: Patches) -> None:
    """Wrap the `__init__` of every class of transport, of `Server`, and what makes transports on
    behalf of a server or a subprocess."""
    for owner, kind, helper in (
        (_selector_events._SelectorSocketTransport, "Transport", _type_of_socket),
        (_selector_events._SelectorDatagramTransport, "Transport", _named("UDPTransport")),
        (sslproto._SSLProtocolTransport, "Transport", _named("TLSTransport")),
        (_unix_events._UnixReadPipeTransport, "Transport", _named("ReadPipeTransport")),
        (_unix_events._UnixWritePipeTransport, "Transport", _named("WritePipeTransport")),
        (base_subprocess.BaseSubprocessTransport, "Subprocess", _named("Subprocess")),
        (base_events.Server, "Server", _named("Server")),
    ):
        _wrap(patches, owner, "__init__", "birth", helper, _native.KINDS.index(kind))
    for owner, name, action, find in (
        (_LOOP, "_accept_connection", "step", _accepting_server),
        (_LOOP, "_make_socket_transport", "cause", _server_of),
        (_LOOP, "_make_ssl_transport", "cause", _server_of),
        (_UNIX_LOOP, "_make_read_pipe_transport", "cause", _subprocess_of),
        (_UNIX_LOOP, "_make_write_pipe_transport", "cause", _subprocess_of),
        (sslproto.SSLProtocol, "buffer_updated", "step", "_app_transport"),
        (sslproto.SSLProtocol, "eof_received", "step", "_app_transport"),
        (sslproto.SSLProtocol, "connection_lost", "step", "_app_transport"),
    ):
        _wrap(patches, owner, name, action, find)


def _wrap(
    patches: Patches,
    owner: type,
    name: str,
    action: str,
    helper: Callable[..., object] | str,
    kind: int = 0,
) -> None:
    patches.wrap(owner, name, lambda fn: _native.Wrapper(fn, action, kind=kind, helper=helper))


def _named(name: str) -> Callable[..., str]:
    return lambda *_, **__: name


def _type_of_socket(transport: object, loop: object, sock: Any, *_: object, **__: object) -> str:
    is_unix = getattr(sock, "family", None) == socket.AF_UNIX
    return "UnixTransport" if is_unix else "TCPTransport"


def _accepting_server(
    loop: object,
    protocol_factory: object,
    sock: object,
    sslcontext: object = None,
    server: object = None,
    *_: object,
    **__: object,
) -> object:
    return server


def _server_of(*_: object, server: object = None, **__: object) -> object:
    return server


def _subprocess_of(loop: object, pipe: object, protocol: Any, *_: object, **__: object) -> object:
    is_stdio = isinstance(protocol, base_subprocess.WriteSubprocessPipeProto)
    return protocol.proc if is_stdio else None
