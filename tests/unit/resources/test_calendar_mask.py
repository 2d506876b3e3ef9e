"""What a reading means for a row that another account, or this one in better days, has read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from worker.resources.calendar_mask import COMPARED, Verdict, bare_title, judge, opened, visible_hash

SAME, WHOLE, OPEN = Verdict.SAME, Verdict.WHOLE, Verdict.OPEN
FULL = {"masked": False, "title_masked": False}
TITLE = {"masked": True, "title_masked": False}
TIME = {"masked": True, "title_masked": True}
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def row(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - as the columns
    columns = {"content_hash": "c1", "visible_hash": "v1", "importance": "high", "accessibility": "busy"}
    return {**columns, **FULL, **values}


def stored(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - as the columns
    return row(deleted_at=None, **values)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("[Busy]", ""), ("Call [Busy]", "Call"), ("Call [Под вопросом] ", "Call"), ("[Draft] [Busy]", "[Draft]"),
        ("Call", "Call"), ("[a] Call", "[a] Call"), ("", ""), (None, ""),
    ],
)  # fmt: skip
def test_a_stand_in_is_no_part_of_a_name(name: str | None, bare: str):
    """It is in the language of whoever reads it."""
    assert bare_title(name) == bare


@pytest.mark.parametrize(
    ("reading", "known", "verdict"),
    [
        (row(), None, WHOLE),
        (row(**TIME), None, WHOLE),
        # As much as before, or more: the whole content counts.
        (row(), stored(), SAME),
        (row(content_hash="c2"), stored(), WHOLE),
        (row(**TITLE), stored(**TITLE), SAME),
        (row(**TITLE, content_hash="c2"), stored(**TITLE), WHOLE),
        (row(**TIME, content_hash="c2"), stored(**TIME), WHOLE),
        (row(**TITLE, content_hash="c2"), stored(**TIME), WHOLE),
        (row(content_hash="c2"), stored(**TITLE), WHOLE),
        (row(content_hash="c2"), stored(**TIME), WHOLE),
        # Less: the content is bound to differ; only what the mask shows counts.
        (row(**TITLE, content_hash="c2"), stored(), SAME),
        (row(**TIME, content_hash="c2"), stored(), SAME),
        (row(**TIME, content_hash="c2"), stored(**TITLE), SAME),
        (row(**TIME, visible_hash="v2"), stored(), OPEN),
        (row(**TITLE, visible_hash="v2"), stored(), OPEN),
        (row(**TIME, visible_hash="v2"), stored(**TITLE), OPEN),
        (row(**TIME, accessibility="free"), stored(), OPEN),
        (row(**TIME, importance="low"), stored(), OPEN),
        (row(**TIME, importance=None, accessibility=None), stored(), SAME),
        # A row that comes back.
        (row(), stored() | {"deleted_at": NOW}, WHOLE),
        (row(**TIME), stored() | {"deleted_at": NOW}, OPEN),
        (row(**TIME), stored(**TIME) | {"deleted_at": NOW}, WHOLE),
    ],
)
def test_the_verdict_follows_from_how_much_each_was_shown(
    reading: dict[str, Any], known: dict[str, Any] | None, verdict: Verdict
):
    """A mask never covers what is known, and what nobody changed is not written."""
    assert judge(reading, known) is verdict


PLACE = {
    "section_id": 3, "parent_event_id": None, "calendar_type": "user", "owner_id": 9, "all_day": False,
    "time_zone": "UTC", "recurrence_rule": None, "excluded_dates": "[]",
}  # fmt: skip
WHEN = {"starts_at": NOW, "ends_at": NOW, "starts_on": None, "ends_on": None}
HIDDEN = {
    "name": "Surgery",
    "description": "At nine",
    "location": "Ward 3",
    "private": False,
    "color": "red",
    "raw": "{}",
}
KNOWN = stored(event_id=1, **PLACE, **WHEN, **HIDDEN)
LATER = datetime(2026, 11, 30, 9, tzinfo=UTC)
MASKED = row(
    **TIME, event_id=1, **PLACE, **WHEN | {"starts_at": LATER, "ends_at": LATER},
    name="[Busy]", description=None, location=None, private=True, color=None, raw='{"NAME":"[Busy]"}',
)  # fmt: skip


def test_the_open_half_follows_and_the_hidden_half_stays():
    """Whatever the mask put in its place."""
    reading = {**MASKED, "section_id": 4, "accessibility": "free", "importance": None, "visible_hash": "v2"}
    written = opened(reading, KNOWN)
    assert written.keys() == MASKED.keys()
    assert {name: written[name] for name in HIDDEN} == HIDDEN
    assert (written["masked"], written["title_masked"]) == (False, False)
    assert (written["starts_at"], written["section_id"], written["visible_hash"]) == (LATER, 4, "v2")
    assert (written["accessibility"], written["importance"]) == ("free", "high")


def test_a_row_whose_open_half_moved_is_written_whole_by_whoever_sees_it_next():
    """Also when it was moved back meanwhile; until then the same mask is no news."""
    written = opened({**MASKED, "visible_hash": "v2"}, KNOWN)
    assert judge({**MASKED, "visible_hash": "v2"}, {**written, "deleted_at": None}) is SAME
    assert judge(KNOWN, {**written, "deleted_at": None}) is WHOLE
    back = opened({**MASKED, **WHEN}, {**written, "deleted_at": None})
    assert judge(KNOWN, {**back, "deleted_at": None}) is WHOLE


def test_the_columns_to_compare_are_those_that_the_verdict_reads():
    """Else it would be asked of rows that lack one."""
    assert set(COMPARED) == stored().keys()


@pytest.mark.parametrize("column", PLACE)
def test_the_visible_hash_covers_where_an_event_is_and_when(column: str):
    """And nothing else."""
    plain = visible_hash({**PLACE, **HIDDEN}, (NOW, LATER))
    assert visible_hash({**PLACE, **HIDDEN, column: "other"}, (NOW, LATER)) != plain
    assert visible_hash({**PLACE, **HIDDEN}, (NOW, NOW)) != plain
    assert visible_hash({**PLACE, "name": "[Busy]"}, (NOW, LATER)) == plain
