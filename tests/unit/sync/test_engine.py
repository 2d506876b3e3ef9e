"""How pulls share batches, and whose trouble is whose."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from tests.conftest import FakeClock
from worker.bitrix24.calls import Answers, Call, Time
from worker.bitrix24.stats import Stats
from worker.errors import (
    B24SyncError,
    BadAnswer,
    GuardTripped,
    Interrupted,
    LeaseLost,
    NeedsReauth,
    PortalClosed,
    Unreachable,
    UsageError,
)
from worker.sync.engine import drive
from worker.sync.report import Mode, Report


class FakePull:
    """Wants so many calls; an error is raised at its first answer, or when it is asked for calls."""

    def __init__(
        self, name: str, wants: int, *, error: B24SyncError | None = None, shy: B24SyncError | None = None
    ) -> None:
        self.report: Report | None = Report("portal", name, Mode.FULL) if name != "account" else None
        self.name = name
        self.left = wants
        self.rooms: list[int] = []
        self._sent = 0
        self._error = error
        self._shy = shy

    @property
    def done(self) -> bool:
        return self.left <= 0

    @property
    def status(self) -> str:
        return str(self.report.status) if self.report else ""

    def calls(self, room: int) -> list[Call]:
        if self._shy:
            raise self._shy
        self.rooms.append(room)
        self._sent = min(room, self.left)
        return [Call(f"{self.name}{number}", "user.get") for number in range(self._sent)]

    def apply(self, _answers: Answers) -> None:
        if self._error:
            raise self._error
        self.left -= self._sent


class Waiting(FakePull):
    """Gives no calls before another pull is done."""

    def __init__(self, name: str, wants: int, other: FakePull) -> None:
        super().__init__(name, wants)
        self._other = other

    def calls(self, room: int) -> list[Call]:
        return super().calls(room) if self._other.done else []


class FakeClient:
    """Counts what it is sent; may fail at a batch."""

    def __init__(self, fails: dict[int, B24SyncError] | None = None) -> None:
        self.stats = Stats()
        self.batches: list[int] = []
        self._fails = fails or {}

    def batch(self, calls: Sequence[Call]) -> Answers:
        self.stats.http_requests += 1
        self.batches.append(len(calls))
        if error := self._fails.get(len(self.batches)):
            raise error
        return Answers({}, Time())


def run(
    pulls: Sequence[FakePull], client: FakeClient | None = None, halted: Callable[[], str | None] = lambda: None
) -> tuple[B24SyncError | None, list[int]]:
    client = client or FakeClient()
    trouble = drive(client, pulls, FakeClock(), halted)  # type: ignore[arg-type]
    return trouble, client.batches


@pytest.mark.parametrize(
    ("wants", "batches"),
    [
        ([1, 2, 3], [6]),
        ([50], [50]),
        ([51], [50, 1]),
        ([2, 60, 1], [50, 13]),
        ([0, 0], []),
        ([200, 1], [50, 50, 50, 50, 1]),
    ],
)
def test_pulls_fill_batches_of_fifty_in_their_order(wants: list[int], batches: list[int]):
    """So a quiet cycle of all resources is one request."""
    pulls = [FakePull(f"p{number}", want) for number, want in enumerate(wants)]
    assert run(pulls) == (None, batches)
    assert all(pull.done for pull in pulls)
    assert {pull.status for pull in pulls} == {"ok"}


def test_a_request_is_paid_by_the_resource_that_asked_most():
    """And every resource counts its own calls."""
    small, large = FakePull("small", 3), FakePull("large", 70)
    run([small, large])
    assert small.report
    assert large.report
    assert (small.report.calls, small.report.http_requests) == (3, 0)
    assert (large.report.calls, large.report.http_requests) == (70, 2)


@pytest.mark.parametrize("error", [GuardTripped("too many"), BadAnswer("what?"), UsageError("no keys")])
@pytest.mark.parametrize("when", ["error", "shy"])
def test_one_pulls_trouble_is_its_own(error: B24SyncError, when: str):
    """The others go on to their end, whether it came with an answer or before."""
    bad, good = FakePull("bad", 5, **{when: error}), FakePull("good", 60)
    assert run([bad, good])[0] is None
    assert bad.report
    assert bad.report.failure is error
    assert good.done
    assert good.status == "ok"


@pytest.mark.parametrize("error", [NeedsReauth("again"), PortalClosed("gone")])
def test_some_troubles_are_everybodys_but_not_of_those_who_were_done(error: B24SyncError):
    """No further request is made for an account that is not let in."""
    early, bad, late = FakePull("early", 1), FakePull("bad", 1, error=error), FakePull("late", 99)
    trouble, batches = run([early, bad, late])
    assert trouble is error
    assert len(batches) == 1
    assert (early.status, bad.status, late.status) == ("ok", "failed", "failed")


def test_without_the_accounts_own_answers_nobodys_can_be_read():
    """Who reads, and in which zone, is not known."""
    account, tasks = FakePull("account", 2, error=BadAnswer("no profile")), FakePull("tasks", 5)
    assert isinstance(run([account, tasks])[0], BadAnswer)
    assert tasks.status == "failed"


@pytest.mark.parametrize("error", [Unreachable("away"), UsageError("the keys of the application are missing")])
def test_a_request_that_fails_ends_all_that_are_not_done(error: B24SyncError):
    """What was done before stays done."""
    early, late = FakePull("early", 1), FakePull("late", 99)
    trouble, batches = run([early, late], FakeClient({2: error}))
    assert trouble is error
    assert len(batches) == 2
    assert (early.status, late.status) == ("ok", "failed")


@pytest.mark.parametrize("place", ["error", "shy"])
def test_a_lost_lease_ends_everything_at_once(place: str):
    """Not even a report may be written."""
    pulls = [FakePull("tasks", 5, **{place: LeaseLost("gone")}), FakePull("users", 5)]
    with pytest.raises(LeaseLost):
        run(pulls)


def test_a_stop_between_two_batches_interrupts_what_is_not_done():
    """The run is incomplete and goes on another time."""
    early, late = FakePull("early", 1), FakePull("late", 120)
    client = FakeClient()
    run([early, late], client, lambda: "stopped" if len(client.batches) == 2 else None)
    assert early.status == "ok"
    assert late.report
    assert isinstance(late.report.failure, Interrupted)
    assert client.batches == [50, 50]


def test_a_pull_may_wait_for_another_one():
    """It then joins the next batch."""
    first = FakePull("first", 60)
    second = Waiting("second", 5, first)
    assert run([second, first]) == (None, [50, 10, 5])
    assert second.status == "ok"


def test_a_pull_that_waits_for_one_that_failed_is_incomplete():
    """Every loop comes to its end."""
    first = FakePull("first", 5, error=BadAnswer("what?"))
    second = Waiting("second", 5, first)
    assert run([second, first]) == (None, [5])
    assert (first.status, second.status) == ("failed", "incomplete")


class Overlapped(FakePull):
    """Its rows are written while the next batch is under way."""

    def __init__(self, name: str, wants: int, *, lanes: bool = False, write_error: B24SyncError | None = None) -> None:
        super().__init__(name, wants)
        self.story: list[str] = []
        self.parallel = False
        self._lanes = lanes
        self._unasked = wants
        self._taken = 0
        self._write_error = write_error

    def calls(self, room: int) -> list[Call]:
        size = min(room, self._unasked)
        self._unasked -= size
        self.story.append("asked")
        return [Call(f"{self.name}{number}", "user.get") for number in range(size)]

    def take(self, calls: Sequence[Call], _answers: Answers) -> Callable[[], None] | None:
        self.parallel = self._lanes
        self._taken += 1
        number = self._taken
        self.story.append(f"taken {number}")
        self.left -= len(calls)
        if self.left <= 0:
            self.story.append(f"written {number}")
            return None

        def write() -> None:
            self.story.append(f"written {number}")
            if self._write_error:
                raise self._write_error

        return write


class Watching(FakeClient):
    """Each batch waits until something was seen: what cannot be seen meanwhile fails the test."""

    def __init__(self, sees: Callable[[int], bool]) -> None:
        super().__init__()
        self._sees = sees

    def batch(self, calls: Sequence[Call]) -> Answers:
        answers = super().batch(calls)
        end = time.monotonic() + 10
        while not self._sees(len(self.batches)):
            assert time.monotonic() < end, "it was waited for the batch"
        return answers


def test_rows_are_written_while_the_next_batch_is_under_way():
    """And before its answers are taken: a bookmark tells of nothing that is not written."""
    pull = Overlapped("tasks", 120)
    client = Watching(lambda number: number == 1 or f"written {number - 1}" in pull.story)
    assert run([pull], client) == (None, [50, 50, 20])
    taken_and_written = [word for word in pull.story if word != "asked"]
    assert taken_and_written == ["taken 1", "written 1", "taken 2", "written 2", "taken 3", "written 3"]
    assert pull.status == "ok"


def test_what_fails_while_it_is_written_ends_its_pull_and_no_other():
    bad, good = Overlapped("bad", 120, write_error=UsageError("no")), Overlapped("good", 120)
    assert run([bad, good])[0] is None
    assert (bad.status, good.status) == ("failed", "ok")


def test_a_stop_lets_what_was_taken_be_written():
    pull = Overlapped("tasks", 200)
    client = FakeClient()
    run([pull], client, lambda: "stopped" if len(client.batches) == 2 else None)
    assert pull.story[-1] == "written 2"
    assert pull.report
    assert isinstance(pull.report.failure, Interrupted)


def test_parallel_pulls_fill_as_many_batches_as_there_are_clients():
    """Not before the first answer, and nobody else's calls are asked twice."""
    under_way = threading.Barrier(3, timeout=10)

    class Together(FakeClient):
        def batch(self, calls: Sequence[Call]) -> Answers:
            if len(calls) == 50:
                under_way.wait()
            return super().batch(calls)

    pull, other = Overlapped("tasks", 5 + 150, lanes=True), FakePull("users", 1)
    clients = [Together() for _ in range(3)]
    first = iter([5])
    calls_of = pull.calls
    pull.calls = lambda room: calls_of(next(first, room))  # type: ignore[method-assign]
    trouble = drive(clients[0], [other, pull], FakeClock(), lambda: None, more=clients[1:])  # type: ignore[arg-type]
    assert trouble is None
    assert [client.batches for client in clients] == [[6, 50], [50], [50]]
    assert (pull.status, other.status) == ("ok", "ok")
    assert other.report
    assert other.report.calls == 1


def test_trouble_in_one_lane_waits_for_the_others_and_ends_all():
    pull = Overlapped("tasks", 500, lanes=True)
    more = [FakeClient({1: Unreachable("away")}), FakeClient()]
    trouble = drive(FakeClient(), [pull], FakeClock(), lambda: None, more=more)  # type: ignore[arg-type]
    assert isinstance(trouble, Unreachable)
    assert pull.status == "failed"
