"""`/healthz`: whether what this very process runs is well. Others may ask it without a password: it names no portal."""

import logging
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from flask import Response, jsonify
from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.resources import RESOURCES
from worker.storage.freshness import whole_at
from worker.storage.models import Portal
from worker.web.context import SERVICE, context, wiring

log = logging.getLogger(__name__)

WELL = "ok"


def healthz() -> tuple[Response, int]:
    """The database and what else this process runs; 503 with which of them is not well.

    Freshness is told, not judged: a portal that is down is no reason to start this process anew.
    """
    fresh: dict[str, int | None] = {}
    checks = {"database": _guarded("database", lambda: _look(fresh))}
    checks |= {name: _guarded(name, check) for name, check in context().checks.items()}
    troubles = [trouble for trouble in checks.values() if trouble != WELL]
    body = {"status": troubles[0] if troubles else WELL, "service": SERVICE, "checks": checks, "fresh_seconds": fresh}
    return jsonify(body), HTTPStatus.SERVICE_UNAVAILABLE if troubles else HTTPStatus.OK


def _guarded(name: str, check: Callable[[], str | None]) -> str:
    try:
        return check() or WELL
    except Exception as error:  # noqa: BLE001 - whatever it is, this is the answer
        log.warning("health check: the %s is not well: %s", name, type(error).__name__)
        return f"the {name} cannot be reached"


def _look(fresh: dict[str, int | None]) -> None:
    """Read the database, and note for each resource how old its oldest mirror is."""
    with wiring().ready_database.read() as session:
        fresh.update(oldest(session, wiring().clock.now()))


def oldest(session: Session, now: datetime) -> dict[str, int | None]:
    """Seconds since the last whole run, of the portal that is furthest behind; None where one was never whole."""
    active = list(session.scalars(select(Portal.id).where(Portal.status == "active")))
    if not active:
        return {}
    known = whole_at(session)
    ages: dict[str, int | None] = {}
    for resource in RESOURCES:
        moments = [known.get((portal_id, resource)) for portal_id in active]
        whole = [moment for moment in moments if moment is not None]
        complete = len(whole) == len(moments)
        ages[resource] = max(0, int((now - min(whole)).total_seconds())) if complete else None
    return ages
