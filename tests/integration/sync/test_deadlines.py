"""A deadline and a stop hold on every pool: they are looked at before every request, whatever the request waits for."""

import threading
import time
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.conftest import app_settings
from tests.integration.mirror import INTERVALS, OK, Mirror, Stage, statuses
from worker.bitrix24.transport import Reply
from worker.celery import SharedStop, create_app
from worker.cli.run import GRACE_SECONDS
from worker.config import Settings
from worker.emulator import Emulator, PortalSpec
from worker.errors import Interrupted, Unreachable
from worker.storage import leases
from worker.storage.models import OAuthToken, Portal
from worker.sync import engine
from worker.sync.lease import LEASE
from worker.sync.portal import DEADLINE, OVERTIME, Wish
from worker.wiring import Wiring

ROOT = Path(__file__).parents[3]


@pytest.fixture
def mirror(own_stage: Stage) -> Mirror:
    return own_stage.mirror(tasks=400, events=12, users=5, intervals=INTERVALS)


def slow(mirror: Mirror, seconds: float, *, requests: range) -> None:
    """These of its requests take so long; the lease's heartbeat goes on meanwhile."""
    send: Callable[..., Reply] = mirror.wiring.transport._send

    def later(*args: object, **settings: object) -> Reply:
        end = mirror.clock.monotonic() + (seconds if mirror.portal.requests.http in requests else 0)
        while (left := end - mirror.clock.monotonic()) > 0:
            mirror.clock.advance(min(15, left))
            held = {mirror.portal_id: ("this process", fence_of(mirror))}
            with mirror.database.write() as session:
                leases.renew_leases(session, owner_fences=held, now=mirror.clock.now(), ttl=LEASE)
        return send(*args, **settings)

    mirror.wiring.transport._send = later  # type: ignore[method-assign]


def fence_of(mirror: Mirror) -> int:
    with mirror.database.read() as session:
        return session.scalars(select(Portal.fence).where(Portal.id == mirror.portal_id)).one()


def test_a_turn_out_of_time_keeps_what_it_has_and_the_next_goes_on(mirror: Mirror, monkeypatch: pytest.MonkeyPatch):
    """Pages that take ten minutes each: after twenty no request is sent any more, what was read is committed."""
    monkeypatch.setattr(engine, "BATCH_CALLS", 3)
    slow(mirror, 600, requests=range(1, 100))
    mirror.portal.requests.reset()
    wish = Wish(resources=frozenset({"tasks"}), at_once=True)
    reports = {report.resource: report for report in mirror.turn(wish).reports}

    assert mirror.portal.requests.http == 1 + 20 / 10
    assert isinstance(reports["tasks"].failure, Interrupted)
    held = len(mirror.ids("tasks"))
    assert 0 < held < 400
    assert mirror.cursor("tasks").next_run_at == mirror.clock.now()

    del mirror.wiring.transport._send
    assert statuses(mirror.sync()) == OK
    assert mirror.differences() == []


def test_a_deadline_ends_a_request_that_is_tried_again_and_again(mirror: Mirror):
    """Not after its last attempt: before the next one."""
    mirror.portal.faults.add("html", times=50, after=1)
    slow(mirror, DEADLINE.total_seconds() - 5, requests=range(1))
    mirror.portal.requests.reset()
    reports = mirror.turn(Wish(at_once=True)).reports

    assert mirror.portal.requests.http == 4, "a fifth attempt, after the deadline"
    assert Interrupted in {type(report.failure) for report in reports}
    assert Unreachable not in {type(report.failure) for report in reports}


def test_a_clock_that_is_set_prolongs_no_turn(mirror: Mirror):
    """It counts by the clock that never steps."""
    halted = mirror.engine()._halted(mirror.clock.monotonic() + 60)
    mirror.clock.set(-86_400)
    assert halted() is None
    mirror.clock.advance(61)
    assert halted() is not None


def test_the_times_fit_into_each_other():
    """Turn and overtime end before Celery's own limits, which end what they meet; a stop ends before systemd kills."""
    unit = ConfigParser(strict=False)
    unit.read(ROOT / "deploy" / "systemd" / "b24sync.service")
    wiring = Wiring(Settings.load({}))
    conf = create_app(wiring).conf
    wiring.close()

    longest = (DEADLINE + OVERTIME).total_seconds()
    assert longest < conf.task_soft_time_limit < conf.task_time_limit
    assert float(unit["Service"]["TimeoutStopSec"]) >= GRACE_SECONDS + 5


