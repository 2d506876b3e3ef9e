"""A Bitrix24 portal and its token server on loopback ports: for the demo, the tests and the benchmarks.

It shares no code with the client it is asked by. Shapes and rules come from the vendor's documentation
(github.com/bitrix24/b24restdocs); a page is named where it matters. `Portal.truth` tells, straight from the
state, what a right mirror holds.
"""

from worker.emulator.emulator import Emulator
from worker.emulator.faults import Fault, Faults
from worker.emulator.life import Life
from worker.emulator.oauth import Grant, TokenServer
from worker.emulator.portal import Portal
from worker.emulator.requestlog import RequestLog
from worker.emulator.spec import PortalSpec

__all__ = ["Emulator", "Fault", "Faults", "Grant", "Life", "Portal", "PortalSpec", "RequestLog", "TokenServer"]
