"""What TLS is spoken with: whose certificates are believed, and ours."""

from __future__ import annotations

import ssl

__all__ = ("make_context",)


def make_context(certificate: str, client_certificate: str, client_key: str) -> ssl.SSLContext:
    """A context from files in PEM's format; "" is: none.

    Args:
        certificate: of authorities that are believed, instead of the system's.
        client_certificate, client_key: who we are, for receivers that ask.

    Raises OSError that names the file where one cannot be read, or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=certificate or None)
    except OSError as exc:
        raise OSError(f"certificate {certificate}: {exc}") from exc
    if client_certificate:
        try:
            context.load_cert_chain(client_certificate, client_key or None, _no_password)
        except (OSError, ValueError) as exc:
            raise OSError(f"client certificate {client_certificate}: {exc}") from exc
    return context


def _no_password() -> str:
    """Instead of the terminal's, which OpenSSL would ask."""
    raise ValueError("its key is encrypted")
