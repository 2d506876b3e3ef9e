"""The job that tells an operator what needs a person."""

from celery import Task as Job
from celery import shared_task

from tasks import told
from worker.schedule import ALERT


@shared_task(bind=True, name=ALERT)
@told(ALERT)
def alert(self: Job) -> None:
    """Post what is new to the alert webhook."""
    self.app.wiring.alert()
