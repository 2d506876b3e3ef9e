"""What a story is made of: settings, beginnings, acts and troubles."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from tests.property.people import VERBS

CALENDARS = ("mine,company", "mine,company,everyone")
NUMBERS = st.integers(0, 10**7)
ACTS = st.lists(st.tuples(st.sampled_from([verb.__name__ for verb in VERBS]), NUMBERS), min_size=1, max_size=6)
STARTS = (
    datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
    datetime(2027, 3, 27, 22, 30, tzinfo=UTC),  # Berlin's clocks go forward at 1:00 UTC
    datetime(2027, 10, 30, 23, 10, tzinfo=UTC),  # and back
)
WHOLE = ("html", "empty", "cut", "broken_json", "wrong_shape", "rate_limit", "internal_error", "reset", "expired_token",
         "invalid_token", "overload", "portal_deleted")  # fmt: skip
CALLS = ("operation_time_limit", "sub_error", "sub_missing")
PAGES = ("page_repeat", "page_fall", "lost_rows", "doubled_rows")
RUBBISH = ("surrogate", "junk_field")
METHODS = ("tasks.task.list", "tasks.task.get", "user.get", "task.planner.getlist", "calendar.section.get",
           "calendar.event.get", "calendar.event.getbyid", "profile", "scope", "event.get", "feature.get", "event.bind",
           "event.offline.get", "event.offline.clear", "event.offline.list", None)  # fmt: skip
TROUBLE = st.tuples(
    st.sampled_from((*WHOLE, *CALLS, *PAGES, *RUBBISH)), st.sampled_from(METHODS), st.integers(0, 3), st.integers(1, 4)
)
Trouble = tuple[str, str | None, int, int]
