"""A Bitrix24 portal and its token server on loopback ports: for the demo, the tests and the benchmarks.

It shares no code with the client it is asked by. Shapes and rules come from the vendor's documentation
(github.com/bitrix24/b24restdocs); a page is named where it matters. `Portal.truth` tells, straight from the
state, what a right mirror holds.

What a test takes in hand lies here: `emulator`, `portal`, `spec`, `faults`, `requestlog`. Below, each importing only
what comes after it: `server/` (the wire), `rest/` (how methods answer), `world/` (the state and the verbs on it).
"""

from worker.emulator.emulator import Emulator
from worker.emulator.faults import Fault, Faults
from worker.emulator.portal import Portal
from worker.emulator.requestlog import RequestLog
from worker.emulator.server.grants import Grant
from worker.emulator.server.posts import event_form, install_form, page_form
from worker.emulator.server.tokens import TokenServer
from worker.emulator.spec import FIRST, SECOND, Customs, PortalSpec
from worker.emulator.world.life import Life

__all__ = [
    "FIRST",
    "SECOND",
    "Customs",
    "Emulator",
    "Fault",
    "Faults",
    "Grant",
    "Life",
    "Portal",
    "PortalSpec",
    "RequestLog",
    "TokenServer",
    "event_form",
    "install_form",
    "page_form",
]
