"""From what the probe found to the way the sync goes. Pure.

A portal that keeps to its pages is read the quick way, one that lies the slower right way; what is unknown is taken for
neither: it gets the way that relies on least.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from worker.bitrix24.ways import ListWay, Paging
from worker.resources.events import EventsMode
from worker.resources.probe.dates import SPELLINGS, SUFFIX
from worker.resources.probe.finding import NO, UNKNOWN, YES
from worker.resources.registry import ListedResource
from worker.resources.times import offset_text, utc_text


class Known(Protocol):
    """A stored finding."""

    @property
    def value(self) -> str: ...
    @property
    def evidence(self) -> str: ...


Spell = Callable[[datetime], str]

USUAL: Mapping[str, Spell | None] = {"tasks": utc_text, "users": offset_text}
"""How dates are written in the filters of each list."""


@dataclass(frozen=True)
class Ways:
    """How one portal is read.

    Args:
        lists: By resource.
        spells: By resource, how a date is written in a filter; None: none is understood, so everything is read.
        trust_suffix: Whether dates of tasks are right with the suffix that they carry, whatever the season.
        expands: Whether series come expanded; False: once, so they are expanded here; None: not known, so it is looked
            at for each series.
        events: What offline events are good for; polling, where it is not known.
    """

    lists: Mapping[str, ListWay] = field(default_factory=dict)
    spells: Mapping[str, Spell | None] = field(default_factory=lambda: USUAL)
    trust_suffix: bool = False
    expands: bool | None = None
    events: EventsMode = EventsMode.POLLING

    def of(self, resource: str) -> ListWay:
        return self.lists.get(resource, ListWay())

    def changed(self, resource: ListedResource, since: datetime) -> list[Mapping[str, Any]]:
        """The filters for what changed since then; one that asks for everything where dates are not understood."""
        spell = self.spells[resource.name]
        return [changed(spell(since)) for changed in resource.changed_filters] if spell else [{}]


AS_DOCUMENTED = Ways(
    lists={name: ListWay(Paging.CHAINED, uncounted=True) for name in USUAL}, expands=True, events=EventsMode.CONFIRM
)
"""A portal that keeps to every page."""


def ways(known: Mapping[str, Known]) -> Ways:
    """The way for each thing, from the capabilities by name; what is missing is unknown."""

    def value(name: str) -> str:
        return known[name].value if name in known else ""

    resources = {name.partition(".")[0] for name in known if name.endswith(".after_id")}
    tasks: Spell | None = utc_text
    if value("dates.z") == NO:
        tasks = offset_text if value("dates.offset") == YES else None
    return Ways(
        lists={name: _list_way(name, value) for name in resources},
        spells={"tasks": tasks, "users": None if value("dates.users") == NO else offset_text},
        trust_suffix=value("dates.other_season") == SUFFIX,
        expands={YES: True, NO: False}.get(value("calendar.expanded")),
        events=next((mode for mode in EventsMode if mode == value("events")), EventsMode.POLLING),
    )


def _list_way(name: str, value: Callable[[str], str]) -> ListWay:
    order, after_id = value(f"{name}.order"), value(f"{name}.after_id")
    paging = Paging.PAGES
    if NO in {order, after_id}:
        paging = Paging.COUNTED
    elif {order, after_id, value(f"{name}.reference")} == {YES}:
        paging = Paging.CHAINED
    return ListWay(paging, uncounted=value(f"{name}.uncounted") == YES)


def undecided(known: Mapping[str, Known]) -> bool:
    """Whether the portal had too little to look at when it was probed, or showed it to no administrator: look soon."""
    names = ("tasks.reference", "dates.z", "events")
    return any(_is(known, name, UNKNOWN) for name in names) or _is(known, "account.admin", NO)


def slower(known: Mapping[str, Known]) -> list[str]:
    """A sentence for each thing that is not read the quick way, with what was seen."""
    chosen = ways(known)
    told = []
    for name, way in sorted(chosen.lists.items()):
        if way.paging is not Paging.CHAINED:
            guilty = [
                f"{name}.{each}" for each in ("order", "after_id", "reference") if _is(known, f"{name}.{each}", NO)
            ]
            told.append(f"{name} are read in {_WORDS[way.paging]}: {_why(known, guilty)}")
        if _is(known, f"{name}.uncounted", NO):
            told.append(f"{name} are counted with every page: {_why(known, [f'{name}.uncounted'])}")
    if chosen.spells["tasks"] is not USUAL["tasks"]:
        how = "with their offset" if chosen.spells["tasks"] else "not at all, so all tasks are read in every run"
        told.append(f"dates are sent {how}: {_why(known, [f'dates.{name}' for name in SPELLINGS])}")
    for bad, name, text in (
        (chosen.spells["users"] is None, "dates.users", "all users are read in every run"),
        (chosen.trust_suffix, "dates.other_season", "dates of tasks are read by their suffix"),
        (chosen.expands is False, "calendar.expanded", "series are expanded here, by their rules"),
    ):
        if bad:
            told.append(f"{text}: {_why(known, [name])}")
    return told


_WORDS = {Paging.PAGES: "single pages", Paging.COUNTED: "counted pages"}


def _is(known: Mapping[str, Known], name: str, value: str) -> bool:
    return name in known and known[name].value == value


def _why(known: Mapping[str, Known], names: list[str]) -> str:
    seen = [f"{name}: {known[name].evidence}" for name in names if name in known]
    return "; ".join(seen) or "the portal had too little to look at"
