"""Finds out how a portal behaves and stores it: five requests that only read (docs/capabilities.md lists them).

At connect, by `doctor --probe`, and in the first turn a week after the last time. It never fails what it is part of: a
portal that was not probed is read the way that relies on least.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from worker.bitrix24.calls import Answers, Call, Outcome, Time
from worker.bitrix24.client import Client
from worker.clock import Clock
from worker.errors import B24SyncError, PortalError
from worker.resources.capabilities import Ways, undecided, ways
from worker.resources.probe import account as accounts
from worker.resources.probe import calendars, rest3
from worker.resources.probe.dates import DateProbe
from worker.resources.probe.finding import Finding
from worker.resources.probe.lists import ListProbe
from worker.resources.registry import TASKS, USERS
from worker.storage.capabilities import load_capabilities, save_capabilities
from worker.storage.models import Account, Portal, PortalCapability
from worker.storage.session import Database

log = logging.getLogger(__name__)

WEEK = timedelta(days=7)
DAY = timedelta(days=1)
"""Until a portal is probed again that had too little to look at."""

Halted = Callable[[], str | None]
"""Why to end before the next request, or None."""


def _never() -> None:
    return None


def ask(client: Client) -> list[Finding]:
    """All there is to find out. Raises B24SyncError when the portal does not answer at all."""
    lists = {resource.name: ListProbe(resource.name, resource.method) for resource in (USERS, TASKS)}
    tasks, users = lists["tasks"], lists["users"]
    dates = DateProbe()
    first = client.batch([*accounts.calls(), *users.first(), *tasks.first("CREATED_DATE", "CHANGED_DATE")])
    viewer = accounts.viewer_of(first)
    for each in lists.values():
        each.learn(first)
    dates.learn([first.outcomes[key] for key in ("tasks_up", "tasks_down") if key in first.outcomes], viewer)
    alone = _call(client, TASKS.method.method, TASKS.method.page(conditions={}, start=0, only_id=True))
    after = _call(client, TASKS.method.method, tasks.after("after").params) if tasks.pivot is not None else None
    events = calendars.calls(viewer) if viewer else []
    second = _batch(client, [*users.second(), *tasks.second(), *dates.calls(), *events])
    newest = _call(client, rest3.METHOD, rest3.PARAMS)
    return [
        *accounts.findings(first),
        *accounts.limits(alone),
        *users.findings(second),
        *tasks.findings(second),
        tasks.alone(alone, after, second),
        *dates.findings(second, viewer, users.total),
        *calendars.findings(second, viewer),
        *rest3.findings(newest, tasks.total),
    ]


def _batch(client: Client, calls: Sequence[Call]) -> Answers:
    """A batch that is lost says nothing of its calls; what was found before stays found."""
    try:
        return client.batch(calls)
    except PortalError as error:
        return Answers({call.key: error for call in calls}, Time())


def _call(client: Client, method: str, params: Mapping[str, Any]) -> Outcome:
    try:
        return client.call(method, params)
    except PortalError as error:
        return error


class Prober:
    """Probes portals and keeps what was found.

    Args:
        client_for: A client for this account that tries each request once: what does not answer is evidence too.
    """

    def __init__(self, *, database: Database, clock: Clock, client_for: Callable[[Portal, Account], Client]) -> None:
        self._database = database
        self._clock = clock
        self._client_for = client_for

    def probe(self, portal: Portal, account: Account, halted: Halted = _never) -> list[Finding]:
        """Probe now. Raises B24SyncError when the portal does not answer, Interrupted when `halted` gives a reason."""
        client = self._client_for(portal, account)
        client.halted = halted
        found = ask(client)
        with self._database.write() as session:
            save_capabilities(session, portal.id, found, self._clock.now())
        return found

    def ways(
        self, portal: Portal, account: Account, known: Mapping[str, PortalCapability], halted: Halted = _never
    ) -> Ways:
        """How to read the portal, probed anew when it is time; what fails then is told to the log alone.

        `known` is what is stored of it. Only the primary account probes: another one sees less, so it would have less
        to look at.
        """
        if account.is_primary and self._due(known) and self.try_probe(portal, account, halted):
            known = self._known(portal)
        return ways(known)

    def _known(self, portal: Portal) -> Mapping[str, PortalCapability]:
        with self._database.read() as session:
            return load_capabilities(session, portal.id)

    def try_probe(self, portal: Portal, account: Account, halted: Halted = _never) -> bool:
        """Probe now; whether it came to its end."""
        try:
            self.probe(portal, account, halted)
        except B24SyncError as error:
            log.info("portal %s could not be probed: %s", portal.domain, error)
            return False
        except Exception:
            log.exception("portal %s could not be probed", portal.domain)
            return False
        return True

    def _due(self, known: Mapping[str, PortalCapability]) -> bool:
        latest = max((one.probed_at for one in known.values()), default=None)
        if latest is None:
            return True
        return self._clock.now() - latest >= (DAY if undecided(known) else WEEK)
