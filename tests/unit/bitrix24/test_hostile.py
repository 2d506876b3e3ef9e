"""Servers that are not what they say, and answers that are made to hurt."""

import gzip
import socket
import ssl
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.bitrix24.fakes import Handler, serving
from worker.bitrix24.protocol import MAX_BYTES, decode
from worker.bitrix24.transport import Transport
from worker.config import Settings
from worker.errors import BadAnswer, CallRefused, PortalError, Unreachable

MEGABYTE = 2**20
HOST = "portal.example"


@dataclass
class TlsServer:
    """A portal whose certificate only its own authority knows; `bodies` is what reached it."""

    port: int
    authority: Path
    bodies: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed, for the name and the address; with its key, as one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *plain) + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@contextmanager
def tls_server(certificate: Path) -> Iterator[TlsServer]:
    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None: ...

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None: ...

    server = Quiet(("127.0.0.1", 0), Answering)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    told = TlsServer(server.server_port, certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    """The server, found under its name."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    true = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: true("127.0.0.1" if host == HOST else host, *rest, **more)
    )
    with tls_server(certificate) as server:
        yield server


TRICKS = [
    {},
    {"REQUESTS_CA_BUNDLE": ""},
    {"CURL_CA_BUNDLE": ""},
    {"REQUESTS_CA_BUNDLE": "0"},
    {"REQUESTS_CA_BUNDLE": "false", "CURL_CA_BUNDLE": "false"},
    {"PYTHONHTTPSVERIFY": "0"},
    {"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""},
    {"GIT_SSL_NO_VERIFY": "1", "NODE_TLS_REJECT_UNAUTHORIZED": "0"},
]


@pytest.mark.parametrize("host", [HOST, "127.0.0.1"])
@pytest.mark.parametrize(
    "environment", TRICKS, ids=lambda trick: ",".join(f"{name}={value}" for name, value in trick.items()) or "plain"
)
def test_no_environment_makes_us_talk_to_a_stranger(
    tls: TlsServer, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: str
):
    """The body with the token never leaves."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PortalError) as refused:
        Transport(connect_timeout=5, read_timeout=5).post_json(f"https://{host}:{tls.port}/rest/x", {"auth": "token"})

    assert isinstance(refused.value, Unreachable)
    assert tls.bodies == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_authority_of_ones_own_is_fine(tls: TlsServer, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, str(tls.authority))
    reply = Transport(connect_timeout=5, read_timeout=5).post_json(f"https://{HOST}:{tls.port}/rest/x", {"auth": "t"})

    assert reply.status == 200
    assert tls.bodies == [b'{"auth":"t"}']


def test_no_setting_weakens_tls():
    names = {setting.metadata["name"] for setting in fields(Settings)}

    assert not [name for name in names if any(word in name for word in ("VERIFY", "TLS", "SSL", "INSECURE"))]


@pytest.mark.parametrize(
    "url",
    [
        "http://portal.example/rest/x",
        "http://10.0.0.1/rest/x",
        "http://127.0.0.1.portal.example/rest/x",
        "http://localhost@portal.example/rest/x",
        "http://0.0.0.0/rest/x",
        "http://2130706433.example/rest/x",
        "HTTP://portal.example/rest/x",
        "ftp://127.0.0.1/rest/x",
        "//portal.example/rest/x",
    ],
)
def test_plain_http_leads_nowhere_but_here(url: str):
    with pytest.raises(CallRefused):
        Transport().post_json(url, {"auth": "token"})


def test_an_answer_is_sixty_four_megabytes_at_most():
    assert MAX_BYTES == 64 * MEGABYTE
    assert Transport()._max_bytes == MAX_BYTES


def test_an_answer_without_end_is_left(monkeypatch: pytest.MonkeyPatch):
    """Streamed, without a length: we hang up after what we allow, not after what it sends."""
    sent = [0]

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        try:
            for _ in range(400):
                handler.wfile.write(b" " * (MEGABYTE // 4))
                sent[0] += MEGABYTE // 4
        except OSError:
            pass
        handler.close_connection = True

    with serving(endless) as origin, pytest.raises(BadAnswer, match="more than"):
        Transport(max_bytes=2 * MEGABYTE).get(origin, {})
    assert sent[0] < 40 * MEGABYTE


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_is_defused(layers: int):
    """200 MB of nothing in 200 KB, also packed twice: neither is ever in memory."""
    bomb = gzip.compress(b"\0" * (200 * MEGABYTE), 9)
    for _ in range(1, layers):
        bomb = gzip.compress(bomb, 9)
    encoding = ", ".join(["gzip"] * layers)
    with serving(lambda _handler: (200, {"Content-Encoding": encoding}, bomb)) as origin:
        transport = Transport(max_bytes=MEGABYTE)
        tracemalloc.start()
        try:
            with pytest.raises(PortalError):
                transport.get(origin, {})
            assert tracemalloc.get_traced_memory()[1] < 30 * MEGABYTE
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("depth", [500, 900, 1_100, 5_000, 100_000, 1_000_000])
@pytest.mark.parametrize("where", ["result", "error", "time", "beside"])
def test_an_answer_of_any_depth_is_read_or_refused(depth: int, where: str):
    """No recursion of ours ends the program."""
    nest = b"[" * depth + b"]" * depth
    name = b"other" if where == "beside" else where.encode()
    outcome = decode(200, {}, b'{"result":1,"%s":%s}' % (name, nest) if where != "result" else b'{"result":%s}' % nest)
    if not isinstance(outcome, PortalError):
        try:
            outcome.decode(list)
        except PortalError:
            return
