"""Decides what one resource does in this run. Pure: state and time in, a plan out."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec

from worker.clock import TOLERANCE, is_over
from worker.storage.cursors import Cursor
from worker.sync.report import Mode

OVERLAP = timedelta(minutes=5)
"""How far a cursor lies before the clock it was read from: rows and their dates commit in different moments, and a
task's CHANGED_DATE is set before its transaction ends."""


class Bookmark(msgspec.Struct, frozen=True):
    """Where a cut run stood: it resumes behind `last_ids`, and `cursor` is what its first page earned.

    Args:
        mode: The mode of the run that was cut; only the same mode resumes.
        since: The lower bound of the dates it read with, None for a full reading.
        last_id: The last ID whose row was committed, of the first pass.
        cursor: The cursor this run will have earned when it is complete.
        others: The last IDs of the other passes, in the order of the resource's filters. A bookmark of a program that
            knew fewer passes lacks some: they begin at the start, with the same lower bound.
        ranges: Of a listing that was read in several ranges, what was left of each: last ID, end (None: the table's).
    """

    mode: Mode
    since: datetime | None
    last_id: int
    cursor: datetime
    others: tuple[int, ...] = ()
    ranges: tuple[tuple[int, int | None], ...] = ()

    @property
    def last_ids(self) -> tuple[int, ...]:
        """Where each pass stood; 0: at its start."""
        return (self.last_id, *self.others)

    def dump(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def load(cls, text: str | None) -> "Bookmark | None":
        """The bookmark, or None where there is none that this program can read."""
        try:
            return msgspec.json.decode(text, type=cls) if text else None
        except msgspec.MsgspecError:
            return None


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often what is due."""

    sync: timedelta
    reconcile: timedelta
    full: timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of a listed resource will do.

    Args:
        mode: Full, incremental or reconcile (an incremental reading and a sweep of all IDs).
        since: Rows changed at or after this, None for all.
        resume: The bookmark of the cut run that this one continues.
    """

    mode: Mode
    since: datetime | None = None
    resume: Bookmark | None = None

    @property
    def finds_deletions(self) -> bool:
        """A listing stitched from two runs deletes nothing: what vanished between its parts was never looked for."""
        return self.mode is not Mode.INCREMENTAL and self.resume is None


def is_due(cursor: Cursor, now: datetime) -> bool:
    """Whether the resource's time has come; also when it was set by a clock that is set back now."""
    set_ahead = cursor.last_run_at is not None and cursor.last_run_at > now + TOLERANCE
    return cursor.next_run_at is None or cursor.next_run_at <= now or set_ahead


def plan(cursor: Cursor, now: datetime, intervals: Intervals, wanted: Mode | None = None) -> Plan:
    """What to read, given where the last run ended.

    Without a cursor nothing was ever complete: everything is read. `wanted` is an operator's wish.
    """
    bookmark = Bookmark.load(cursor.bookmark)
    if bookmark and not any(bookmark.last_ids):
        bookmark = None  # the run was cut before its first row: a new one is not stitched to anything
    if (
        cursor.cursor_at is None
        or wanted is Mode.FULL
        or (wanted is None and is_over(cursor.last_full_at, now, intervals.full))
    ):
        # An operator's --full starts afresh: it promises to find deletions.
        resumable = bookmark if bookmark and bookmark.mode is Mode.FULL and wanted is not Mode.FULL else None
        return Plan(Mode.FULL, resume=resumable)
    if wanted is Mode.RECONCILE or (wanted is None and is_over(cursor.last_reconcile_at, now, intervals.reconcile)):
        return Plan(Mode.RECONCILE, since=cursor.cursor_at)
    if bookmark and bookmark.mode is Mode.INCREMENTAL:
        return Plan(Mode.INCREMENTAL, since=bookmark.since, resume=bookmark)
    return Plan(Mode.INCREMENTAL, since=cursor.cursor_at)


def cursor_from(portal_now: datetime) -> datetime:
    """The cursor that a page asked at `portal_now` earns: the portal's clock less the overlap, UTC."""
    return (portal_now - OVERLAP).astimezone(UTC)


FALL = timedelta(minutes=3)
"""A portal's clock that fell further behind ours was set back. Less is the time that answers take, and OVERLAP's."""


def taken_back(cursor: Cursor, fall: timedelta) -> Cursor:
    """The cursor by a clock that was set back by `fall`: what changes from now on bears dates so much earlier.

    A cut incremental run begins again, for the rows it has passed may have changed since; a full one goes on.
    """
    bookmark = Bookmark.load(cursor.bookmark)
    if bookmark is not None and bookmark.mode is Mode.FULL:
        bookmark = msgspec.structs.replace(bookmark, cursor=bookmark.cursor - fall)
    else:
        bookmark = None
    at = cursor.cursor_at and cursor.cursor_at - fall
    return replace(cursor, cursor_at=at, bookmark=bookmark.dump() if bookmark else None)
