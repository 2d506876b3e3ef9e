"""All portals in a few numbers, and which of them a person should see first: worked out by the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session

from worker.storage.models import Account, OAuthToken, Portal, SyncCursor


class Rank(IntEnum):
    """How much a portal wants to be looked at: the least number comes first."""

    NEEDS = 0
    """It waits for a person."""
    BEHIND = 1
    """It does not answer, or something of it could not be read whole, or was not for too long."""
    PAUSED = 2
    NEW = 3
    """Something of it was never read yet, and nothing went wrong."""
    WELL = 4


@dataclass(frozen=True, slots=True)
class Marks:
    """Where well ends.

    Args:
        resources: What every portal should have.
        read_since: A resource that was last read before this is behind.
        signed_in_since: A refresh token that was handed out before this ends soon, and was not renewed.
        lacking: Texts of scopes that miss permissions, and how many.
    """

    resources: Sequence[str]
    read_since: datetime
    signed_in_since: datetime
    lacking: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of all portals.

    Args:
        portals: By rank.
        needs: Things that wait for a person; one portal may have several.
    """

    portals: Mapping[Rank, int]
    needs: int

    @property
    def total(self) -> int:
        return sum(self.portals.values())


def known_scopes(session: Session) -> Sequence[str]:
    """The texts of scopes that primary accounts have; thousands of them have a few."""
    return session.scalars(select(Account.scope).where(Account.is_primary).distinct()).all()


class Ranking:
    """All portals by these marks."""

    def __init__(self, marks: Marks) -> None:
        self._of = _ranked(marks).subquery().c

    def counts(self, session: Session) -> Counts:
        """How many portals are how well."""
        of = self._of
        rows = session.execute(select(of.rank, func.count(), func.sum(of.needs)).group_by(of.rank)).all()
        # Sums of whole numbers are decimals on two of the databases.
        return Counts({Rank(rank): count for rank, count, _ in rows}, sum(int(needs) for _, _, needs in rows))

    def first(self, session: Session, *, limit: int, offset: int = 0) -> Sequence[int]:
        """The numbers of the portals that a person should see first, the oldest first among equals."""
        of = self._of
        return session.scalars(select(of.id).order_by(of.rank, of.id).limit(limit).offset(offset)).all()


def _ranked(marks: Marks) -> Select[Any]:
    accounts, resources = _accounts(marks), _resources(marks)
    things = func.coalesce(accounts.c.needs, 0) + func.coalesce(resources.c.guarded, 0)
    needs = case((Portal.status == "closed", 1), else_=things)
    rank = case(  # numbers, not the enum's members: MariaDB's driver would send those as texts
        (needs > 0, Rank.NEEDS.value),
        (Portal.status == "paused", Rank.PAUSED.value),
        (or_(Portal.breaker_failures > 0, resources.c.read > resources.c.ok), Rank.BEHIND.value),
        (func.coalesce(resources.c.read, 0) < len(marks.resources), Rank.NEW.value),  # a first reading may take hours
        (resources.c.fresh < len(marks.resources), Rank.BEHIND.value),
        else_=Rank.WELL.value,
    )
    return (
        select(Portal.id, needs.label("needs"), rank.label("rank"))
        .outerjoin(accounts, accounts.c.portal_id == Portal.id)
        .outerjoin(resources, resources.c.portal_id == Portal.id)
    )


def _accounts(marks: Marks) -> Subquery:
    """What the accounts of each portal need a person for."""
    ends = and_(Account.kind == "oauth", OAuthToken.refresh_issued_at < marks.signed_in_since)
    lacks: ColumnElement[int] = literal(0)
    if marks.lacking:
        lacks = case((Account.is_primary, case(dict(marks.lacking), value=Account.scope, else_=0)), else_=0)
    needs = case((Account.status != "ok", 1), else_=case((ends, 1), else_=0) + lacks)
    return (
        select(Account.portal_id, func.sum(needs).label("needs"))
        .outerjoin(OAuthToken, OAuthToken.account_id == Account.id)
        .group_by(Account.portal_id)
        .subquery()
    )


def _resources(marks: Marks) -> Subquery:
    """How many resources of each portal were ever read, were read whole the last time, and that lately."""
    ok = SyncCursor.last_status == "ok"
    return (
        select(
            SyncCursor.portal_id,
            func.sum(case((SyncCursor.last_status == "guarded", 1), else_=0)).label("guarded"),
            func.count(SyncCursor.last_run_at).label("read"),
            func.sum(case((ok, 1), else_=0)).label("ok"),
            func.sum(case((and_(ok, SyncCursor.last_run_at >= marks.read_since), 1), else_=0)).label("fresh"),
        )
        .where(SyncCursor.resource.in_(marks.resources))
        .group_by(SyncCursor.portal_id)
        .subquery()
    )
