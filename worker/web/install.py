"""`/install`: a portal tells that the application was installed, or a person opens the application's page there.

Both bring a pair of tokens in a form (vendor: api-reference/common/events/on-app-install.md,
settings/oauth/simple-way.md). The page is shown in a frame of the portal, so it alone may be framed, by that portal.
Where the portal waits for the page to say that the installation is finished, before which it sends no events (vendor:
sdk/bx24-js-sdk/system-functions/bx24-install-finish.md), the page loads the vendor's script: the only one not our own.
"""

import logging
import re
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import Response, make_response, request

from worker.connect import Connected
from worker.errors import B24SyncError
from worker.log import facts
from worker.loopback import is_loopback
from worker.web import guard, texts
from worker.web.context import context, wiring
from worker.web.render import message, render

log = logging.getLogger(__name__)

EVENTS = frozenset({"ONAPPINSTALL", "ONAPPUPDATE"})
"""Both bring a whole pair, and the secret of the events to come."""

VENDOR_SCRIPTS = "https://api.bitrix24.com"
_TOKEN = re.compile(r"[\w.-]{16,512}", re.ASCII)


def install() -> Response:
    """Store the account that the token server says it is."""
    event = request.form.get("event", "").upper()
    page = not event
    names = ("REFRESH_ID", "SERVER_ENDPOINT", "APPLICATION_TOKEN")
    if not page:
        names = ("auth[refresh_token]", "auth[server_endpoint]", "auth[application_token]")
    refresh_token, server, application_token = (request.form.get(name, "") for name in names)
    if (event and event not in EVENTS) or not _TOKEN.fullmatch(refresh_token):
        return _refused(texts.NO_INSTALLATION, HTTPStatus.BAD_REQUEST)
    if not context().installs.open(wiring().clock.monotonic()):
        return _refused(texts.TOO_MANY_INSTALLATIONS, HTTPStatus.TOO_MANY_REQUESTS)
    known = application_token if _TOKEN.fullmatch(application_token) else None
    try:
        connected = wiring().connector.with_installation(refresh_token, server, known)
    except B24SyncError as error:
        log.warning("an installation was not taken: %s", error)
        return _refused(str(error), HTTPStatus.FORBIDDEN)
    told = facts(portal=connected.member_id, domain=connected.domain)
    log.info("installed on %s by user %d", connected.domain, connected.user_id, extra=told)
    return _taken(connected, finish=page and not connected.installed)


def _refused(text: str, status: HTTPStatus) -> Response:
    return _framed(make_response(message(texts.NOT_CONNECTED, text), status), "https:")


def _taken(connected: Connected, *, finish: bool) -> Response:
    answer = make_response(render("connected.html", connected=connected, by_form=False, finish=finish))
    host = connected.domain
    scheme = "http" if is_loopback(urlsplit(f"//{host}").hostname) else "https"
    return _framed(answer, f"{scheme}://{host}", f" {VENDOR_SCRIPTS}" if finish else "")


def _framed(answer: Response, by: str, scripts: str = "") -> Response:
    policy = guard.HEADERS["Content-Security-Policy"]
    policy = policy.replace("frame-ancestors 'none'", f"frame-ancestors {by}")
    policy = policy.replace("script-src 'self'", f"script-src 'self'{scripts}")
    answer.headers["Content-Security-Policy"] = policy
    return answer
