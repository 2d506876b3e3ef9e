"""Whose calendars an account reads, through whose eyes, and whether what they lack may be taken for gone."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.resources.calendar_calls import COMPANY, Owner
from worker.resources.viewer import Viewer
from worker.storage.models import Task, User
from worker.sync.account import WAITING
from worker.sync.turn import Turn


def owners_of(turn: Turn) -> list[Owner]:
    """Whose calendars this account reads. Only the primary account reads what is not its own."""
    chosen = turn.options.calendars
    owners = [Owner("user", turn.user_id)] if "mine" in chosen else []
    if not turn.is_primary:
        return owners
    if "company" in chosen:
        owners.append(COMPANY)
    with turn.read() as session:
        if "groups" in chosen:
            owners += [Owner("group", group_id) for group_id in _groups(session, turn.portal_id)]
        if "everyone" in chosen:
            owners += [Owner("user", user_id) for user_id in _users(session, turn.portal_id)]
    return list(dict.fromkeys(owners))


def _groups(session: Session, portal_id: int) -> Iterable[int]:
    """Groups that have tasks: the scopes asked for give no list of groups."""
    groups = select(Task.group_id).where(Task.portal_id == portal_id, Task.group_id.is_not(None))
    return [group_id for group_id in session.scalars(groups.distinct().order_by(Task.group_id)) if group_id]


def _users(session: Session, portal_id: int) -> Iterable[int]:
    users = select(User.user_id).where(User.portal_id == portal_id, User.deleted_at.is_(None))
    return session.scalars(users.order_by(User.user_id)).all()


def zones_of(turn: Turn, owners: Iterable[Owner]) -> Mapping[int, str | None]:
    """In which zones the other people among these live."""
    others = {owner.id for owner in owners if owner.type == "user" and owner.id != turn.user_id}
    if not others:
        return {}
    zones = select(User.user_id, User.time_zone).where(User.portal_id == turn.portal_id)
    with turn.read() as session:
        return {user_id: zone for user_id, zone in session.execute(zones) if user_id in others}


def viewer_of(turn: Turn, owner: Owner, zones: Mapping[int, str | None]) -> Viewer:
    """The account's user, as a reader of this calendar."""
    if owner.type != "user" or owner.id not in zones:
        return turn.viewer
    return turn.viewer.in_calendar_of(zones[owner.id])


def judges(turn: Turn, owner: Owner) -> bool:
    """Whether what this account is not shown of a calendar may be taken for gone.

    What its owner's own account reads may be hidden from this one: else the two would delete and revive the same rows
    turn by turn. Where that account waits for a person, an administrator, who is shown every calendar, judges.
    """
    if owner.type != "user" or owner.id == turn.user_id or "mine" not in turn.options.calendars:
        return True
    statuses = {account.status for account in turn.standing.accounts if account.user_id == owner.id}
    return not statuses or (turn.is_admin and statuses <= WAITING)
