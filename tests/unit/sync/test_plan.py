"""What a run of a listed resource does, given where the last one ended."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from worker.storage.cursors import Cursor
from worker.sync.plan import Bookmark, Intervals, Plan, cursor_from, is_due, plan
from worker.sync.report import Mode

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CURSOR_AT = NOW - timedelta(minutes=10)
INTERVALS = Intervals(sync=timedelta(minutes=5), reconcile=timedelta(days=1), full=timedelta(days=7))
FULL, INCREMENTAL, RECONCILE = Mode.FULL, Mode.INCREMENTAL, Mode.RECONCILE
FRESH = {"cursor_at": CURSOR_AT, "last_full_at": NOW, "last_reconcile_at": NOW}


def bookmark(mode: Mode, last_id: int = 77, since: datetime | None = None, others: tuple[int, ...] = ()) -> Bookmark:
    return Bookmark(mode=mode, since=since, last_id=last_id, cursor=NOW - timedelta(hours=1), others=others)


def cursor(mark: Bookmark | None = None, **values: datetime | None) -> Cursor:
    return Cursor(1, "tasks", bookmark=mark.dump() if mark else None, **values)


SINCE = NOW - timedelta(hours=2)
CUT_FULL, CUT_CHANGES = bookmark(FULL), bookmark(INCREMENTAL, since=SINCE)
CUT_SECOND = bookmark(INCREMENTAL, last_id=0, since=SINCE, others=(40,))


@pytest.mark.parametrize(
    ("state", "wanted", "expected"),
    [
        (cursor(), None, Plan(FULL)),
        (cursor(), RECONCILE, Plan(FULL)),
        (cursor(), INCREMENTAL, Plan(FULL)),
        (cursor(CUT_FULL), None, Plan(FULL, resume=CUT_FULL)),
        (cursor(bookmark(FULL, last_id=0)), None, Plan(FULL)),
        (cursor(CUT_FULL), FULL, Plan(FULL)),
        (cursor(**FRESH), None, Plan(INCREMENTAL, since=CURSOR_AT)),
        (cursor(**FRESH), RECONCILE, Plan(RECONCILE, since=CURSOR_AT)),
        (cursor(**FRESH), FULL, Plan(FULL)),
        (cursor(CUT_CHANGES, **FRESH), None, Plan(INCREMENTAL, since=SINCE, resume=CUT_CHANGES)),
        (cursor(CUT_CHANGES, **FRESH), RECONCILE, Plan(RECONCILE, since=CURSOR_AT)),
        (cursor(CUT_FULL, **FRESH), None, Plan(INCREMENTAL, since=CURSOR_AT)),
        (cursor(bookmark(INCREMENTAL, last_id=0, since=SINCE), **FRESH), None, Plan(INCREMENTAL, since=CURSOR_AT)),
        (cursor(CUT_SECOND, **FRESH), None, Plan(INCREMENTAL, since=SINCE, resume=CUT_SECOND)),
        (
            cursor(**FRESH | {"last_reconcile_at": NOW - timedelta(days=1)}),
            None,
            Plan(RECONCILE, since=CURSOR_AT),
        ),
        (cursor(**FRESH | {"last_reconcile_at": None}), None, Plan(RECONCILE, since=CURSOR_AT)),
        (cursor(**FRESH | {"last_full_at": NOW - timedelta(days=7)}), None, Plan(FULL)),
        (cursor(CUT_FULL, **FRESH | {"last_full_at": None}), None, Plan(FULL, resume=CUT_FULL)),
        (cursor(CUT_CHANGES, **FRESH | {"last_full_at": None}), None, Plan(FULL)),
    ],
)
def test_a_plan_follows_from_the_cursor_and_the_wish(state: Cursor, wanted: Mode | None, expected: Plan):
    """Nothing complete: everything; only the same mode resumes; an operator's full reading begins afresh."""
    assert plan(state, NOW, INTERVALS, wanted) == expected


@pytest.mark.parametrize(
    ("what", "finds"),
    [
        (Plan(FULL), True),
        (Plan(RECONCILE, since=CURSOR_AT), True),
        (Plan(INCREMENTAL, since=CURSOR_AT), False),
        (Plan(FULL, resume=CUT_FULL), False),
    ],
)
def test_only_a_listing_in_one_piece_finds_deletions(what: Plan, finds: bool):
    """What vanished between two halves was never looked for."""
    assert what.finds_deletions is finds


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"mode":"full"}', '{"mode":"sideways","last_id":1}'])
def test_a_bookmark_that_cannot_be_read_is_none(text: str | None):
    """Then everything is read again: slower, and right."""
    assert Bookmark.load(text) is None


def test_a_bookmark_survives_its_text():
    """All of it, the instants to the microsecond."""
    mark = bookmark(INCREMENTAL, last_id=2**40, since=NOW + timedelta(microseconds=7), others=(0, 2**41))
    assert Bookmark.load(mark.dump()) == mark


def test_a_bookmark_of_one_pass_is_read_as_it_always_was():
    """Its writer knew no other."""
    mark = Bookmark.load(
        '{"mode":"incremental","since":"2026-11-23T10:00:00Z","last_id":77,"cursor":"2026-11-23T11:00:00Z"}'
    )
    assert mark == CUT_CHANGES
    assert mark.last_ids == (77,)


def test_a_cursor_is_the_portals_clock_less_the_overlap():
    """Whatever offset its server writes."""
    server = datetime(2026, 11, 23, 15, 0, tzinfo=timezone(timedelta(hours=3)))
    assert cursor_from(server) == datetime(2026, 11, 23, 11, 55, tzinfo=UTC)
    assert cursor_from(server).tzinfo is UTC


@pytest.mark.parametrize(
    ("next_run_at", "due"), [(None, True), (NOW, True), (NOW - timedelta(days=1), True), (NOW + timedelta(1), False)]
)
def test_a_resource_is_due_when_its_time_has_come_or_was_never_set(next_run_at: datetime | None, due: bool):
    """To the second."""
    assert is_due(Cursor(1, "tasks", next_run_at=next_run_at), NOW) is due
