"""The web app: which address is answered by what, and what is said when something goes wrong."""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Flask
from werkzeug.exceptions import HTTPException, InternalServerError

from worker.web import guard, texts
from worker.web.connecting import connect, connect_form, oauth_callback
from worker.web.context import SERVICE, Check, Context
from worker.web.events import events
from worker.web.health import healthz
from worker.web.install import install
from worker.web.metrics import metrics
from worker.web.render import message
from worker.web.server import MAX_BODY
from worker.web.status import index
from worker.wiring import Wiring

log = logging.getLogger(__name__)


def create_app(wiring: Wiring, checks: Mapping[str, Check] | None = None) -> Flask:
    """The app over the parts of this process. `checks`: what this process runs besides the pages, for /healthz."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.extensions[SERVICE] = Context(wiring, checks or {})
    app.before_request(guard.check_host)
    app.before_request(guard.check_password)
    app.after_request(guard.add_headers)
    app.add_url_rule("/", view_func=index)
    app.add_url_rule("/connect", view_func=connect_form)
    app.add_url_rule("/connect", view_func=connect, methods=["POST"])
    app.add_url_rule("/oauth/callback", view_func=oauth_callback)
    app.add_url_rule("/install", view_func=install, methods=["POST"])
    app.add_url_rule("/events", view_func=events, methods=["POST"])
    app.add_url_rule("/healthz", view_func=healthz)
    app.add_url_rule("/metrics", view_func=metrics)
    app.register_error_handler(HTTPException, _show_http_error)
    app.register_error_handler(Exception, _show_failure)
    return app


def _show_http_error(error: HTTPException) -> Any:  # noqa: ANN401 - as Flask has it
    code = error.code or InternalServerError.code
    return message(f"{code} {error.name}", texts.NOTHING_HERE), code, _allow(error)


def _allow(error: HTTPException) -> dict[str, str]:
    return {name: value for name, value in error.get_headers() if name == "Allow"}


def _show_failure(error: Exception) -> tuple[str, int]:
    """The page tells nothing of the cause: it may name hosts and rows. The log does."""
    log.error("a page could not be made", exc_info=error)
    return message(texts.FAILED, texts.FAILED_CURE), InternalServerError.code
