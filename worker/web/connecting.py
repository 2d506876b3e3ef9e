"""`/connect` and `/oauth/callback`: a person connects a portal, or authorizes an account again.

The state of a login that began in a browser counts in that browser only: a cookie goes with it, so nobody can make
another person finish a login of his (CSRF of the login). A login begun on the command line has no browser yet.
"""

import hmac
import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from flask import abort, make_response, request

from worker.connect import FORM
from worker.errors import B24SyncError, UsageError
from worker.log import facts
from worker.storage.logins import LIFE
from worker.web import texts
from worker.web.context import wiring
from worker.web.guard import foreign_form, own_origin
from worker.web.render import message, render

log = logging.getLogger(__name__)

COOKIE = "b24sync_login"


def connect_form() -> str:
    """Where a person types the portal's address."""
    return _form(request.args.get("portal", ""))


def connect() -> Any:  # noqa: ANN401 - as Flask has it
    """Remember the login, and lead the person to the portal. Nothing is asked of that address by us."""
    trouble = foreign_form()
    if trouble is not None:
        return message(texts.NOT_CONNECTED, trouble), HTTPStatus.FORBIDDEN
    typed = request.form.get("portal", "")
    try:
        address, state = wiring().connector.begin(typed, by_form=True)
    except UsageError as error:
        return _form(typed, str(error)), HTTPStatus.BAD_REQUEST
    host = urlsplit(address).netloc
    answer = make_response(render("going.html", address=address, host=host))
    # Not a redirect: a form that is led on to another site would need a hole in `form-action` (CSP 3).
    answer.headers["Refresh"] = f"0; url={address}"
    ours = urlsplit(wiring().settings.redirect_uri)
    answer.set_cookie(
        COOKIE,
        state,
        max_age=int(LIFE.total_seconds()),
        path=ours.path or "/",
        secure=ours.scheme == "https",
        httponly=True,
        samesite="Lax",  # sent when the portal leads the person back; not with anything else from there
    )
    return answer


def oauth_callback() -> Any:  # noqa: ANN401
    """A person comes back from a portal with a code."""
    if request.method != "GET":  # Flask lets HEAD in, by which a previewer of links would use the login up
        abort(HTTPStatus.METHOD_NOT_ALLOWED)
    state = request.args.get("state", "")
    by_form = state.startswith(FORM)
    if by_form and not hmac.compare_digest(state.encode(), request.cookies.get(COOKIE, "").encode()):
        return message(texts.NOT_CONNECTED, texts.OTHER_BROWSER), HTTPStatus.BAD_REQUEST
    try:
        connected = wiring().connector.finish(request.args)
    except B24SyncError as error:
        log.warning("a portal could not be connected: %s", error)
        return message(texts.NOT_CONNECTED, str(error)), HTTPStatus.BAD_REQUEST
    told = facts(portal=connected.member_id, domain=connected.domain)
    log.info("connected %s as user %d", connected.domain, connected.user_id, extra=told)
    answer = make_response(render("connected.html", connected=connected, by_form=by_form, finish=False))
    answer.delete_cookie(COOKIE, path=urlsplit(wiring().settings.redirect_uri).path or "/")
    return answer


def _form(typed: str, trouble: str | None = None) -> str:
    settings = wiring().settings
    here = urlsplit(own_origin()).netloc == request.host
    return render(
        "connect.html",
        typed=typed,
        trouble=trouble,
        keys_missing=settings.client_id is None,
        elsewhere=None if here else f"{own_origin()}/connect",
        redirect_uri=settings.redirect_uri,
        scope=settings.scope,
    )
