"""Jobs that keep the mirror fresh."""

from celery import Task as Job
from celery import shared_task

from worker.schedule import SYNC, TICK


@shared_task(bind=True, name=TICK)
def tick(self: Job) -> None:
    """Claim portals that are due and send a job for each. Two beats claim no portal twice."""
    wiring = self.app.wiring
    for portal_id in wiring.claim_due():
        sync_portal.apply_async((portal_id,), expires=wiring.message_life)


@shared_task(bind=True, name=SYNC, max_retries=None)
def sync_portal(self: Job, portal_id: int) -> None:
    """One portal's turn. A passing failure repeats the job after a growing pause; which and when, `retry` decides."""
    outcome = self.app.wiring.sync.run(portal_id, attempt=self.request.retries + 1)
    if outcome is not None and outcome.retry_after is not None:
        # `expires` is inherited by a retry, which would then be dropped in silence: it gets its own.
        raise self.retry(countdown=outcome.retry_after, expires=outcome.retry_after + self.app.wiring.message_life)
