"""What of the conditions is news, and its delivery: one POST of JSON for each change of state.

Two processes that look at once write one row and post once: every step is a compare-and-swap. Who dies between the
POST and its note in the database posts again after a minute, with the same `id`.
"""

import logging
from datetime import datetime, timedelta
from typing import Any, Protocol

from worker.alerts.conditions import STALE_INTERVALS, conditions
from worker.bitrix24.transport import Reply
from worker.clock import Clock
from worker.errors import PortalError
from worker.storage import alerts
from worker.storage.alerts import Alert
from worker.storage.session import Database

log = logging.getLogger(__name__)

POST_SECONDS = 10.0


class Sender(Protocol):
    """What posts JSON; the transport."""

    def post_json(self, url: str, body: dict[str, Any], *, total: float | None = None) -> Reply: ...


class Alerter:
    """Looks at the state and tells what is new of it.

    Args:
        webhook: Where to post. It may hold a secret: it is in no log and no error.
        interval: B24SYNC_SYNC_INTERVAL.
        began: When the program came up, by the clock that never steps: what was not read while it was down is not
            called stale before it had time to read it.
    """

    def __init__(
        self, *, database: Database, transport: Sender, clock: Clock, webhook: str, interval: timedelta, began: float
    ) -> None:
        self._database = database
        self._transport = transport
        self._clock = clock
        self._webhook = webhook
        self._interval = interval
        self._began = began

    def tick(self) -> None:
        """Note what changed, then deliver what was not told yet. A delivery that fails is for a later tick."""
        self._note()
        now = self._clock.now()
        with self._database.read() as session:
            waiting = alerts.untold(session, now)
        for alert in waiting:
            if not self._tell(alert):
                break  # the others would fail alike, each after its own timeout

    def _note(self) -> None:
        now = self._clock.now()
        up_long_enough = self._clock.monotonic() - self._began >= (STALE_INTERVALS * self._interval).total_seconds()
        with self._database.read() as session:
            known = alerts.known(session)
            raised = frozenset(key for key, alert in known.items() if alert.state == "raised")
            found = conditions(session, now, self._interval, raised, judge_age=up_long_enough)
        new = {key: condition for key, condition in found.items() if key not in raised}
        over = [known[key] for key in raised - found.keys()]
        if not new and not over:
            return
        with self._database.write() as session:
            for key, condition in new.items():
                alerts.raise_alert(session, key, known.get(key), text=condition.text, cure=condition.cure, now=now)
            for alert in over:
                alerts.heal_alert(session, alert, now)

    def _tell(self, alert: Alert) -> bool:
        """False where the webhook did not take it."""
        with self._database.write() as session:
            if not alerts.claim(session, alert, self._clock.now()):
                return True  # another process tells it, or it changed meanwhile
        try:
            reply = self._transport.post_json(self._webhook, payload(alert), total=POST_SECONDS)
            trouble = "" if reply.status < 300 else f"HTTP {reply.status}"  # noqa: PLR2004 - HTTP's own numbers
        except PortalError as error:
            trouble = error.message
        with self._database.write() as session:
            if not trouble:
                alerts.told(session, alert)
                return True
            last = alerts.not_told(session, alert, self._clock.now())
        log.log(
            logging.ERROR if last else logging.WARNING,
            "an alert could not be posted to B24SYNC_ALERT_WEBHOOK (%s)%s: %s",
            trouble,
            "; it is given up" if last else "",
            alert.text,
        )
        return False


def payload(alert: Alert) -> dict[str, Any]:
    """What is posted. `text` alone says all, for receivers that show a text (chats)."""
    over = alert.state == "healed"
    since: datetime = alert.since
    return {
        "service": "b24sync",
        "id": f"{alert.member_id}/{alert.kind}/{alert.subject}/{alert.episode}/{alert.state}",
        "state": alert.state,
        "kind": alert.kind,
        "portal": alert.member_id,
        "domain": alert.domain,
        "resource": alert.subject if alert.kind in {"guard", "stale"} else None,
        "since": since.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "text": f"b24sync: over: {alert.text}" if over else f"b24sync: {alert.text}. To do: {alert.cure}",
        "cure": None if over else alert.cure,
    }
