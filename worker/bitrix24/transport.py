"""The only module that knows `requests`: bytes out, bytes in, every failure one of ours.

A webhook's secret is part of its URL, and requests puts URLs into its exceptions. So nothing of theirs leaves this
module: our error names the host and the kind of failure, and is raised where theirs is already forgotten, so that
neither its text nor its chain (`__cause__`, `__context__`) can show a secret in a log.
"""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

import requests
from requests import adapters, exceptions
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from worker.bitrix24.protocol import MAX_BYTES, encode_json
from worker.bitrix24.trust import context_of
from worker.errors import BadAnswer, CallRefused, PortalError, PortalMoved, Unreachable
from worker.loopback import is_loopback

# At DEBUG (and for a malformed header at WARNING) urllib3 logs the path of every request: a webhook's secret.
logging.getLogger("urllib3.connectionpool").addFilter(lambda _record: False)

_CHUNK = 256 * 1024
_POOL = 16  # connections kept per host: the threads of one process
_MOST_HOSTS = 256  # sessions kept; the oldest goes first

# What each kind of failure means. A test enumerates `requests.exceptions` and fails on one that is missing here.
MEANING: Final[Mapping[type[Exception], tuple[type[PortalError], str]]] = {
    exceptions.ConnectTimeout: (Unreachable, "no connection in time"),
    exceptions.ReadTimeout: (Unreachable, "no answer in time"),
    exceptions.Timeout: (Unreachable, "no answer in time"),
    exceptions.SSLError: (Unreachable, "the TLS certificate or connection is not trusted"),
    exceptions.ProxyError: (Unreachable, "the proxy does not let us through"),
    exceptions.ConnectionError: (Unreachable, "no connection, or it broke"),
    exceptions.RetryError: (Unreachable, "no connection after several tries"),
    exceptions.ChunkedEncodingError: (BadAnswer, "the answer was cut off"),
    exceptions.ContentDecodingError: (BadAnswer, "the answer's compression is broken"),
    exceptions.StreamConsumedError: (BadAnswer, "the answer was read twice"),
    exceptions.UnrewindableBodyError: (BadAnswer, "the request could not be sent again"),
    exceptions.JSONDecodeError: (BadAnswer, "the answer is no JSON"),
    exceptions.InvalidJSONError: (CallRefused, "the request is no JSON"),
    exceptions.HTTPError: (BadAnswer, "an HTTP error"),
    exceptions.TooManyRedirects: (CallRefused, "too many redirects"),
    exceptions.URLRequired: (CallRefused, "no address"),
    exceptions.MissingSchema: (CallRefused, "an address without https://"),
    exceptions.InvalidSchema: (CallRefused, "an address that is not https://"),
    exceptions.InvalidProxyURL: (CallRefused, "the proxy's address is not valid"),
    exceptions.InvalidURL: (CallRefused, "an address that is not valid"),
    exceptions.InvalidHeader: (CallRefused, "a header that is not valid"),
    exceptions.RequestException: (Unreachable, "the request failed"),
    # The root of urllib3's, which surface while a body is read; requests has it under this name.
    exceptions.BaseHTTPError: (BadAnswer, "the connection or the answer broke"),  # type: ignore[attr-defined]
    OSError: (Unreachable, "the connection broke"),
    UnicodeError: (CallRefused, "an address that is not valid"),  # a host name that IDNA cannot write
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, read to its end. Header names are in lower case; the last of several wins."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)  # a token server's answer is one


class Sender(Protocol):
    """What a client sends its calls through: a Transport, or what stands before or in place of one."""

    def post_json(self, url: str, body: bytes | Mapping[str, Any], *, total: float | None = None) -> Reply:
        """POST a JSON body: bytes as they are, or a mapping to be encoded, in `total` seconds. Raises PortalError."""
        ...


class Transport:
    """HTTP with timeouts, without redirects, always with TLS verification.

    One pooled session per (process, origin), made when first needed: a connection that lived through a fork would be
    read by both processes (measured: wrong bodies and hangs). Proxies and certificate bundles of the environment are
    honoured except for loopback; `.netrc` and cookies are not.

    Args:
        connect_timeout: Seconds.
        read_timeout: Seconds between two pieces of an answer; the cloud gives one request 60 (vendor: limits.md).
        max_bytes: A longer answer is a BadAnswer.
        total_timeout: Seconds for one whole request; a portal that drips ends here.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 5,
        read_timeout: float = 65,
        max_bytes: int = MAX_BYTES,
        total_timeout: float = 180,
    ) -> None:
        self._timeout = (connect_timeout, read_timeout)
        self._max_bytes = max_bytes
        self._total = total_timeout
        self._sessions: dict[tuple[int, str], requests.Session] = {}

    def post_json(self, url: str, body: bytes | Mapping[str, Any], *, total: float | None = None) -> Reply:
        """POST a JSON body: bytes as they are, or a mapping to be encoded; `total` seconds at most."""
        data = body if isinstance(body, bytes) else encode_json(body)
        return self._send("POST", url, data=data, total=total)

    def post_form(
        self, url: str, fields: Mapping[str, str], *, read_timeout: float | None = None, total: float | None = None
    ) -> Reply:
        """POST a form."""
        return self._send("POST", url, data=dict(fields), read_timeout=read_timeout, total=total)

    def get(
        self, url: str, params: Mapping[str, str], *, read_timeout: float | None = None, total: float | None = None
    ) -> Reply:
        """GET with a query."""
        return self._send("GET", url, params=dict(params), read_timeout=read_timeout, total=total)

    def close(self) -> None:
        """Close this process's connections."""
        for key in [key for key in self._sessions if key[0] == os.getpid()]:
            self._sessions.pop(key).close()

    def _send(
        self,
        verb: str,
        url: str,
        *,
        data: bytes | dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        read_timeout: float | None = None,
        total: float | None = None,
    ) -> Reply:
        """One request. Redirects come back as PortalMoved, never followed: a POST would lose its body on the way."""
        host = _checked_host(url)
        headers = {"Content-Type": "application/json"} if isinstance(data, bytes) else {}
        request = requests.Request(verb, url, headers=headers, data=data, params=params)
        reply: Reply | None = None
        failure: PortalError | None = None
        try:
            reply = self._exchange(request, host, read_timeout, total or self._total)
        except PortalError as error:
            failure = error
        except tuple(MEANING) as error:
            failure = translate(error, host)
        # Raised here, where theirs is gone: inside the `except` it would hang on ours as its context, URL and all.
        if reply is None:
            raise failure or Unreachable("the request failed", portal=host)
        return _not_moved(reply, url, host)

    def _exchange(self, request: requests.Request, host: str, read_timeout: float | None, total: float) -> Reply:
        deadline = time.monotonic() + total
        connect, read = self._timeout
        session = self._session(request.url)
        prepared = session.prepare_request(request)
        settings = session.merge_environment_settings(prepared.url, {}, True, None, None)  # proxies, CA bundle
        timeout = (connect, min(read_timeout or read, total))
        with session.send(prepared, timeout=timeout, allow_redirects=False, **settings) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            body = b"" if 300 <= answer.status_code < 400 else self._read(answer, host, deadline)  # noqa: PLR2004
            return Reply(answer.status_code, headers, body)

    def _read(self, answer: requests.Response, host: str, deadline: float) -> bytes:
        """The body, decompressed, piece by piece: bounded in bytes and in time."""
        pieces: list[bytes] = []
        size = 0
        # `read1` returns what has arrived; `iter_content` would wait for a whole chunk, however slowly it drips.
        while piece := answer.raw.read1(_CHUNK, decode_content=True):
            size += len(piece)
            if size > self._max_bytes:
                raise BadAnswer(f"an answer of more than {self._max_bytes} bytes", portal=host)
            if time.monotonic() > deadline:
                raise Unreachable("the answer came too slowly", portal=host)
            pieces.append(piece)
        return b"".join(pieces)

    def _session(self, url: str) -> requests.Session:
        parts = urlsplit(url)
        key = (os.getpid(), f"{parts.scheme}://{parts.netloc}".lower())
        session = self._sessions.get(key)
        if session is None:
            # Both steps are atomic, so no lock is needed, which a fork might catch in a locked state.
            session = self._sessions.setdefault(key, _new_session(parts.hostname or ""))
            if len(self._sessions) > _MOST_HOSTS:
                self._sessions.pop(next(iter(self._sessions)), None)
        return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere. Even when told not to follow, requests would read the whole body and prepare the next request."""


class _Adapter(HTTPAdapter):
    """Verifies as requests does, in a context that is loaded once instead of once for each connection."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:  # noqa: ANN401
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify:
            context = context_of(adapters.DEFAULT_CA_BUNDLE_PATH if verify is True else verify)
            kept = {key: value for key, value in pool.items() if key not in {"ca_certs", "ca_cert_dir"}}
            return host, {**kept, "ssl_context": context}
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        conn.ca_certs = conn.ca_cert_dir = None  # they are in the context


def _new_session(host: str) -> requests.Session:
    session = _Session()
    session.headers.update({"User-Agent": "b24sync", "Accept": "application/json", "Accept-Encoding": "gzip, deflate"})
    session.trust_env = not is_loopback(host)
    session.auth = _no_netrc
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", _Adapter(pool_connections=1, pool_maxsize=_POOL, max_retries=0))
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=_POOL, max_retries=0))
    return session


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Any `auth` keeps requests from looking into `.netrc`, whose password would override our token."""
    return request


def _checked_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if not host or parts.scheme not in {"https", "http"}:
        raise CallRefused("an address that is not valid")
    name = host if port is None else f"{host}:{port}"
    if parts.scheme == "http" and not is_loopback(host):
        raise CallRefused("plain http is used for this machine only", portal=name)
    return name


def _not_moved(reply: Reply, url: str, host: str) -> Reply:
    if not 300 <= reply.status < 400:  # noqa: PLR2004 - HTTP's own numbers
        return reply
    location = reply.headers.get("location", "")
    if not location:
        raise BadAnswer(f"a redirect to nowhere (HTTP {reply.status})", portal=host, status=reply.status)
    try:
        target = urljoin(url, location)
    except ValueError:
        target = ""
    moved = PortalMoved(f"it answers at another address now (HTTP {reply.status})", location=target, portal=host)
    moved.status = reply.status
    raise moved


def translate(error: Exception, host: str) -> PortalError:
    """Our error for one of requests', by the nearest class that `MEANING` knows."""
    kind, text = next(MEANING[base] for base in type(error).__mro__ if base in MEANING)
    ours = kind(text, portal=host)
    if isinstance(ours, Unreachable):
        ours.never_sent = _never_sent(error)
    return ours


def _never_sent(error: Exception) -> bool:
    """Whether there was no connection at all: refused, no such host, no answer to a knock."""
    if isinstance(error, exceptions.ConnectTimeout | exceptions.SSLError):
        return True
    cause = next(iter(error.args), None)
    return isinstance(getattr(cause, "reason", None), NewConnectionError)
