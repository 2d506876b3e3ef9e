"""What the probe asks and finds as a page: docs/capabilities.md, word for word."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Probed(NamedTuple):
    """One portal after its probe: value by name, the requests, and what is read otherwise and why."""

    values: Mapping[str, str]
    requests: Sequence[Sequence[str]]
    slower: Sequence[str]


HONEST: dict[str, Any] = {
    "name": "acme",
    "scope": "task,tasks,calendar,user",
    "users": 60,
    "events": 600,
    "offline_events": True,
}

MODES: dict[str, dict[str, Any]] = {
    "ignores `>ID`": {"after_id": False},
    "ignores `order`": {"ordered": False},
    "counts in spite of `start=-1`": {"uncounted": False},
    "tells no `total` and no `next`": {"counts": False},
    "takes references in a batch for texts": {"references": "literal"},
    "fails a call that refers to a missing row": {"references": "strict"},
    "does not understand `Z`": {"filter_dates": "no_z"},
    "cuts the `Z` off, on a server in Vladivostok": {"filter_dates": "local_z", "server_zone": "Asia/Vladivostok"},
    "understands no date in a filter": {"filter_dates": "none"},
    "writes dates with the offset of their season": {"date_suffix": "true"},
    "writes digits that fit the offset of today": {"date_suffix": "fixed"},
    "shows a series once": {"series": "once"},
    "has its server in Vladivostok": {"server_zone": "Asia/Vladivostok"},
    "writes the day first": {"culture": "day_first"},
    "bills the batch": {"billing": "batch"},
    "tells no operating time": {"operating": False},
    "has no offline events": {"offline_events": False},
    "has offline events without confirmation": {"offline_extended": False},
    "has no REST 3.0": {"rest3": 0},
    "has short pages in REST 3.0": {"rest3": 100},
    "did not grant the scope `tasks`": {"scope": "task,calendar,user"},
    "is empty": {"tasks": 0, "events": 0, "users": 1},
}
"""The emulator's modes: what a portal does otherwise than HONEST."""

MEANINGS = {
    "account.admin": "whether the account is an administrator: only then the portal shows everything",
    "account.scopes": "whether the granted scopes are told (they are in the evidence)",
    "calendar.date_order": "how the portal's own dates are written: day_first or month_first",
    "calendar.expanded": "whether calendar.event.get shows every instance of a series, all with its ID",
    "calendar.texts": "whose clock DATE_FROM shows: the event's own, as DATE_FROM_FORMATTED does",
    "calendar.ts_utc": "whether DATE_FROM_TS_UTC of single events is true UTC; never relied on to the hour",
    "dates.offset": "whether filters of tasks understand `2026-11-23T09:00:00+00:00`",
    "dates.other_season": "how a task's date of another season is meant: by the user's zone, or by its suffix",
    "dates.tasks_zone": "whose offset the dates of tasks carry: user, server, either (they are equal) or other",
    "dates.users": "whether the filter of user.get understands a date",
    "dates.z": "whether filters of tasks understand `2026-11-23T09:00:00Z`",
    "events": "what offline events are good for: confirm, hints or polling",
    "methods": "whether all methods that are needed can be called (missing ones are in the evidence)",
    "operating": "whether answers tell the operating time used",
    "operating_reset_at": "whether they tell when it is forgotten",
    "rest3": "whether REST 3.0 answers; nothing is read by it yet",
    "rest3.page": "the largest page of REST 3.0, where there are more tasks than that",
    "server.offset": "the server's offset from UTC, by server.time and by the time block alike",
    "tasks.after_id": "whether `>ID` is honoured, inside a batch",
    "tasks.alone": "whether calls by themselves bring the rows that they bring inside a batch",
    "tasks.missing_row": "what a reference to a missing row brings: restart (the table from its start), empty or error",
    "tasks.next": "whether a page tells where the next one starts",
    "tasks.order": "whether `order[ID]` is honoured, both ways",
    "tasks.reference": "whether a reference to a row of the call before is honoured",
    "tasks.start": "whether the second page by number is another one",
    "tasks.total": "whether a page tells the count",
    "tasks.uncounted": "whether `start=-1` leaves the count out",
}

INTRODUCTION = """\
# How a portal is probed

Much of what a client must know of Bitrix24 stands on one page, or only in the vendor's code. So b24sync tries it
before it relies on it: when a portal is connected, in the first turn a week later (a day later, if there was too little
to look at, or if who looked was no administrator), and whenever you run `b24sync doctor --probe`. It asks {count}
requests that only read, and keeps what it found in the table `portal_capabilities`: `name`, `value`, `evidence` (what
was seen; nothing personal) and `probed_at`. A probe that fails changes nothing, and fails nothing. Where there is
nothing to look at the value is `unknown`, and b24sync takes the way that relies on least.

This page is written by `make capabilities` and compared with a new measurement by `make test`.

## What is asked

| request | calls |
|---|---|
{requests}

## What is found

{meanings}

What is said of `tasks` is asked of `users` (`user.get`) too, except `alone`.

## What it changes

| where the portal | b24sync |
|---|---|
| honours order, `>ID` and references | reads lists in **chains**: up to 50 pages in one request |
| honours no references, or has too little to show | reads **single pages**, each from the last ID |
| ignores order or `>ID` | reads **counted pages**, by their number, and believes them if no count changed |
| counts in spite of `start=-1` | does not ask for that |
| does not understand `Z` in a filter | writes dates with `+00:00` |
| understands no date in a filter | reads the whole list in every run |
| means dates of other seasons by their suffix | reads them so |
| shows a series once | makes its instances from the rule, by the portal's own arithmetic; no call more |
| has no series to show yet | looks at each series whether it came with its instances or once |
| confirms offline events, hands them out once, or has none | confirms them, takes them as hints, or polls |

The mirror is the same by every way. `b24sync doctor` names what is read a slower way, and why.

## The emulated portal, and what each lie of it changes

The first column is an honest portal of 1,000 tasks and 60 users. What is left out below is as there.

"""


def page(honest: Probed, modes: Mapping[str, Probed]) -> str:
    """The whole page."""
    requests = "\n".join(f"| {number} | {_calls(calls)} |" for number, calls in enumerate(honest.requests, start=1))
    meanings = "\n".join(f"- `{name}`: {text}." for name, text in MEANINGS.items())
    lines = ["| name | value |", "|---|---|", *(f"| `{name}` | {value} |" for name, value in honest.values.items()), ""]
    lines += ["| a portal that | is found to be | so that |", "|---|---|---|"]
    for mode, probed in modes.items():
        differs = [f"`{name}` {value}" for name, value in probed.values.items() if honest.values[name] != value]
        ways = [sentence.partition(":")[0] for sentence in probed.slower]
        lines.append(f"| {mode} | {', '.join(differs) or 'the same'} | {'; '.join(ways) or '-'} |")
    introduction = INTRODUCTION.format(count=len(honest.requests), requests=requests, meanings=meanings)
    return introduction + "\n".join(lines) + "\n"


def _calls(calls: Sequence[str]) -> str:
    counts = {name: list(calls).count(name) for name in calls}
    return ", ".join(f"`{name}`" + (f" ({count})" if count > 1 else "") for name, count in counts.items())
