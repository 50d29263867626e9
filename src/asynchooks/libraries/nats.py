"""NATS: publishing is a span, whose context travels in the message's headers; each message that a
subscription hands to a callback is a request of its own, linked to who has published it. So is what
a subscription is asked for: `next_msg`, `async for`, `fetch` of pull consumers (`fetches`)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from asynchooks.libraries.calls import guarded, step_out, unrecorded
from asynchooks.libraries.fetches import closing, fetching, follow_tasks
from asynchooks.libraries.jobs import (
    Message,
    handling,
    headers_here,
    sending,
    start_processing,
    start_sending,
)

if TYPE_CHECKING:
    from types import ModuleType

    from asynchooks._patching import Patches
    from asynchooks.tracing import Request, Span

NAME = "nats-py"
MODULE = "nats.aio.client"
SUPPORTED = ("2.2", "3")

# Where replies and acknowledgements go: nobody's job, and not sent by the application.
_INTERNAL = ("_INBOX.", "$JS.")


def install(patches: Patches, module: ModuleType) -> None:
    from nats.aio import subscription  # the application has imported it

    follow_tasks(patches)
    client = module.Client
    patches.wrap(client, "publish", _make_publish)
    patches.wrap(client, "subscribe", _make_subscribe)
    patches.wrap(subscription.Subscription, "next_msg", fetching("nats", _one, where=_subject_of))
    iterator = subscription._SubscriptionMessageIterator
    patches.wrap(iterator, "__anext__", fetching("nats", _one, where=_iterated_subject))
    for name in ("close", "drain"):
        patches.wrap(client, name, closing)
    patches.when_imported("nats.js.client", lambda jetstream: _install_pull(patches, jetstream))
    patches.when_imported(
        "nats.js.object_store",  # whose objects come in messages
        lambda store: patches.wrap(store.ObjectStore, "get", unrecorded),
    )


def _install_pull(patches: Patches, jetstream: ModuleType) -> None:
    subscription = jetstream.JetStreamContext.PullSubscription
    fetch = fetching("nats", _many, where=_nowhere, is_batch=True)
    patches.wrap(subscription, "fetch", fetch)


def _make_publish(original: Any) -> Any:
    @functools.wraps(original)
    async def publish(
        self: Any,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        span = guarded(original, _begin_sending, subject)
        with sending(span):
            if span is not None and self._server_info.get("headers"):  # else it refuses them
                headers = {**headers_here(), **(headers or {})}
            await original(self, subject, payload, reply, headers)

    return publish


def _begin_sending(subject: str) -> Span | None:
    if subject.startswith(_INTERNAL):
        return None
    return start_sending("nats", subject)


def _make_subscribe(original: Any) -> Any:
    @functools.wraps(original)
    async def subscribe(
        self: Any, subject: str, queue: str = "", cb: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if cb is not None and not _is_of_the_client(cb):
            cb = handling(cb, _begin, original)
        try:
            return await original(self, subject, queue, cb, *args, **kwargs)
        except BaseException as exc:
            step_out(exc)
            raise

    return subscribe


def _is_of_the_client(callback: Any) -> bool:
    """Whether it is a method of the client's own, which sorts replies."""
    owner = getattr(callback, "__self__", None)
    return owner is not None and type(owner).__module__.partition(".")[0] == "nats"


def _begin(message: Any) -> Request:
    return start_processing("nats", _one(None, message))


def _one(source: object, message: Any) -> list[Message]:
    return _many(source, [message])


def _many(source: object, messages: list[Any]) -> list[Message]:
    return [Message(message.subject, message.headers or {}) for message in messages]


def _subject_of(subscription: Any) -> str:
    return str(subscription.subject)


def _iterated_subject(iterator: Any) -> str:
    return _subject_of(iterator._sub)


def _nowhere(pulled: object) -> str:
    """What is pulled tells its subject; the subscription has an inbox."""
    return ""
