"""Jobs that keep the tokens alive."""

from typing import Any

from celery import shared_task

from worker.schedule import RENEW


@shared_task(bind=True, name=RENEW)
def renew_tokens(self: Any) -> None:
    """Renew the tokens that the next runs would meet expired, and the refresh tokens of idle accounts."""
    self.app.wiring.renew_tokens()
