"""Every failure of HTTP is one of ours, and none of them shows an address with a secret."""

import gzip
import logging
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.unit.bitrix24.fakes import Handler, ok, serving
from worker.bitrix24 import transport as module
from worker.bitrix24.transport import MEANING, Transport, translate
from worker.errors import BadAnswer, CallRefused, PortalError, PortalMoved, Unreachable

SECRET = "s3cretwebhook"


@pytest.fixture
def transport() -> Iterator[Transport]:
    one = Transport(connect_timeout=5, read_timeout=5, max_bytes=10_000, total_timeout=10)
    yield one
    one.close()


def foreign() -> list[type[Exception]]:
    found = [value for value in vars(requests.exceptions).values() if isinstance(value, type)]
    return [kind for kind in found if issubclass(kind, Exception) and not issubclass(kind, Warning)]


@pytest.mark.parametrize("kind", foreign(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_requests_has_a_meaning(kind: type[Exception]):
    if kind is requests.exceptions.CompatJSONDecodeError:  # the standard library's: never raised towards us
        return

    assert kind in MEANING
    assert isinstance(translate(kind.__new__(kind), "host"), PortalError)


def test_a_subclass_takes_the_nearest_meaning():
    class Odd(requests.exceptions.ReadTimeout):
        pass

    assert "in time" in str(translate(Odd(), "host"))


def raised(act: Callable[[], object]) -> PortalError:
    """The error, after a look at everything a log could show of it."""
    with pytest.raises(PortalError) as caught:
        act()
    error = caught.value
    assert SECRET not in "".join(traceback.format_exception(error))
    assert SECRET not in repr(error) + repr(error.args) + str(error)
    assert error.__context__ is None
    assert error.__cause__ is None
    return error


def cut(handler: Handler) -> tuple[int, dict[str, str], bytes]:
    handler.close_connection = True
    return 200, {"Content-Length": "1000"}, b'{"result":'


def late(_handler: Handler) -> None:
    time.sleep(0.5)


@pytest.mark.parametrize(
    ("respond", "kind"),
    [
        (lambda _handler: None, Unreachable),
        (late, Unreachable),
        (cut, BadAnswer),
        (lambda _handler: (200, {"Content-Encoding": "gzip"}, b"no gzip at all"), BadAnswer),
        (lambda _handler: (200, {}, b"x" * 10_001), BadAnswer),
        (lambda _handler: (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 5_000_000)), BadAnswer),
        (lambda _handler: (302, {}, b""), BadAnswer),
        (lambda _handler: (200, {"Content-Length": "", "Transfer-Encoding": "chunked"}, b"zz\r\n"), BadAnswer),
    ],
    ids=["reset", "late", "cut", "no gzip", "too long", "bomb", "to nowhere", "bad chunk"],
)
def test_what_goes_wrong_on_the_wire(respond: Callable[[Handler], object], kind: type[PortalError]):
    transport = Transport(connect_timeout=5, read_timeout=0.2 if respond is late else 5, max_bytes=10_000)
    with serving(respond) as url:  # type: ignore[arg-type]
        error = raised(lambda: transport.post_json(f"{url}/rest/1/{SECRET}/m", {}))
    transport.close()

    assert type(error) is kind
    assert error.portal in url


def test_nobody_listens(transport: Transport):
    with serving(lambda _handler: None) as url:
        pass

    assert isinstance(raised(lambda: transport.post_json(f"{url}/{SECRET}", {})), Unreachable)


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://host/{SECRET}",
        f"/{SECRET}",
        f"http://example.org/{SECRET}",
        f"http://127.0.0.1:notaport/{SECRET}",
        f"http://[::1/{SECRET}",
        f"https:///{SECRET}",
    ],
)
def test_addresses_that_nobody_may_ask(transport: Transport, url: str):
    assert isinstance(raised(lambda: transport.post_json(url, {})), CallRefused)


def test_a_name_that_cannot_be_one(transport: Transport):
    raised(lambda: transport.post_json(f"https://{'x' * 300}.example.org/{SECRET}", {}))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_never_followed(transport: Transport, status: int):
    asked: list[str] = []

    def respond(handler: Handler) -> tuple[int, dict[str, str], bytes]:
        asked.append(handler.path)
        return status, {"Location": f"/rest/2/{SECRET}/m"}, b""

    with serving(respond) as url:
        error = raised(lambda: transport.post_json(f"{url}/rest/1/{SECRET}/m", {}))

    assert isinstance(error, PortalMoved)
    assert error.location == f"{url}/rest/2/{SECRET}/m"
    assert len(asked) == 1


@pytest.mark.parametrize("location", ["http://[", "http://127.0.0.1:x/", "https://ж%ff/", "//", "\\"])
def test_a_redirect_to_nonsense_is_told_too(transport: Transport, location: str):
    headers = {"Location": location.encode().decode("latin-1"), "Content-Length": "1000000"}
    with serving(lambda _handler: (302, headers, b"")) as url:
        error = raised(lambda: transport.post_json(f"{url}/rest/1/{SECRET}/m", {}))

    assert isinstance(error, PortalMoved)


