"""The web app: the callback of a login, a health check, and a page that shows the state of the mirror.

No page holds a secret or a script, none may be framed or kept, and none refers to another place.
"""

import base64
import hashlib
import hmac
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, abort, render_template, request
from werkzeug.exceptions import HTTPException

from worker.errors import B24SyncError
from worker.overview import look
from worker.web.context import SERVICE, Check, Context, wiring
from worker.web.health import healthz
from worker.web.metrics import metrics
from worker.web.server import MAX_BODY
from worker.wiring import Wiring

log = logging.getLogger(__name__)

OPEN = frozenset({"healthz", "oauth_callback"})
"""Asked without a password: by machines, and by a person on the way back from a portal, with a single-use state."""

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin-bottom:2rem}"
    "th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd}"
    "td.n,th.n{text-align:right}.bad{color:#b00020}.good{color:#1b6e2c}.dim{color:#767676}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(wiring: Wiring, checks: Mapping[str, Check] | None = None) -> Flask:
    """The app over the parts of this process. `checks`: what this process runs besides the pages, for /healthz."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.extensions[SERVICE] = Context(wiring, checks or {})
    app.before_request(_check_password)
    app.after_request(_add_headers)
    app.add_url_rule("/", view_func=index)
    app.add_url_rule("/oauth/callback", view_func=oauth_callback)
    app.add_url_rule("/healthz", view_func=healthz)
    app.add_url_rule("/metrics", view_func=metrics)
    app.register_error_handler(HTTPException, _show_http_error)
    app.register_error_handler(Exception, _show_failure)
    return app


def index() -> str:
    """All portals, with state and freshness."""
    now = wiring().clock.now()
    return render_template("index.html", style=STYLE, overview=look(wiring().ready_database, now), now=now)


def oauth_callback() -> tuple[str, int]:
    """A person comes back from a portal with a code."""
    if request.method != "GET":  # Flask lets HEAD in, by which a previewer of links would use the login up
        abort(HTTPStatus.METHOD_NOT_ALLOWED)
    try:
        connected = wiring().connector.finish(request.args)
    except B24SyncError as error:
        log.warning("a portal could not be connected: %s", error)
        return _message("Not connected", str(error)), HTTPStatus.BAD_REQUEST
    log.info("connected %s as user %d", connected.domain, connected.user_id)
    return render_template("connected.html", style=STYLE, connected=connected), HTTPStatus.OK


def _message(title: str, text: str) -> str:
    return render_template("message.html", style=STYLE, title=title, text=text)


def _check_password() -> Response | None:
    password = wiring().settings.web_password
    if password is None or request.endpoint in OPEN:
        return None
    given = request.authorization
    text = given.password or "" if given is not None and given.type == "basic" else ""
    if hmac.compare_digest(text.encode(), password.encode()):
        return None
    headers = {"WWW-Authenticate": f'Basic realm="{SERVICE}", charset="UTF-8"'}
    return Response(_message("Password needed", "Any name, and the password of B24SYNC_WEB_PASSWORD."), 401, headers)


def _add_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response


def _show_http_error(error: HTTPException) -> Any:  # noqa: ANN401 - as Flask has it
    code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    return _message(f"{code} {error.name}", "There is nothing here for this request."), code, _allow(error)


def _allow(error: HTTPException) -> dict[str, str]:
    return {name: value for name, value in error.get_headers() if name == "Allow"}


def _show_failure(error: Exception) -> tuple[str, int]:
    """The page tells nothing of the cause: it may name hosts and rows. The log does."""
    log.error("a page could not be made", exc_info=error)
    return _message("Something went wrong", "The log of b24sync tells more."), HTTPStatus.INTERNAL_SERVER_ERROR
