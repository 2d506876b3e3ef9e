"""What a mask hides of an event, and what it shows all the same. Pure.

Whoever may not see an event is shown a stand-in: its name becomes `[Busy]`, or gets that behind it; description, place,
attendees and custom fields are left out (read in the vendor's PHP). When it is, and in whose calendar, everybody is
told. So a row has two halves: the open one follows every reading, the hidden one only a reading that shows at least as
much as the one it came from. Two accounts with different rights then read an event turn by turn and write nothing.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from worker.resources.hashing import content_hash

PLACE = (
    *("section_id", "parent_event_id", "calendar_type", "owner_id"),
    *("all_day", "time_zone", "recurrence_rule", "excluded_dates"),
)
TIMES = ("starts_at", "ends_at", "starts_on", "ends_on")
IF_SHOWN = ("importance", "accessibility")
"""Shown under a mask too, as far as is known: so they make no hash differ, and count only where they come."""

COMPARED = ("content_hash", "visible_hash", "masked", "title_masked", "deleted_at", *IF_SHOWN)
"""The columns of a stored row that `judge` looks at."""

Row = Mapping[str, Any]

_STAND_IN = re.compile(r"\s*\[[^\[\]]*\]\s*\Z")


class Verdict(Enum):
    """What a reading means for the row that is stored."""

    SAME = "nothing changed"
    WHOLE = "write the row as it was read"
    OPEN = "write what the mask shows, and leave what it hides as it is known"


def bare_title(name: str | None) -> str:
    """A masked name without the stand-in, which is in the language of whoever reads it."""
    return _STAND_IN.sub("", name or "")


def visible_hash(row: Row, when: tuple[object, ...]) -> str:
    """Equal for all readings of one state of an event, masked or not."""
    return content_hash([*(row[name] for name in PLACE), *when])


def judge(row: Row, known: Row | None) -> Verdict:
    """What to do with a reading, given the `COMPARED` columns of the stored row."""
    if known is None:
        return Verdict.WHOLE
    gone = known["deleted_at"] is not None
    if _detail(row) >= _detail(known):
        return Verdict.SAME if not gone and row["content_hash"] == known["content_hash"] else Verdict.WHOLE
    same = row["visible_hash"] == known["visible_hash"] and all(row[name] in {None, known[name]} for name in IF_SHOWN)
    return Verdict.SAME if same and not gone else Verdict.OPEN


def opened(row: Row, known: Row) -> dict[str, Any]:
    """The stored row (all of its columns) with the open half of a reading.

    No reading has its content hash: else an event that was moved and moved back between two readings by who may see it
    would pass for unchanged. Whoever sees it next writes it whole, once.
    """
    whole = {name: known[name] for name in row}
    whole |= {name: row[name] for name in (*PLACE, *TIMES, "visible_hash")}
    whole |= {name: row[name] for name in IF_SHOWN if row[name] is not None}
    shown = (whole[name] for name in ("visible_hash", *IF_SHOWN))
    return {**whole, "content_hash": content_hash([known["content_hash"], *shown])}


def _detail(row: Row) -> int:
    """How much was shown: everything, the title, only when it is."""
    if not row["masked"]:
        return 2
    return 0 if row["title_masked"] else 1
