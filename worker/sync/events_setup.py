"""The offline events that a portal offers: the binding of those that are not bound, and the reading of the queue.

What they are good for is a capability of the portal, as probed; only an administrator of an OAuth application gets them
at all (vendor: api-reference/events/event-bind.md). Whatever refuses is no failure: polling finds everything too, only
deletions later. What is bound is asked once a day, and at once after a new connection: a new installation has lost its
bindings. `portals.events_mode` is what is in force: what the portal offers, once something is bound.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta

from worker.bitrix24.calls import Answer, Answers, Call
from worker.clock import is_over
from worker.errors import CallRefused, PortalError
from worker.resources import events
from worker.resources.events import EventsMode
from worker.storage import portals
from worker.storage.models import Account, Portal
from worker.sync.engine import Pull
from worker.sync.events import EventsPull
from worker.sync.report import Mode, Report
from worker.sync.turn import Turn

log = logging.getLogger(__name__)

CHECK = timedelta(days=1)
"""Between two looks at what is bound."""


class EventsSetup:
    """Asks what is bound and binds the rest; keeps with the portal what is in force then.

    It has no report, for it never fails; in a day without news it costs one call of a batch that is sent anyway.
    """

    report: None = None

    def __init__(self, turn: Turn, known: str | None) -> None:
        self._turn = turn
        self._known = known
        self._missing: list[str] | None = None
        self._bound: set[str] = set()
        self._asked: list[Call] = []
        self.done = False

    def calls(self, room: int) -> list[Call]:
        if self._missing is not None:
            self._asked = [events.bind_call(name) for name in self._missing[:room]]
        else:
            self._asked = [events.bound_call()] if room else []
        return self._asked

    def apply(self, answers: Answers) -> None:
        try:
            if self._missing is None:
                self._missing = self._learn(answers)
            else:
                self._bind(self._missing, answers)
        except PortalError as error:  # it passes by itself: the next turn asks again
            log.info("%s: its events could not be asked about: %s", self._turn.client.portal, error)
            self.done = True
            return
        if not self._missing:
            self._end(self._turn.ways.events if self._bound else EventsMode.POLLING)

    def _learn(self, answers: Answers) -> list[str]:
        """What is to be bound. Raises what says nothing about the account."""
        bound = answers.get(self._asked[0])
        if isinstance(bound, CallRefused) or not self._turn.is_admin:
            return []
        if not isinstance(bound, Answer):
            raise bound
        wanted = events.wanted(self._turn.scope)
        self._bound = events.bound(bound) & set(wanted)
        return [name for name in wanted if name not in self._bound]

    def _bind(self, missing: list[str], answers: Answers) -> None:
        for call in self._asked:
            event, outcome = missing.pop(0), answers.get(call)
            if isinstance(outcome, Answer):
                self._bound.add(event)
            else:  # unknown to this portal, or not for this account; whatever it is, tomorrow is soon enough
                log.info("%s: %s is not bound: %s", self._turn.client.portal, event, outcome)

    def _end(self, mode: EventsMode) -> None:
        self.done = True
        if mode != self._known:
            log.info("%s: events: %s", self._turn.client.portal, mode)
        with self._turn.write() as session:
            portals.save_events_mode(session, self._turn.portal_id, mode, now=self._turn.clock.now())


def event_pulls(turn: Turn, reports: Mapping[str, Report], others: Sequence[Pull]) -> list[Pull]:
    """The pulls of events in a turn whose other pulls are `others`; none where the tasks are not due."""
    if not turn.is_primary or "tasks" not in reports:
        return []
    portal, account = turn.standing.portal, turn.standing.account(turn.account_id)
    offered, known = turn.ways.events, portal.events_mode
    if offered is EventsMode.POLLING or not _may_have(account):
        if known != EventsMode.POLLING:
            with turn.write() as session:
                portals.save_events_mode(session, turn.portal_id, EventsMode.POLLING, now=turn.clock.now())
        return []
    pulls: list[Pull] = []
    if known in {EventsMode.CONFIRM, EventsMode.HINTS}:
        if known != offered:  # probed anew since
            with turn.write() as session:
                portals.save_events_mode(session, turn.portal_id, offered, now=portal.events_checked_at)
        pulls.append(
            EventsPull(
                turn,
                reports["tasks"],
                reports.get("calendar") or Report(turn.member_id, "calendar", Mode.EVENTS),
                mode=offered,
                process_id=portal.events_process_id,
                others_wait=lambda: not all(pull.done for pull in others),
            )
        )
    if _must_check(portal, turn):
        pulls.append(EventsSetup(turn, known))
    return pulls


def _may_have(account: Account) -> bool:
    """As far as it is known without asking; of an administrator of yesterday the portal says it."""
    return account.kind == "oauth" and account.is_admin is not False


def _must_check(portal: Portal, turn: Turn) -> bool:
    return is_over(portal.events_checked_at, turn.clock.now(), CHECK)