def test_a_stop_ends_every_wait(tmp_path: Path):
    """A pause before a retry, a wait for the budget, a wait for another's refresh."""
    stop = threading.Event()
    wiring = Wiring(Settings.load({"B24SYNC_DATA_DIR": str(tmp_path)}), stop)
    began = time.monotonic()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Interrupted):
        wiring.clock.sleep(60)
    assert time.monotonic() - began < 30
    wiring.close()


def test_a_stop_while_another_process_renews_the_token_does_not_spin(tmp_path: Path):
    """It used to ask the database as fast as it could until the wait was over."""
    with Emulator() as emulator:
        portal = emulator.add_portal(PortalSpec(tasks=5, events=2, users=3))
        stop = threading.Event()
        wiring = Wiring(
            Settings.load(
                {
                    "B24SYNC_DATA_DIR": str(tmp_path),
                    **app_settings(emulator, portal),
                }
            ),
            stop,
        )
        wiring.connector.with_tokens(portal.issue_tokens(portal.admin_id))
        now, lease = wiring.clock.now(), timedelta(seconds=30)
        assert wiring.token_store.claim_refresh(1, version=1, owner="another", now=now, lease=lease)
        emulator.token_server.expire(portal)
        stop.set()
        with pytest.raises(Interrupted):
            wiring.token_keeper.refresh(1, 1, lambda _token: pytest.fail("it is another's"))
        wiring.close()


def test_a_stop_is_seen_by_forked_children():
    """Celery tells the main process alone that it shuts down."""
    flag = SharedStop()
    assert not flag.wait(0)
    flag.set()
    assert flag.is_set()
    assert flag.wait(60)


class TestRenewal:
    """The job that renews tokens ahead of their end."""

    @pytest.fixture
    def emulator(self) -> Iterator[Emulator]:
        with Emulator() as emulator:
            yield emulator

    @pytest.fixture
    def wiring(self, emulator: Emulator, tmp_path: Path) -> Iterator[Wiring]:
        """Six portals whose tokens are about to end."""
        made = [emulator.add_portal(PortalSpec(name="p0", seed=1, tasks=2, events=1, users=3))]
        for number in range(1, 6):
            spec = PortalSpec(name=f"p{number}", seed=number + 1, tasks=2, events=1, users=3)
            made.append(emulator.add_portal(spec, application_of=made[0]))
        wiring = Wiring(
            Settings.load(
                {
                    "B24SYNC_DATA_DIR": str(tmp_path),
                    **app_settings(emulator, made[0]),
                }
            )
        )
        for portal in made:
            wiring.connector.with_tokens(portal.issue_tokens(portal.admin_id))
        with wiring.database.write() as session:
            session.execute(update(OAuthToken).values(access_expires_at=wiring.clock.now() + timedelta(seconds=60)))
        yield wiring
        wiring.close()

    def test_a_token_server_that_hangs_holds_one_thread(self, emulator: Emulator, wiring: Wiring):
        """Beat asks in every tick: without that, ticks would eat all threads in turn."""
        emulator.token_server.faults.add("hang", times=1, seconds=2)
        wiring.renewal  # noqa: B018 - made before threads ask for it
        first = threading.Thread(target=wiring.renew_tokens)
        first.start()
        while not emulator.token_server.log and first.is_alive():
            time.sleep(0.01)
        began = time.monotonic()
        assert wiring.renew_tokens() == []
        assert first.is_alive()
        assert time.monotonic() - began < 1.5
        first.join()

    def test_a_round_ends_after_its_time_and_the_next_begins_with_the_others(
        self, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
    ):
        """Two that fail slowly must not keep four from being renewed for ever."""
        asked: list[int] = []
        clock = wiring.clock
        late = [0.0]
        true = clock.monotonic
        monkeypatch.setattr(clock, "monotonic", lambda: true() + late[0])
        refresh = wiring.token_keeper.refresh

        def sluggish(account_id: int, version: int, ask: object) -> object:
            asked.append(account_id)
            if account_id in {1, 2, 3}:
                late[0] += 25
                raise Unreachable("no answer in time")
            return refresh(account_id, version, ask)

        monkeypatch.setattr(wiring.token_keeper, "refresh", sluggish)
        assert wiring.renew_tokens() == []
        assert asked == [1, 2, 3]
        assert wiring.renew_tokens() == [4, 5, 6]
        assert asked[3:6] == [4, 5, 6]

    def test_a_stop_ends_a_round(self, wiring: Wiring):
        wiring.stop.set()
        assert wiring.renew_tokens() == []
