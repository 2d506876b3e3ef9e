"""The offline queue: what applications have asked to be told, and what happened since."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import md5


@dataclass
class Binding:
    event: str
    handler: str
    auth_type: int
    offline: bool
    connector: str = ""


@dataclass
class Queued:
    row_id: int
    at: datetime
    event: str
    data: dict[str, object]
    user_id: int
    message_id: str
    connector: str = ""
    process_id: str = ""
    error: int = 0


class Queue:
    """One row per event and data until it is picked up: repeated updates collapse into one, with a new time."""

    def __init__(self) -> None:
        self.bindings: list[Binding] = []
        self.rows: list[Queued] = []
        self._next = 501

    def forget(self) -> None:
        """The application was removed or updated: nothing is bound any more, nothing is queued."""
        self.bindings.clear()
        self.rows.clear()

    def happened(self, event: str, data: dict[str, object], user_id: int, at: datetime) -> None:
        for connector in {bound.connector for bound in self.bindings if bound.offline and bound.event == event}:
            message_id = md5(f"{event}{data}{connector}".encode(), usedforsecurity=False).hexdigest()
            for row in self.rows:
                if row.message_id == message_id and not row.process_id:
                    row.at = at
                    break
            else:
                self.rows.append(Queued(self._next, at, event, data, user_id, message_id, connector))
                self._next += 1
