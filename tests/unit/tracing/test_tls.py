"""Spans over TLS, to a server with a certificate that nobody but its maker knows."""

from __future__ import annotations

import datetime as dt
import gzip
import ipaddress
import shutil
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asynchooks import _native
from asynchooks.tracing import Span, sender
from asynchooks.tracing.config import Config
from asynchooks.tracing.exporter import Exporter
from asynchooks.tracing.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSWORD = b"secret"
SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class Files(NamedTuple):
    """In PEM's format."""

    authority: str
    certificate: str
    key: str
    encrypted_key: str


def make_files(folder: Path) -> Files:
    """An authority, and a certificate of it for 127.0.0.1."""
    folder.mkdir()
    now = dt.datetime.now(dt.UTC)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name, name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("we", "one of us")
    )

    def sign(
        subject: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
    ) -> bytes:
        builder = x509.CertificateBuilder(
            issuer_name=authority_name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - dt.timedelta(days=1),
            not_valid_after=now + dt.timedelta(days=1),
        )
        for extension in extensions:
            is_critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(extension, critical=is_critical)
        signed = builder.sign(authority_key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def store(name: str, content: bytes) -> str:
        path = folder / name
        path.write_bytes(content)
        return str(path)

    def pem(encryption: serialization.KeySerializationEncryption) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    authority = (
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()),
        SIGNS_CERTIFICATES,
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return Files(
        store("ca.pem", sign(authority_name, authority_key, *authority)),
        store("server.pem", sign(name, key, address, issuer)),
        store("server.key", pem(serialization.NoEncryption())),
        store("encrypted.key", pem(serialization.BestAvailableEncryption(PASSWORD))),
    )


class Receiver:
    """Takes spans over TLS. With `asks`, of those alone who show a certificate of its authority."""

    def __init__(self, files: Files, *, asks: bool) -> None:
        self.names: list[str] = []
        self.connections = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                (scope,) = request.resource_spans[0].scope_spans
                receiver.names += (span.name for span in scope.spans)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(files.authority)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: Any, client_address: Any) -> None:
                with context.wrap_socket(request, server_side=True) as encrypted:
                    Handler(encrypted, client_address, self)

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # who does not believe us, or is not believed, is gone

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("tls") / "others")


@pytest.fixture
def make_receiver(files: Files) -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*, asks: bool = False) -> Receiver:
        made.append(Receiver(files, asks=asks))
        return made[-1]

    yield make
    for receiver in made:
        receiver.stop()


@pytest.fixture
def make_exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Exporter]]:
    monkeypatch.setattr(sender, "_FIRST_BACKOFF", 0.001)
    made: list[Exporter] = []

    def make(receiver: Receiver, **more: Any) -> Exporter:
        config = Config(endpoint=receiver.url, **more)
        made.append(Exporter(config, Sender(config)))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown()
    _native.set_span_buffer(None)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_spans_arrive_over_one_connection(
    files: Files,
    make_receiver: Callable[..., Receiver],
    make_exporter: Callable[..., Exporter],
    compression: str,
) -> None:
    receiver = make_receiver()
    exporter = make_exporter(receiver, certificate=files.authority, compression=compression)
    names = []
    for count in (1, 5000):
        for number in range(count):
            Span(f"{count}-{number}", attributes={"text": "x" * 500}).end()
            names.append(f"{count}-{number}")
        assert exporter.flush(60)
    assert receiver.names == names
    assert receiver.connections == 1
    assert exporter.stats() == (5001, 5001, 0, 0)


def test_who_shows_a_certificate_is_believed(
    files: Files, make_receiver: Callable[..., Receiver], make_exporter: Callable[..., Exporter]
) -> None:
    receiver = make_receiver(asks=True)
    exporter = make_exporter(
        receiver,
        certificate=files.authority,
        client_certificate=files.certificate,
        client_key=files.key,
    )
    Span("one").end()
    assert exporter.flush(30)
    assert receiver.names == ["one"]


def test_who_shows_none_is_not(
    files: Files, make_receiver: Callable[..., Receiver], make_exporter: Callable[..., Exporter]
) -> None:
    receiver = make_receiver(asks=True)
    exporter = make_exporter(receiver, certificate=files.authority)
    Span("one").end()
    assert exporter.flush(30)
    assert receiver.names == []
    assert exporter.stats() == (1, 0, 1, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (lambda ours, others: {}, "certificate verify failed"),
        (lambda ours, others: {"certificate": others.authority}, "certificate verify failed"),
        (lambda ours, others: {"certificate": "/none.pem"}, "certificate /none.pem: "),
        (lambda ours, others: {"certificate": ours.key}, "server.key: "),
        (
            lambda ours, others: {
                "certificate": ours.authority,
                "client_certificate": ours.certificate,
            },
            "client certificate ",
        ),
        (
            lambda ours, others: {
                "certificate": ours.authority,
                "client_certificate": ours.certificate,
                "client_key": ours.encrypted_key,
            },
            "its key is encrypted",
        ),
    ],
    ids=["system's", "another's", "none", "a key", "without its key", "encrypted key"],
)
def test_what_is_not_believed_gets_nothing_and_the_reason_is_said_once(
    files: Files,
    others: Files,
    make_receiver: Callable[..., Receiver],
    make_exporter: Callable[..., Exporter],
    caplog: pytest.LogCaptureFixture,
    options: Callable[[Files, Files], dict[str, str]],
    message: str,
) -> None:
    receiver = make_receiver()
    exporter = make_exporter(receiver, **options(files, others))
    for _ in range(2):
        Span("one").end()
        assert exporter.flush(30)
    assert receiver.names == []
    assert exporter.stats() == (2, 0, 2, 0)
    (record,) = (r for r in caplog.records if r.levelname == "WARNING")
    assert message in record.getMessage()


def test_a_renewed_authority_is_believed_at_the_next_connection(
    files: Files,
    others: Files,
    tmp_path: Path,
    make_receiver: Callable[..., Receiver],
    make_exporter: Callable[..., Exporter],
) -> None:
    path = tmp_path / "ca.pem"
    shutil.copy(others.authority, path)
    receiver = make_receiver()
    exporter = make_exporter(receiver, certificate=str(path))
    Span("refused").end()
    assert exporter.flush(30)
    shutil.copy(files.authority, path)
    Span("taken").end()
    assert exporter.flush(30)
    assert receiver.names == ["taken"]
