"""Jobs that keep the mirror fresh."""

from collections import deque

from celery import Task as Job
from celery import shared_task

from tasks import told
from worker.schedule import SYNC, TICK


@shared_task(bind=True, name=TICK)
@told(TICK)
def tick(self: Job) -> None:
    """Claim portals that are due and send a job for each. Two beats claim no portal twice."""
    wiring = self.app.wiring
    claimed = deque(wiring.claim_due())
    try:
        while claimed:
            sync_portal.apply_async((claimed[0],), expires=wiring.message_life)
            claimed.popleft()
    finally:
        wiring.unclaim(claimed)  # the broker did not take them: the next tick tries again


@shared_task(bind=True, name=SYNC, max_retries=None)
@told(SYNC)
def sync_portal(self: Job, portal_id: int) -> None:
    """One portal's turn. A passing failure repeats the job after a growing pause; which and when, `retry` decides."""
    outcome = self.app.wiring.sync.run(portal_id, attempt=self.request.retries + 1)
    if outcome is not None and outcome.retry_after is not None:
        # `expires` is inherited by a retry, which would then be dropped in silence: it gets its own.
        raise self.retry(countdown=outcome.retry_after, expires=outcome.retry_after + self.app.wiring.message_life)