def test_a_request_carries_what_it_should_and_nothing_else(transport: Transport, monkeypatch: pytest.MonkeyPatch):
    """No cookie, and no proxy for this machine."""
    seen: list[tuple[str, str, bytes, dict[str, str]]] = []

    def respond(handler: Handler) -> tuple[int, dict[str, str], bytes]:
        seen.append((handler.command, handler.path, handler.body, dict(handler.headers)))
        return 200, {"Set-Cookie": "PHPSESSID=1; path=/"}, b"{}"

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serving(respond) as url:
        for _ in range(2):
            transport.post_json(f"{url}/a", {"b": "ж", "n": None})
        transport.post_form(f"{url}/c", {"d": "e f&g"})
        transport.get(f"{url}/h", {"i": "j k"})

    posted, _again, form, got = seen
    assert posted[:3] == ("POST", "/a", '{"b":"ж","n":null}'.encode())
    assert posted[3]["Content-Type"] == "application/json"
    assert form[:3] == ("POST", "/c", b"d=e+f%26g")
    assert form[3]["Content-Type"] == "application/x-www-form-urlencoded"
    assert got[:3] == ("GET", "/h?i=j+k", b"")
    assert all("Cookie" not in headers and "Authorization" not in headers for *_, headers in seen)
    assert "gzip" in posted[3]["Accept-Encoding"]


def test_an_answer_is_decompressed_and_its_headers_are_in_lower_case(transport: Transport):
    with serving(lambda _h: (503, {"Content-Encoding": "gzip", "Retry-After": "3"}, gzip.compress(b"[1]"))) as url:
        reply = transport.post_json(url, b"{}")

    assert (reply.status, reply.body, reply.headers["retry-after"]) == (503, b"[1]", "3")
    assert "[1]" not in repr(reply)


def test_one_connection_serves_many_requests(transport: Transport):
    ports: set[int] = set()

    def respond(handler: Handler) -> tuple[int, dict[str, str], bytes]:
        ports.add(handler.client_address[1])
        return ok(1)

    with serving(respond) as url:
        for _ in range(5):
            transport.post_json(url, {})

    assert len(ports) == 1


def test_an_answer_that_drips_ends_with_its_time(transport: Transport):
    def respond(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b".")
            time.sleep(0.05)

    with serving(respond) as url:
        begin = time.monotonic()
        error = raised(lambda: transport.get(url, {}, total=0.25))

    assert isinstance(error, Unreachable)
    assert time.monotonic() - begin < 2


def test_a_forked_child_opens_connections_of_its_own(transport: Transport, monkeypatch: pytest.MonkeyPatch):
    """Sessions belong to a process id: the child's first request makes a new one."""
    with serving(lambda _handler: ok(1)) as url:
        transport.post_json(url, {})
        parents = transport._session(url)
        real = os.getpid()
        monkeypatch.setattr(module.os, "getpid", lambda: real + 1)
        assert transport._session(url) is not parents
        transport.close()


def test_sessions_are_few(transport: Transport, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MOST_HOSTS", 3)

    for number in range(10):
        transport._session(f"https://portal{number}.example.org/rest/")

    assert len(transport._sessions) <= 4


def test_urllib3_does_not_log_addresses(transport: Transport, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG), serving(lambda _handler: ok(1)) as url:
        transport.post_json(f"{url}/rest/1/{SECRET}/m", {})

    assert SECRET not in caplog.text


def test_netrc_is_not_read_for_portals_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "netrc").write_text("default login a password b\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    url = "https://portal.example.org/rest/"

    prepared = Transport()._session(url).prepare_request(requests.Request("POST", url))

    assert "Authorization" not in prepared.headers


def test_tls_is_always_verified():
    session = Transport()._session("https://portal.example.org/rest/")

    assert session.verify is True
    assert session.trust_env is True
    assert session.max_redirects >= 0


def test_what_never_left_is_told_from_what_was_not_answered(transport: Transport):
    """Only of the first is it known that nothing has happened on the other side."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    with pytest.raises(Unreachable) as refused:
        transport.post_form(f"http://127.0.0.1:{closed}/oauth/token/", {})
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(Unreachable) as unanswered:
        transport.post_form(f"http://127.0.0.1:{deaf.getsockname()[1]}/oauth/token/", {}, read_timeout=0.1)

    assert refused.value.never_sent
    assert not unanswered.value.never_sent
    assert translate(requests.exceptions.ConnectTimeout(), "host").never_sent  # type: ignore[attr-defined]
    assert not translate(requests.exceptions.ConnectionError(), "host").never_sent  # type: ignore[attr-defined]
