"""What is tried on dates: how a filter reads them, and which clock the dates of tasks show.

Two cuts of one list, the same instant spelled in two ways, must be the same cut; and a cut must cut: a portal that
cannot read a date takes it for 1970, which cuts nothing off and looks perfectly well (vendor's PHP).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from worker.bitrix24.calls import Answer, Answers, Call, Outcome
from worker.bitrix24.rows import read_page
from worker.errors import BadAnswer
from worker.resources import tasks, users
from worker.resources.probe.finding import NO, UNKNOWN, YES, Finding, trouble
from worker.resources.times import offset_text, utc_text
from worker.resources.viewer import Viewer

SPELLINGS = {"z": utc_text, "offset": offset_text}
_SECOND = timedelta(seconds=1)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

ZONE, SUFFIX = "zone", "suffix"
"""How a task's date of another season is to be read: the digits in the user's zone, or by the suffix beside them."""


class _Dates(msgspec.Struct, rename="camel"):
    id: str | int
    created_date: str | None = None
    changed_date: str | None = None


@dataclass
class DateProbe:
    """`learn()` from two pages of tasks with their dates, then `calls()`, then `findings()`."""

    changed: list[datetime] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    total: int | None = None
    _old: tuple[int, datetime, datetime] | None = None  # a task, its date of creation by the zone and by the suffix

    def learn(self, pages: Iterable[Outcome], viewer: Viewer | None) -> None:
        for outcome in pages:
            if not isinstance(outcome, Answer):
                continue
            self.total = outcome.total if self.total is None else self.total
            for row in _rows(outcome):
                self.texts += filter(None, (row.created_date, row.changed_date))
                if moment := _aware(row.changed_date):
                    self.changed.append(moment)
                self._old = self._old or _other_season(row, viewer)

    def calls(self) -> list[Call]:
        """The cuts: at the newest date, a second later, and in the middle; each in both spellings."""
        cuts = []
        for number, moment in enumerate(self._moments()):
            for name, spell in SPELLINGS.items():
                conditions = {">=CHANGED_DATE": spell(moment)}
                cuts.append(_counting(f"cut_{name}_{number}", conditions))
        if self._old:
            number, *readings = self._old
            cuts.append(_counting("cut_season", {"ID": number, ">=CREATED_DATE": offset_text(max(readings))}))
        since = users.LISTING.page(conditions=users.changed_filter(offset_text(_LONG_AGO)), start=0, only_id=True)
        return [*cuts, Call("cut_users", users.LISTING.method, since)]

    def findings(self, answers: Answers, viewer: Viewer | None, user_total: int | None) -> list[Finding]:
        found = self._spellings(answers)
        works = {finding.name: finding.value for finding in found}["dates.offset"] == YES
        return [*found, self._zone(viewer), self._season(answers, works=works), _users(answers, user_total)]

    def _moments(self) -> list[datetime]:
        if len(set(self.changed)) <= 1:
            return []
        newest, oldest = max(self.changed), min(self.changed)
        middle = (oldest + (newest - oldest) / 2).replace(microsecond=0)
        return [newest, newest + _SECOND, middle]

    def _spellings(self, answers: Answers) -> list[Finding]:
        if not self._moments():
            text = "fewer than two dates to tell apart"
            return [Finding(f"dates.{name}", UNKNOWN, text) for name in SPELLINGS]
        cuts = {name: [_count(answers.outcomes.get(f"cut_{name}_{at}")) for at in range(3)] for name in SPELLINGS}
        right = {name: _cuts_right(counts, self.total) for name, counts in cuts.items()}
        found = []
        for name, counts in cuts.items():
            text = (
                f"rows since the newest date, a second later, the middle: {', '.join(map(str, counts))} of {self.total}"
            )
            other = any(right[each] for each in right if each != name)
            value = YES if right[name] else NO if other or _cuts_nothing(counts, self.total) else UNKNOWN
            found.append(Finding(f"dates.{name}", value, text))
        return found

    def _zone(self, viewer: Viewer | None) -> Finding:
        """Whose offset the dates of tasks have today."""
        shown = sorted({text[19:] for text in self.texts})
        if viewer is None or not shown:
            return Finding("dates.tasks_zone", UNKNOWN, "no date to look at")
        today = viewer.portal_now
        server = today.isoformat()[-6:]
        user = today.astimezone(viewer.zone).isoformat()[-6:] if viewer.zone else None
        text = f"dates end in {', '.join(shown[:4])}; the user's offset is {user}, the server's {server}"
        if user == server:
            return Finding("dates.tasks_zone", "either" if user in shown else "other", text)
        value = "user" if user in shown else "server" if server in shown else "other"
        return Finding("dates.tasks_zone", value, text)

    def _season(self, answers: Answers, *, works: bool) -> Finding:
        """A date of another season has two readings, an hour apart: the filter knows the instant itself."""
        name = "dates.other_season"
        if self._old is None:
            return Finding(name, UNKNOWN, "no date of another season to look at")
        number, by_zone, by_suffix = self._old
        outcome = answers.outcomes.get("cut_season")
        ids = _ids(outcome)
        if not works or ids is None or set(ids) - {number}:
            return Finding(name, UNKNOWN, trouble(outcome) if outcome and ids is None else "filters cannot tell it")
        later = SUFFIX if by_suffix > by_zone else ZONE
        value = later if ids else ({ZONE, SUFFIX} - {later}).pop()
        return Finding(name, value, f"the filter finds task {number} by the clock that the {value} says")


def _users(answers: Answers, total: int | None) -> Finding:
    """A date that user.get cannot read matches nobody (vendor: user/user-get.md)."""
    count = _count(answers.outcomes.get("cut_users"))
    text = f"{count} of {total} users changed since {_LONG_AGO:%Y}"
    if not total or count is None:
        return Finding("dates.users", UNKNOWN, text)
    return Finding("dates.users", YES if count else NO, text)


def _cuts_right(counts: list[int | None], total: int | None) -> bool:
    newest, later, middle = counts
    if newest is None or later is None or middle is None:
        return False
    return newest > 0 and later < newest <= middle and (total is None or middle < total)


def _cuts_nothing(counts: list[int | None], total: int | None) -> bool:
    return len(set(counts)) == 1 and counts[0] in {0, total}


def _other_season(row: _Dates, viewer: Viewer | None) -> tuple[int, datetime, datetime] | None:
    """The task with both readings of its date, where they differ; asked only where the suffix is today's."""
    text, shown = row.created_date, _aware(row.created_date)
    if viewer is None or viewer.zone is None or shown is None or text is None:
        return None
    if shown.utcoffset() != viewer.portal_now.astimezone(viewer.zone).utcoffset():
        return None
    by_zone = shown.replace(tzinfo=viewer.zone).astimezone(UTC)
    by_suffix = shown.astimezone(UTC)
    return None if by_zone == by_suffix else (int(row.id), by_zone, by_suffix)


def _counting(key: str, conditions: Mapping[str, object]) -> Call:
    return Call(key, tasks.LISTING.method, tasks.LISTING.page(conditions=conditions, start=0, only_id=True))


def _ids(outcome: Outcome | None) -> list[int] | None:
    if not isinstance(outcome, Answer):
        return None
    try:
        return [record.id for record in read_page(outcome, tasks.LISTING).records]
    except BadAnswer:
        return None


def _count(outcome: Outcome | None) -> int | None:
    """The count, or the rows of the page where there is none: user.get leaves it out when nobody matches."""
    if not isinstance(outcome, Answer):
        return None
    if outcome.total is not None:
        return outcome.total
    spec = users.LISTING if outcome.method == users.LISTING.method else tasks.LISTING
    try:
        return read_page(outcome, spec).size
    except BadAnswer:
        return None


def _rows(outcome: Answer) -> list[_Dates]:
    try:
        records = read_page(outcome, tasks.LISTING).records
        return [msgspec.json.decode(record.raw, type=_Dates) for record in records]
    except (BadAnswer, msgspec.MsgspecError):
        return []


def _aware(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None
