"""Records two readings of a portal into a file, and replays such a file: both into a mirror made for it.

One whole reading, and after it one by the changes since, as the daemon makes them. A recording is made against an empty
mirror, so that a replay, which begins with an empty one too, asks the same calls. The operator's own mirror is not
touched: only tokens are renewed in it, and requests counted.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from worker import __version__
from worker.bitrix24 import tape
from worker.bitrix24.client import Client
from worker.bitrix24.recorder import Recorder
from worker.bitrix24.replay import NoAuth, Replay
from worker.bitrix24.throttle import Throttle
from worker.budget import Unlimited
from worker.clock import Clock
from worker.errors import UsageError
from worker.resources.capabilities import Ways, ways
from worker.resources.events import EventsMode
from worker.resources.probe.finding import Finding
from worker.storage import schema
from worker.storage.capabilities import load_capabilities
from worker.storage.connections import register_account
from worker.storage.models import Account, Portal, PortalCapability
from worker.storage.session import Database
from worker.sync.lease import LeaseKeeper
from worker.sync.plan import Intervals
from worker.sync.portal import PortalSync, Wish
from worker.sync.probe import Halted
from worker.sync.report import Mode, Report, Status
from worker.sync.turn import SyncOptions
from worker.wiring import Wiring

_LONG = timedelta(days=1)  # nothing is due again in a mirror that lives for one reading
ROUNDS = (Wish(mode=Mode.FULL, at_once=True), Wish(at_once=True))
FIGURES = (
    "resource",
    "mode",
    "status",
    "fetched",
    "inserted",
    "updated",
    "rejected",
    "http_requests",
    "calls",
    "retries",
)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Who reads and how, as far as a mirror must know it. `found`: what a probe found out about the portal."""

    member_id: str
    user_id: int
    kind: str
    scope: str
    found: Mapping[str, str]

    def ways(self, _portal: Portal, _account: Account, _known: Mapping[str, PortalCapability], _halted: Halted) -> Ways:
        """How the portal is read: as the operator's own mirror reads it.

        But without events: what is taken from the portal's queue would be taken from the daemon.
        """
        known = ways({name: Finding(name, value, "") for name, value in self.found.items()})
        return replace(known, events=EventsMode.POLLING)


def record(wiring: Wiring, portal: Portal, account: Account, file: TextIO) -> list[Report]:
    """Read everything of `portal` once and write the answers to `file`. Raises LeaseLost."""
    recorder = Recorder(wiring.transport, file, wiring.clock)
    options = replace(wiring.sync_options, chains=1)  # in one order: a replay asks the same again
    with wiring.ready_database.read() as session:
        found = {name: known.value for name, known in load_capabilities(session, portal.id).items()}
    reader = _Reader(portal.member_id, account.user_id, account.kind, account.scope, found)
    recorder.write(
        {
            "b24sync_recording": tape.VERSION,
            "b24sync": __version__,
            "at": wiring.clock.now().isoformat(),
            "account": {"user_id": reader.user_id, "kind": reader.kind, "scope": reader.scope},
            "found": reader.found,
            "calendars": list(options.calendars),
            "past_days": options.past_days,
            "future_days": options.future_days,
            "rounds": len(ROUNDS),
        }
    )

    def client(_portal: Portal, _account: Account) -> Client:
        return wiring.client_for(portal, account, sender=recorder)

    with _throwaway() as database:
        reports = _read(
            database,
            clock=wiring.clock,
            reader=reader,
            options=options,
            client_for=client,
            stopping=wiring.stop.is_set,
            rounds=len(ROUNDS),
        )
    recorder.write({"reports": [{name: report.as_dict()[name] for name in FIGURES} for report in reports]})
    return reports


def replay(wiring: Wiring, path: Path, url: str | None) -> list[Report]:
    """Read everything from the recording at `path`, into the database at `url` or into one that is thrown away.

    In a named database the recorded portal stands as `recording:<hash of the file>`: no row of a real one is touched.
    """
    recording = Replay(path)
    with path.open("rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    reader, options = _told(recording.header, path, f"recording:{name}", replace(wiring.sync_options, chains=1))

    def client(_portal: Portal, _account: Account) -> Client:
        clock = recording.clock
        return Client(auth=NoAuth(), transport=recording, throttle=Throttle(Unlimited(), clock, 0), clock=clock)

    with _throwaway() if url is None else _named(url) as database:
        return _read(
            database,
            clock=recording.clock,
            reader=reader,
            options=options,
            client_for=client,
            stopping=wiring.stop.is_set,
            rounds=int(recording.header.get("rounds", 1)),  # older recordings hold one
        )


def _told(header: Mapping[str, Any], path: Path, member_id: str, options: SyncOptions) -> tuple[_Reader, SyncOptions]:
    """Who read, and with which settings. Raises UsageError."""
    try:
        account = header["account"]
        found = {str(name): str(value) for name, value in header["found"].items()}
        reader = _Reader(member_id, int(account["user_id"]), str(account["kind"]), str(account["scope"]), found)
        return reader, replace(
            options,
            calendars=tuple(map(str, header["calendars"])),
            past_days=int(header["past_days"]),
            future_days=int(header["future_days"]),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is no recording of b24sync: its first line lacks {error}") from None


@contextmanager
def _throwaway() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="b24sync-") as folder, _named(f"sqlite:///{folder}/b24sync.db") as database:
        yield database


@contextmanager
def _named(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        schema.ensure(database)
        yield database
    finally:
        database.dispose()


def _read(
    database: Database,
    *,
    clock: Clock,
    reader: _Reader,
    options: SyncOptions,
    client_for: Callable[[Portal, Account], Client],
    stopping: Callable[[], bool],
    rounds: int,
) -> list[Report]:
    """The rounds, one after the other; the next one only where the one before it was whole."""
    with database.write() as session:
        account = register_account(
            session,
            member_id=reader.member_id,
            domain="recording.invalid",
            rest_url="https://recording.invalid/rest/",
            oauth_url=None,
            user_id=reader.user_id,
            kind=reader.kind,
            scope=reader.scope,
            is_admin=None,
            time_zone=None,
            now=clock.now(),
        )
    leases = LeaseKeeper(database, clock, "recording")
    try:
        sync = PortalSync(
            database=database,
            clock=clock,
            leases=leases,
            client_for=client_for,
            ways=reader.ways,
            intervals=Intervals(*[_LONG] * 3),
            options=options,
            stopping=stopping,
        )
        reports: list[Report] = []
        for wish in ROUNDS[:rounds]:
            if all(report.status is Status.OK for report in reports):
                outcome = sync.run(account.portal_id, wish)
                reports += outcome.reports if outcome else []
    finally:
        leases.stop()
    return reports
