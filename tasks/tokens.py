"""Jobs that keep the tokens alive."""

from celery import Task as Job
from celery import shared_task

from tasks import told
from worker.schedule import RENEW


@shared_task(bind=True, name=RENEW)
@told(RENEW)
def renew_tokens(self: Job) -> None:
    """Renew the tokens that the next runs would meet expired, and the refresh tokens of idle accounts."""
    self.app.wiring.renew_tokens()
