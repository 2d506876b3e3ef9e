"""What the calendars of a portal last answered, as digests: an answer that says the same need not be read again.

A digest stands here only while the mirror holds what it stands for. So who writes anything of a portal's calendars
forgets all its digests in the same transaction.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from worker.storage.bulk import write_rows
from worker.storage.models import RememberedAnswer
from worker.storage.statements import change

AT_ONCE = 2000
"""Kept of one turn; what remains is read by the next, and kept then."""


class CalendarOf(NamedTuple):
    """Whose calendar, read by which account."""

    account_id: int
    calendar_type: str
    owner_id: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of an answer without reading it.

    Args:
        digest: Of its text, and of all else that its meaning depends on.
        records: How many it holds.
        unchanged: How many of them are rows that a reading would count as unchanged.
        live: How many events of the mirror it was held against.
    """

    digest: str
    records: int
    unchanged: int
    live: int


_TABLE = RememberedAnswer.__table__
_THIS = RememberedAnswer.portal_id == bindparam("portal")
_COLUMNS = [_TABLE.c[name] for name in (*CalendarOf._fields, *Remembered.__dataclass_fields__)]
_OF_PORTAL = select(*_COLUMNS).where(_THIS)
_FORGET = delete(RememberedAnswer).where(_THIS)


def load_answers(session: Session, portal_id: int) -> Mapping[CalendarOf, Remembered]:
    """All digests of a portal."""
    rows = session.execute(_OF_PORTAL, {"portal": portal_id})
    return {CalendarOf(*row[:3]): Remembered(*row[3:]) for row in rows}


def save_answers(session: Session, portal_id: int, answers: Mapping[CalendarOf, Remembered]) -> None:
    """Keep these digests; only at the end of a turn that wrote nothing of the portal's calendars."""
    rows = [{**whose._asdict(), **asdict(answer)} for whose, answer in sorted(answers.items())[:AT_ONCE]]
    write_rows(session, _TABLE, rows, shared={"portal_id": portal_id})


def forget_answers(session: Session, portal_id: int) -> None:
    """Something of the portal's calendars is written in this transaction: what it answered has to be read again."""
    change(session, _FORGET, {"portal": portal_id})
