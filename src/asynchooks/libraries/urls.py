"""URLs as they may be recorded: without credentials, and without the values of secrets."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

__all__ = ("redact_query", "redact_url")

# A key is secret by one of its words (`api_key`, `accessToken`), or as a whole.
_SECRET_WORDS = frozenset(
    (
        "apikey",
        "auth",
        "authorization",
        "credential",
        "credentials",
        "jwt",
        "key",
        "passwd",
        "password",
        "pwd",
        "secret",
        "session",
        "sessionid",
        "sig",
        "signature",
        "token",
    )
)
_SECRET_KEYS = frozenset(("code",))  # OAuth's
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def redact_query(query: str) -> str:
    """A query string, with `REDACTED` for the value of each key that names a secret."""
    return "&".join(map(_redact_pair, query.split("&")))


def _redact_pair(pair: str) -> str:
    key, equals, value = pair.partition("=")
    return f"{key}=REDACTED" if equals and value and _is_secret(key) else pair


def _is_secret(key: str) -> bool:
    words = {word.lower() for word in _WORD.findall(key)}
    return key.lower() in _SECRET_KEYS or not words.isdisjoint(_SECRET_WORDS)


def redact_url(url: str) -> str:
    """A URL without its user, password and fragment, and with its query redacted."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, redact_query(parts.query), ""))
