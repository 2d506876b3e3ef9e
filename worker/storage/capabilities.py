"""How portals were found to behave, and when."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.storage.columns import storable
from worker.storage.models import Portal, PortalCapability
from worker.storage.statements import insert_or_update

UNKNOWN = "unknown"
"""The value where there was nothing to look at."""

NAMES = ("portal_id", "name", "value", "evidence", "probed_at")


class Found(Protocol):
    """One finding of a probe."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def evidence(self) -> str: ...


def save_capabilities(session: Session, portal_id: int, found: Iterable[Found], now: datetime) -> None:
    """Put these in the place of what was known before. A portal removed meanwhile keeps nothing.

    What was known stays where now there was nothing to look at: a belief that comes and goes would change rows that did
    not change.
    """
    # Its row is locked first: two probes of one portal come one after the other, and a removal waits or has been.
    if session.scalar(select(Portal.id).where(Portal.id == portal_id).with_for_update()) is None:
        return
    known = load_capabilities(session, portal_id)
    new = [one for one in found if one.value != UNKNOWN or one.name not in known]
    rows = [
        {
            "portal_id": portal_id,
            "name": one.name,
            "value": one.value,
            "evidence": storable(one.evidence),
            "probed_at": now,
        }
        for one in new
    ]
    if rows:
        session.execute(insert_or_update(session.get_bind().dialect.name, PortalCapability.__table__, NAMES), rows)


def correct_capability(session: Session, portal_id: int, name: str, value: str, evidence: str) -> None:
    """What a run met is newer than what was found; when the portal was probed stays as it is."""
    where = (PortalCapability.portal_id == portal_id) & (PortalCapability.name == name)
    session.execute(update(PortalCapability).where(where).values(value=value, evidence=storable(evidence)))


def load_capabilities(session: Session, portal_id: int) -> Mapping[str, PortalCapability]:
    """All that is known of a portal, by name; empty where no probe came to its end."""
    statement = select(PortalCapability).where(PortalCapability.portal_id == portal_id)
    return {row.name: row for row in session.scalars(statement.order_by(PortalCapability.name))}
