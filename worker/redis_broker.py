"""Redis as a broker, for a worker that outlives it.

With kombu 5.7 a worker that loses Redis while a job is under way ends ("Unrecoverable error"): it wants to put its
message back through the connection that has just gone, or to acknowledge it there when the job is done. Neither is
needed here. What is due stands in the database, and a message that was not acknowledged expires.
"""

import logging

from kombu.transport import redis

log = logging.getLogger(__name__)


class Channel(redis.Channel):
    """A channel that ends quietly with its connection."""

    do_restore = False

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge, unless the connection has gone since the message came."""
        if self.closed or self.connection.client is None:
            return
        try:
            super().basic_ack(delivery_tag, multiple=multiple)  # type: ignore[no-untyped-call]
        except self.connection_errors as error:
            log.info("a message could not be acknowledged: %s", error)


class Transport(redis.Transport):
    """What `worker.celery` makes of redis:// and rediss://."""

    Channel = Channel
