"""When beat says what. Pure; beat only ticks, what is due is decided in the database."""

from datetime import timedelta
from typing import Any

from worker.config import tick_period

TICK = "b24sync.tick"
RENEW = "b24sync.renew_tokens"
MAINTAIN = "b24sync.maintain"
ALERT = "b24sync.alert"
SYNC = "b24sync.sync_portal"
QUEUE = "b24sync"


def beat_schedule(sync_interval: timedelta, *, alerts: bool = False) -> dict[str, dict[str, Any]]:
    """The entries of Celery beat. A tick that found no worker in time is dropped: the next finds the same due rows.

    `alerts`: whether there is a webhook to post them to.
    """
    period = tick_period(sync_interval).total_seconds()
    alert = {"alert": {"task": ALERT, "schedule": period, "options": {"expires": period * 0.9}}}
    return {
        **(alert if alerts else {}),
        "tick": {"task": TICK, "schedule": period, "options": {"expires": period * 0.9}},
        "renew-tokens": {"task": RENEW, "schedule": period, "options": {"expires": period * 0.9}},
        "maintain": {"task": MAINTAIN, "schedule": 3600.0, "options": {"expires": 3000.0}},
    }
