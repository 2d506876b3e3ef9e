"""Celery's face: thin jobs. What they do is decided in `worker`; here is only when, how often and under which name.

A job that could not do its work ends with a sentence where the next tick does it again anyway.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kombu.exceptions import OperationalError as BrokerAway

from worker.errors import LeaseLost, UsageError
from worker.storage.trouble import AWAY, database_sentence

log = logging.getLogger(__name__)


@contextmanager
def told(job: str) -> Iterator[None]:
    """Say what kept `job` from its work, where that passes by itself or a person must act; nothing is lost by it.

    What is due stands in the database, so nothing has to be sent again. Other errors are mistakes of ours, and pass
    through with their traceback.
    """
    try:
        yield
    except AWAY as error:
        log.warning("%s: %s; the next tick tries again", job, database_sentence(error))
    except BrokerAway as error:
        log.warning("%s: the broker does not take messages: %s; the next tick tries again", job, error)
    except LeaseLost as error:
        log.warning("%s: %s; who holds it now goes on", job, error)
    except UsageError as error:
        log.error("%s: %s", job, error)  # noqa: TRY400 - a person's to mend; a traceback would not help
