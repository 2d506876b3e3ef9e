"""Who may ask what: the password, the names this server is known by, and forms that other sites must not send.

No page holds a secret, none may be framed or kept, none loads anything from elsewhere.
"""

import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Response, request

from worker.loopback import is_loopback
from worker.web import texts
from worker.web.context import SERVICE, wiring
from worker.web.render import message

OPEN = frozenset({"healthz", "oauth_callback", "static", "install", "events"})
"""Asked without a password: by machines and portals, by a person on the way back from one, and what holds nothing."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: a browser would then hide the origin of our own form, too (Fetch, "append a request Origin").
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def check_host() -> Response | None:
    """Where no password guards the pages, answer to our own names only.

    Else a foreign site whose name is made to point at this machine could read them (DNS rebinding).
    """
    if wiring().settings.web_password is not None or request.endpoint in OPEN:
        return None
    try:
        name = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        name = ""
    if is_loopback(name) or name == urlsplit(wiring().settings.redirect_uri).hostname:
        return None
    return Response(message(texts.WRONG_HOST, texts.WRONG_HOST_CURE), HTTPStatus.MISDIRECTED_REQUEST)


def check_password() -> Response | None:
    password = wiring().settings.web_password
    if password is None or request.endpoint in OPEN:
        return None
    given = request.authorization
    text = given.password or "" if given is not None and given.type == "basic" else ""
    if hmac.compare_digest(text.encode(), password.encode()):
        return None
    headers = {"WWW-Authenticate": f'Basic realm="{SERVICE}", charset="UTF-8"'}
    return Response(message(texts.PASSWORD, texts.PASSWORD_CURE), HTTPStatus.UNAUTHORIZED, headers)


def add_headers(response: Response) -> Response:
    """What a page needs more than this (the portal's frame) it has set itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if "frame-ancestors 'none'" not in response.headers["Content-Security-Policy"]:
        del response.headers["X-Frame-Options"]  # it cannot name who may
    if request.endpoint == "static":
        response.headers["Cache-Control"] = "no-cache"  # kept, but asked about: an update is seen at once
    return response


def own_origin() -> str:
    """Where people must come from: the place that portals send them back to."""
    url = urlsplit(wiring().settings.redirect_uri)
    return f"{url.scheme}://{url.netloc}"


def foreign_form() -> str | None:
    """Why this form is not taken; None where it came from our own page, at the address a login ends at.

    Every browser names the origin of a form, and no site can make it name another (Fetch, "Origin header").
    """
    origin = request.headers.get("Origin", "")
    if origin == own_origin():
        return None
    if urlsplit(origin).netloc == request.host:
        return texts.elsewhere(f"{own_origin()}/connect")
    return texts.FOREIGN_FORM
