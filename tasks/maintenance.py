"""Jobs that keep the database small."""

from celery import Task as Job
from celery import shared_task

from tasks import told
from worker.schedule import MAINTAIN


@shared_task(bind=True, name=MAINTAIN)
@told(MAINTAIN)
def maintain(self: Job) -> None:
    """Fold quiet runs, drop old ones, forget old rejected records and logins nobody finished."""
    self.app.wiring.maintain()
