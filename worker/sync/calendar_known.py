"""Readings of events beside the rows that the mirror has of them: what is written, and what is no news."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from worker.resources.calendar_events import EventSeen
from worker.resources.calendar_mask import COMPARED, Verdict, judge, opened
from worker.storage.lookup import stored_rows
from worker.sync.calendar_held import EVENTS


def known_of(session: Session, portal_id: int, event_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Of stored events, marked as deleted or not, what a reading is judged by."""
    return stored_rows(session, EVENTS, portal_id, event_ids, [EVENTS.c[name] for name in COMPARED])


def rows_to_write(session: Session, portal_id: int, events: Sequence[EventSeen]) -> tuple[list[dict[str, Any]], int]:
    """The rows of `events`, none of which covers with a mask what is known; and how many masked ones are no news.

    A reading without a mask is compared where it is written: only masked ones cost a question here.
    """
    known = known_of(session, portal_id, [seen.event_id for seen in events if seen.row["masked"]])
    rows: list[dict[str, Any]] = []
    open_half: dict[int, dict[str, Any]] = {}
    same = 0
    for seen in events:
        match judge(seen.row, known.get(seen.event_id)):
            case Verdict.WHOLE:
                rows.append(seen.row)
            case Verdict.OPEN:
                open_half[seen.event_id] = seen.row
            case Verdict.SAME:
                same += 1
    whole = stored_rows(session, EVENTS, portal_id, open_half, list(EVENTS.c))
    rows += [opened(row, whole[event_id]) for event_id, row in open_half.items()]
    return rows, same
