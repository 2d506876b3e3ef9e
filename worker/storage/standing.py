"""What is stored of a portal when its turn begins: read once, in one transaction, for all that the turn does.

Only who holds the portal's lease writes what stands here, so it stays true while the turn lasts, as far as the turn
itself notes what it changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from worker.storage.cursors import Cursor, load_cursors
from worker.storage.models import Account, OAuthToken, Portal, PortalCapability, RejectedRecord
from worker.storage.remembered import CalendarOf, Remembered, load_answers


@dataclass(slots=True)
class Standing:
    """A portal at the beginning of its turn.

    Args:
        portal, accounts: The rows; the primary account comes first.
        token_versions: By account, of the pairs that were stored then.
        cursors: By resource, as they were then.
        capabilities: How the portal was found to behave, by name.
        rejected: Resources with records that are kept aside; the turn adds those of which it keeps some.
        answers: What the calendars last answered, as far as it may be believed to be what the mirror holds.
        moved: Changes of cursors that cover no row: they are written with the turn's end, by resource.
        read: What calendars answered in this turn and the mirror held already.
        calendar_written: Whether this turn wrote anything of a calendar.
    """

    portal: Portal
    accounts: Sequence[Account]
    token_versions: Mapping[int, int]
    cursors: dict[str, Cursor]
    capabilities: Mapping[str, PortalCapability]
    rejected: set[str]
    answers: Mapping[CalendarOf, Remembered]
    moved: dict[str, dict[str, Any]] = field(default_factory=dict)
    read: dict[CalendarOf, Remembered] = field(default_factory=dict)
    calendar_written: bool = False

    def account(self, account_id: int) -> Account:
        """One of the accounts."""
        return next(account for account in self.accounts if account.id == account_id)

    def cursor(self, resource: str) -> Cursor:
        """The resource's cursor, an empty one where it never ran."""
        return self.cursors.get(resource) or Cursor(self.portal.id, resource)


_PORTAL = select(Portal).where(Portal.id == bindparam("portal"))
_ACCOUNTS = (
    select(Account, OAuthToken.version)
    .outerjoin(OAuthToken, OAuthToken.account_id == Account.id)
    .where(Account.portal_id == bindparam("portal"))
    .order_by(Account.is_primary.desc(), Account.id)
)
_CAPABILITIES = select(PortalCapability).where(PortalCapability.portal_id == bindparam("portal"))
_REJECTED = select(RejectedRecord.resource).where(RejectedRecord.portal_id == bindparam("portal")).distinct()


def load_standing(session: Session, portal_id: int) -> Standing | None:
    """How the portal stands; None where it is not there any more."""
    this = {"portal": portal_id}
    portal = session.scalars(_PORTAL, this).one_or_none()
    if portal is None:
        return None
    accounts = session.execute(_ACCOUNTS, this).all()
    return Standing(
        portal=portal,
        accounts=[account for account, _ in accounts],
        token_versions={account.id: version for account, version in accounts if version is not None},
        cursors=load_cursors(session, portal_id),
        capabilities={one.name: one for one in session.scalars(_CAPABILITIES, this)},
        rejected=set(session.scalars(_REJECTED, this)),
        answers=load_answers(session, portal_id),
    )
