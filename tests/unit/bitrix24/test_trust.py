"""Certificates are loaded once, and every connection is verified by them all the same."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from requests import adapters

from worker.bitrix24.transport import Transport
from worker.bitrix24.trust import context_of
from worker.errors import Unreachable


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Whoever does not trust us hangs up."""


@contextmanager
def portal(folder: Path, name: str = "127.0.0.1") -> Iterator[str]:
    """A portal over TLS, with a certificate of its own for `name` (folder/name.pem); its address."""
    certify(folder, name)
    server = _Server(("127.0.0.1", 0), _Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/rest/profile"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certify(folder: Path, name: str) -> None:
    """A certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"portal {name}")])
    now = datetime.now(UTC)
    known = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(issuer)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([known]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(*kind))
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def transport() -> Iterator[Transport]:
    one = Transport()
    yield one
    one.close()


def trust(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    """What a machine trusts; no setting is read for loopback."""
    monkeypatch.setattr(adapters, "DEFAULT_CA_BUNDLE_PATH", str(bundle))


def test_a_portal_with_a_trusted_certificate_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: Transport
):
    with portal(tmp_path) as url:
        trust(monkeypatch, tmp_path / "127.0.0.1.pem")
        assert transport.post_json(url, {}).status == 200


def test_one_that_nobody_vouches_for_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: Transport):
    certify(tmp_path, "other.example")
    with portal(tmp_path) as url:
        trust(monkeypatch, tmp_path / "other.example.pem")
        with pytest.raises(Unreachable, match="not trusted"):
            transport.post_json(url, {})


def test_one_with_a_trusted_certificate_of_another_host_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: Transport
):
    with portal(tmp_path, "other.example") as url:
        trust(monkeypatch, tmp_path / "other.example.pem")
        with pytest.raises(Unreachable, match="not trusted"):
            transport.post_json(url, {})


def test_certificates_that_are_exchanged_count_from_the_next_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: Transport
):
    certify(tmp_path, "other.example")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes((tmp_path / "other.example.pem").read_bytes())
    trust(monkeypatch, bundle)
    with portal(tmp_path) as url:
        with pytest.raises(Unreachable, match="not trusted"):
            transport.post_json(url, {})
        bundle.write_bytes(bundle.read_bytes() + (tmp_path / "127.0.0.1.pem").read_bytes())
        assert transport.post_json(url, {}).status == 200


def test_without_any_certificates_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, transport: Transport
):
    with portal(tmp_path) as url:
        trust(monkeypatch, tmp_path / "missing.pem")
        with pytest.raises(Unreachable):
            transport.post_json(url, {})


def test_the_certificates_are_loaded_once():
    assert context_of(adapters.DEFAULT_CA_BUNDLE_PATH) is context_of(adapters.DEFAULT_CA_BUNDLE_PATH)
    assert context_of(adapters.DEFAULT_CA_BUNDLE_PATH).verify_mode is ssl.CERT_REQUIRED
    assert context_of(adapters.DEFAULT_CA_BUNDLE_PATH).check_hostname
