"""What can be put in a run's way: every fault of the emulator, once or throughout, where a resource meets it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from worker.bitrix24.transport import Reply, Transport
from worker.emulator import Portal
from worker.emulator.faults import CALL_KINDS, REQUEST_KINDS, TOKEN_KINDS, Faults
from worker.errors import Unreachable

FIRST, CHANGES, SWEEP = "first", "changes", "sweep"
RUNS = {
    FIRST: ("users", "tasks", "planner", "calendar"),
    CHANGES: ("users", "tasks", "planner", "calendar", "events"),
    SWEEP: ("users", "tasks"),  # the others read everything in every run
}
ALWAYS = 1_000_000
METHODS = {
    "users": "user.get",
    "tasks": "tasks.task.list",
    "planner": "task.planner.getlist",
    "calendar": "calendar.event.get",
    "events": "event.offline.get",
}
JUNK: Mapping[str, Mapping[str, Any]] = {
    "users": {"field": "ACTIVE", "value": "maybe"},
    "tasks": {"field": "changedDate", "value": "not-a-date"},
    "calendar": {"field": "DATE_FROM_FORMATTED", "value": "someday"},
}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "hang": {"seconds": 0},
    "redirect": {"location": "https://example.com/"},
    "operation_time_limit": {"seconds": 900},
}


@dataclass(frozen=True, order=True)
class Trouble:
    """A fault of the emulator: `where` is request, call or token; it lasts for one answer, or for all of a run."""

    where: str
    kind: str
    lasts: bool


# After these nothing more is asked in the run, so throughout is no other thing.
_FINAL = frozenset(
    [
        "overload",
        "portal_deleted",
        "redirect",
        "invalid_client",
        "invalid_grant",
        "lose_answer",
        "payment_required",
        "wrong_client",
    ]
)


def troubles(run: str) -> Iterator[Trouble]:
    """All that the emulator can do wrong: for one answer, and where that is another thing, throughout the run.

    A first run and a sweep end like any other when nothing is answered at all, so that is measured once.
    """
    kinds = {"request": REQUEST_KINDS, "call": CALL_KINDS, "token": TOKEN_KINDS}
    for where, names in kinds.items():
        for kind in sorted(names):
            yield Trouble(where, kind, lasts=False)
            if kind not in _FINAL and (run == CHANGES or (run == SWEEP and where == "call")):
                yield Trouble(where, kind, lasts=True)


def order(portal: Portal, trouble: Trouble | None, resource: str) -> None:
    """Order the fault where this resource meets it."""
    if trouble is None:
        return
    times = ALWAYS if trouble.lasts else 1
    options = dict(OPTIONS.get(trouble.kind, {}))
    if trouble.where == "token":
        portal.tokens.expire(portal)
        portal.tokens.faults.add(trouble.kind, times=times, **options)
    elif trouble.where == "request":
        portal.faults.add(trouble.kind, times=times, **options)
    else:
        if trouble.kind == "junk_field":
            options |= JUNK.get(resource, {})
        listed = resource in {"users", "tasks"} and not trouble.lasts
        method = METHODS["calendar" if trouble.kind == "lost_instances" else resource]
        portal.faults.add(trouble.kind, times=times, after=int(listed), method=method, **options)


class Impatient:
    """Sends as a transport does, but does not wait for an answer that hangs: it is as late as any clock allows."""

    def __init__(self, transport: Transport, faults: Sequence[Faults]) -> None:
        self._send = transport._send
        self._faults = faults

    def __call__(self, verb: str, url: str, **settings: Any) -> Reply:  # noqa: ANN401 - the transport's own
        before = self._hanging()
        reply = self._send(verb, url, **settings)
        if self._hanging() < before:
            raise Unreachable("no answer in time", portal=urlsplit(url).netloc)
        return reply

    def _hanging(self) -> int:
        return sum(fault.times for faults in self._faults for fault in faults._faults if fault.kind == "hang")
