"""What is looked at in calendars: whether series come expanded, and what the dates of events are written in."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from worker.bitrix24.calls import Answer, Answers, Call
from worker.errors import B24SyncError, Rejected
from worker.resources.calendar_calls import COMPANY, Owner, Slice, event_call
from worker.resources.calendar_record import EventRecord, clock_from, reader
from worker.resources.culture import Order, learn
from worker.resources.fields import to_int
from worker.resources.probe.finding import UNKNOWN, Finding, yes_or_no
from worker.resources.records import rows_of
from worker.resources.times import formatted, instant_of
from worker.resources.viewer import Viewer

if TYPE_CHECKING:
    from msgspec import Raw

_PAST, _FUTURE = timedelta(days=30), timedelta(days=60)
_WEEKS = timedelta(days=21)  # a weekly series that runs so long inside the window must show itself more than once


def calls(viewer: Viewer) -> list[Call]:
    """The user's and the company's events of three months."""
    today = viewer.portal_now.astimezone(UTC)
    days = Slice((today - _PAST).date(), (today + _FUTURE).date())
    return [
        event_call("events_mine", Owner("user", viewer.user_id), days),
        event_call("events_company", COMPANY, days),
    ]


def findings(answers: Answers, viewer: Viewer | None) -> list[Finding]:
    records = [*_records(answers, "events_mine"), *_records(answers, "events_company")]
    if viewer is None or not records:
        names = ("expanded", "date_order", "texts", "ts_utc")
        return [Finding(f"calendar.{name}", UNKNOWN, "no event to look at") for name in names]
    return [_expanded(records, viewer), _date_order(records), _texts(records), _ts_utc(records, viewer)]


def _records(answers: Answers, key: str) -> Iterable[EventRecord]:
    outcome = answers.outcomes.get(key)
    if not isinstance(outcome, Answer):
        return
    try:
        rows: Sequence[Raw] = rows_of(outcome.result, outcome.method)
    except B24SyncError:
        return
    for raw in rows:
        try:
            yield reader.read(raw)
        except Rejected:
            continue


def _expanded(records: Sequence[EventRecord], viewer: Viewer) -> Finding:
    """Whether the instances of a series are rows under its ID.

    The vendor's PHP makes them; calendar-event-get.md prints one row of a series with four days in the window.
    """
    starts: defaultdict[int, set[str | None]] = defaultdict(set)
    for record in records:
        if record.rrule:
            starts[record.id].add(record.date_from_formatted)
    often = sum(len(found) > 1 for found in starts.values())
    text = f"{len(starts)} series in the window, {often} of them with more than one day under the same ID"
    if often:
        return Finding("calendar.expanded", yes_or_no(True), text)
    due = any(_runs_on(record, viewer) for record in records)
    return Finding("calendar.expanded", yes_or_no(False) if due else UNKNOWN, text)


def _runs_on(record: EventRecord, viewer: Viewer) -> bool:
    """Whether a series must have had several instances in the window."""
    rule = record.rrule
    if not isinstance(rule, dict) or rule.get("FREQ") not in {"DAILY", "WEEKLY"} or rule.get("COUNT"):
        return False
    try:
        often = (to_int(rule.get("INTERVAL"), "INTERVAL") or 1) == 1
        until = to_int(rule.get("UNTIL_TS"), "UNTIL_TS")
        begins = formatted(record.date_from_formatted or "", "DATE_FROM_FORMATTED").replace(tzinfo=UTC)
    except Rejected:
        return False
    ends = datetime.fromtimestamp(until, UTC) if until and 0 < until < 32_503_680_000 else begins  # noqa: PLR2004 - year 3000
    today = viewer.portal_now
    return often and min(ends, today + _FUTURE) - max(begins, today - _PAST) > _WEEKS


def _date_order(records: Sequence[EventRecord]) -> Finding:
    """DATE_FROM has the portal's form, DATE_FROM_FORMATTED a fixed one: together they tell day from month."""
    culture = learn(_pairs(records))
    value = ("day_first" if culture.order is Order.DAY_FIRST else "month_first") if culture.proven else UNKNOWN
    return Finding("calendar.date_order", value, f"by {len(records)} rows with both spellings of a date")


def _texts(records: Sequence[EventRecord]) -> Finding:
    """Whether the culture's text shows the same clock as the fixed form: then both are the event's own."""
    minutes = [
        (text.partition(":")[2][:2], f"{wall:%M}", wall.hour % 12, _hour(text))
        for text, wall in _pairs(record for record in records if not record.all_day)
        if ":" in text
    ]
    if not minutes:
        return Finding("calendar.texts", UNKNOWN, "no event with a time of day")
    same = sum(shown == meant and hour == told for shown, meant, hour, told in minutes)
    value = "event" if same == len(minutes) else "other"
    return Finding("calendar.texts", value, f"{same} of {len(minutes)} texts show the clock of DATE_FROM_FORMATTED")


def _ts_utc(records: Sequence[EventRecord], viewer: Viewer) -> Finding:
    """How far DATE_FROM_TS_UTC of single events is from the wall clock read in their own zone."""
    offs: Counter[int] = Counter()
    for record in records:
        if record.rrule or record.all_day or record.date_from_ts_utc is None or not record.date_from_formatted:
            continue
        try:
            wall = formatted(record.date_from_formatted, "DATE_FROM_FORMATTED")
            meant = instant_of(clock_from(record, viewer), wall, "DATE_FROM_FORMATTED")
        except Rejected:
            continue
        offs[record.date_from_ts_utc - int(meant.timestamp())] += 1
    if not offs:
        return Finding("calendar.ts_utc", UNKNOWN, "no single event with a time of day")
    (off, count), *_ = offs.most_common(1)
    text = f"{count} of {offs.total()} single events are {off} s off"
    return Finding("calendar.ts_utc", "right" if set(offs) == {0} else "off", text)


def _pairs(records: Iterable[EventRecord]) -> list[tuple[str, datetime]]:
    pairs = []
    for record in records:
        try:
            wall = formatted(record.date_from_formatted or "", "DATE_FROM_FORMATTED")
        except Rejected:
            continue
        if record.date_from:
            pairs.append((record.date_from, wall))
    return pairs


def _hour(text: str) -> int:
    """The hour on a dial of twelve: whether it is am or pm, both spellings agree where the dial does."""
    hours = text.partition(":")[0].rsplit(maxsplit=1)[-1]
    return int(hours) % 12 if hours.isdecimal() else -1
