"""`/events`: a portal tells that something happened (vendor: api-reference/events/index.md).

Delivery is tried once and slow handlers are put off (vendor: settings/performance/index.md), so the sender is checked,
the hint is stored, and that is all. What happened is read by the next turn, from the portal.
"""

from http import HTTPStatus

from flask import Response, request

from worker.storage import hints
from worker.web import texts
from worker.web.context import wiring


def events() -> Response:
    """403 for whoever does not know the portal's secret (vendor: api-reference/events/safe-event-handlers.md)."""
    event, member_id = request.form.get("event", ""), request.form.get("auth[member_id]", "")
    token = request.form.get("auth[application_token]", "")
    if not event or not member_id or not token:
        return _plain(texts.NO_EVENT, HTTPStatus.BAD_REQUEST)
    database = wiring().ready_database
    with database.read() as session:
        sender = hints.sender(session, member_id, token)
    if sender is None:
        return _plain(texts.FORGED_EVENT, HTTPStatus.FORBIDDEN)
    if not sender.is_awaited:
        with database.write() as session:
            hints.add_hint(session, sender.portal_id, wiring().clock.now())
    return _plain(texts.EVENT_TAKEN, HTTPStatus.OK)


def _plain(text: str, status: HTTPStatus) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")
