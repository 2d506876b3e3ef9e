"""One REST call: the method and its parameters, whose rights it has, and what it may see of the portal."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from worker.emulator.faults import Faults
from worker.emulator.rest.limits import Operating
from worker.emulator.rest.php import Map
from worker.emulator.spec import PortalSpec
from worker.emulator.world.model import World
from worker.emulator.world.offline import Queue


class Site(Protocol):
    """A portal as its methods see it."""

    spec: PortalSpec
    world: World
    queue: Queue
    scope: str
    client_id: str
    installed: bool
    faults: Faults
    operating: Operating
    spoiled: list[str]


@dataclass(frozen=True)
class Caller:
    """Whose rights a request has: an application's token or a webhook."""

    user_id: int
    scopes: frozenset[str]
    client: str
    webhook: bool = False


@dataclass
class Call:
    """A method with its parameters; the method may leave a count and the start of the next page."""

    portal: Site
    method: str
    params: Map
    caller: Caller
    now: datetime
    in_batch: bool = False
    total: int | None = None
    next: int | None = None
    time: Map = field(default_factory=dict)

    @property
    def user_id(self) -> int:
        return self.caller.user_id

    @property
    def scopes(self) -> frozenset[str]:
        return self.caller.scopes
