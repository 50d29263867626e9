"""Transports, servers, subprocesses and look-ups of uvloop.

They are C objects, made where nobody can look on. But each is given to its protocol, in
`connection_made`, and the protocol comes from a factory that the application has given to the loop.
So a new protocol has a `connection_made` of ours among its attributes, until it is called, once;
then nothing of ours is left on it. A stream's transport has asked for `data_received` by then, and
keeps the one that it was given: ours, which runs the protocol's as a step of the transport.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from asynchooks import _native
from asynchooks._patching import step_out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from asynchooks._patching import Patches


__all__ = ("install",)


class _Type(NamedTuple):
    kind: int
    name: str


_TRANSPORT = _native.KINDS.index("Transport")
_SUBPROCESS = _Type(_native.KINDS.index("Subprocess"), "Subprocess")
_SERVER = _Type(_native.KINDS.index("Server"), "Server")
_TLS = _Type(_TRANSPORT, "TLSTransport")
_DNS_LOOKUP = _native.KINDS.index("DNSLookup")

# Both loops' transports go by the same names.
_TYPES = {
    "TCPTransport": _Type(_TRANSPORT, "TCPTransport"),
    "UnixTransport": _Type(_TRANSPORT, "UnixTransport"),
    "UDPTransport": _Type(_TRANSPORT, "UDPTransport"),
    "ReadUnixTransport": _Type(_TRANSPORT, "ReadPipeTransport"),
    "WriteUnixTransport": _Type(_TRANSPORT, "WritePipeTransport"),
    "_SSLProtocolTransport": _TLS,
    "UVProcessTransport": _SUBPROCESS,
}

_TAKE_A_FACTORY = (
    "create_connection",
    "create_unix_connection",
    "create_datagram_endpoint",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "subprocess_exec",
    "subprocess_shell",
)

# In the __dict__ of uvloop's own protocol for a pipe, until that is connected.
_ORIGIN = "_asynchooks_origin"

# The same, by the types themselves, once uvloop is imported.
_types: dict[type, _Type] = {}


def install(patches: Patches, module: ModuleType) -> None:
    """Wrap the methods of `uvloop.Loop` that are given a protocol factory, and the look-ups; and
    the protocols that uvloop itself has for the pipes of a subprocess."""
    _types.update({getattr(module.loop, name): kind for name, kind in _TYPES.items()})
    _native.set_transport_types(_types)

    def wrap(owner: type, name: str, action: str, **options: Any) -> None:
        patches.wrap(owner, name, lambda original: _native.Wrapper(original, action, **options))

    for name in _TAKE_A_FACTORY:
        wrap(module.Loop, name, "through", helper=_connect)
    for name in ("create_server", "create_unix_server"):
        wrap(module.Loop, name, "through", helper=_serve)
    wrap(module.Loop, "start_tls", "through", helper=_start_tls)
    for name in ("getaddrinfo", "getnameinfo"):
        wrap(module.Loop, name, "through", helper=_look_up)
    writing, reading = module.loop.WriteSubprocessPipeProto, module.loop.ReadSubprocessPipeProto
    wrap(writing, "__init__", "call", then=_pipe_is_made)
    wrap(writing, "connection_made", "step", helper=_meet_pipe)
    wrap(writing, "connection_lost", "step", helper="pipe")
    wrap(reading, "data_received", "step", helper="pipe")


# ---- Connections ----------------------------------------------------------------------------


def _connect(original: Any, loop: object, /, *args: Any, **kwargs: Any) -> Any:
    """The transport was made by whoever makes the protocol, in this call."""

    def wrap(factory: Any) -> Any:
        return _native.Wrapper(factory, "call", then=_native.introduce)

    args, kwargs = _with_factory(args, kwargs, wrap)
    return original(loop, *args, **kwargs)


def _with_factory(
    args: tuple[Any, ...], kwargs: dict[str, Any], wrap: Callable[[Any], Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with the protocol factory wrapped; as they are where none is found."""
    if args and callable(args[0]):
        return (wrap(args[0]), *args[1:]), kwargs
    for name in ("protocol_factory", "proto_factory"):
        if callable(kwargs.get(name)):
            return args, {**kwargs, name: wrap(kwargs[name])}
    return args, kwargs


def _start_tls(original: Any, loop: object, /, *args: Any, **kwargs: Any) -> Any:
    async def start_tls(starting: Awaitable[Any]) -> Any:
        try:
            transport = await starting
        except BaseException as exc:
            step_out(exc)
            raise
        _native.track(transport, *_TLS)
        return transport

    return _in_place_of(original, start_tls(original(loop, *args, **kwargs)))


def _in_place_of(original: Any, coroutine: Any) -> Any:
    """`coroutine`, by the name of the one that it awaits."""
    coroutine.__name__, coroutine.__qualname__ = original.__name__, original.__qualname__
    return coroutine


# ---- Servers --------------------------------------------------------------------------------


class _Acceptor:
    """A server, once there is one, and its protocol factory, each call of which is a step of it."""

    def __init__(self) -> None:
        self._server: ref[Any] | None = None

    def wrap(self, factory: Any) -> Any:
        return _native.Wrapper(factory, "step", helper=self._find, then=self._introduce)

    def _find(self) -> object | None:
        return self._server() if self._server is not None else None

    def _introduce(self, protocol: object) -> None:
        _native.introduce(protocol, self._find())

    async def serve(self, starting: Awaitable[Any]) -> Any:
        """Nothing is accepted before the loop's next turn."""
        try:
            server = await starting
        except BaseException as exc:
            step_out(exc)
            raise
        _native.track(server, *_SERVER)
        self._server = ref(server)
        return server


def _serve(original: Any, loop: object, /, *args: Any, **kwargs: Any) -> Any:
    acceptor = _Acceptor()
    args, kwargs = _with_factory(args, kwargs, acceptor.wrap)
    return _in_place_of(original, acceptor.serve(original(loop, *args, **kwargs)))


# ---- Subprocesses ---------------------------------------------------------------------------


def _pipe_is_made(_: None, protocol: Any, /, *args: object) -> None:
    """uvloop makes the pipes of a subprocess before it has the process."""
    vars(protocol)[_ORIGIN] = _native.origin(None)


def _meet_pipe(protocol: Any, transport: object) -> object | None:
    origin = vars(protocol).pop(_ORIGIN, None)
    kind = _types.get(type(transport))
    if origin is None or kind is None:
        return None
    _native.track(protocol.proc, *_SUBPROCESS, origin)
    _native.track(transport, *kind, _native.origin(protocol.proc))
    return transport


# ---- Look-ups -------------------------------------------------------------------------------


def _look_up(original: Any, loop: object, /, *args: Any, **kwargs: Any) -> Any:
    """libuv has threads of its own: there is no job, and nothing executes here."""

    async def look_up(looking: Awaitable[Any]) -> Any:
        lookup = _native.Resource("DNSLookup", None, False, _DNS_LOOKUP)
        lookup.subject = original
        try:
            return await looking
        except BaseException as exc:
            step_out(exc)
            raise
        finally:
            lookup.emit_destroy()

    return _in_place_of(original, look_up(original(loop, *args, **kwargs)))
