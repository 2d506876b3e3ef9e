"""Drives the pulls of one account through shared batches until all are done.

A pull gives calls and takes their answers; the engine only packs, sends and hands out. So a quiet cycle of all
resources is one request, and a new resource needs no line here.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, runtime_checkable

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.client import Client
from worker.bitrix24.stats import Stats
from worker.clock import Clock
from worker.errors import B24SyncError, IncompleteRun, Interrupted, LeaseLost, NeedsReauth, PortalClosed
from worker.sync.pace import MOST, Pace
from worker.sync.report import Report

log = logging.getLogger(__name__)

BATCH_CALLS = MOST


class _Asking(Protocol):
    @property
    def report(self) -> Report | None:
        """The run that this pull is part of; None for the account's own pull."""
        ...

    @property
    def done(self) -> bool:
        """Nothing more to ask."""
        ...

    def calls(self, room: int) -> list[Call]:
        """The next calls, at most `room`; none while the pull waits for another one."""
        ...


class Applying(_Asking, Protocol):
    """One piece of reading: gives calls, takes their answers, writes what they hold."""

    def apply(self, answers: Answers) -> None:
        """Take the answers to the calls given last. Raises what ends this pull only."""
        ...


@runtime_checkable
class Overlapping(_Asking, Protocol):
    """One whose rows may be written while the next batch is under way."""

    @property
    def parallel(self) -> bool:
        """Whether it has calls for several batches at the same time."""
        ...

    def take(self, calls: Sequence[Call], answers: Answers) -> Callable[[], None] | None:
        """Take the answers to `calls`, and return what writes them. Raises as `apply`; so does what is returned."""
        ...


Pull = Applying | Overlapping

Asked = list[tuple[Pull, list[Call]]]
"""What one batch is made of."""

Cost = tuple[Answers | B24SyncError, Stats]
"""What became of a batch, and what it took."""


def drive(
    client: Client,
    pulls: Sequence[Pull],
    clock: Clock,
    halted: Callable[[], str | None],
    *,
    more: Sequence[Client] = (),
    pace: Pace | None = None,
) -> B24SyncError | None:
    """Run `pulls` to their end, 50 calls a request.

    Args:
        client: The account's client.
        pulls: In the order in which they may fill a batch and take its answers.
        clock: Measures how long each resource took, from the first request to its last answer.
        halted: Says between two batches why the turn must end now (a stop, a deadline), or None.
        more: Further clients of the account: so many more batches of parallel pulls may be under way.
        pace: How many calls the portal takes at once, as far as earlier turns have seen.

    A trouble of one pull ends that pull and is told in its report. A trouble of the account (no answer after retries, a
    dead token, a halt) ends all of them, and is returned too. Raises LeaseLost only: then nothing more may be written,
    not even a report.
    """
    with ThreadPoolExecutor(1 + len(more), thread_name_prefix="batch") as pool:
        return _Drive([client, *more], pulls, clock, halted, pool=pool, pace=pace or Pace()).run()


class _Drive:
    """Batches under way, and the pulls that wait for them. All but the requests happens in the thread that drives.

    A pull's answers are taken one batch at a time, and written before the next one's are taken: so a bookmark never
    tells of rows that are not written yet.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        pulls: Sequence[Pull],
        clock: Clock,
        halted: Callable[[], str | None],
        *,
        pool: ThreadPoolExecutor,
        pace: Pace,
    ) -> None:
        self._free = list(clients)
        self._first = clients[0]
        self._going = list(pulls)
        self._clock = clock
        self._halted = halted
        self._pool = pool
        self._pace = pace
        self._started = clock.monotonic()
        self._flying: dict[Future[Cost], tuple[Client, Asked]] = {}
        self._writes: list[tuple[Pull, Callable[[], None]]] = []

    def run(self) -> B24SyncError | None:
        while self._going:
            reason = self._halted()
            landed = None if reason else self._launch()
            if trouble := self._write():
                return trouble
            self._going = [pull for pull in self._going if not pull.done]
            landed = landed or self._land()
            if landed is None:
                if self._going:
                    waits = IncompleteRun("waits for a resource that did not come to its end")
                    _end(self._going, Interrupted(reason) if reason else waits)
                return Interrupted(reason) if reason and self._going else None
            if trouble := self._take(*landed):
                return trouble
        return None

    def _launch(self) -> tuple[Asked, Cost] | None:
        """Send what may be sent now. A batch that nothing can be done beside is sent here and has landed."""
        busy = {id(pull) for _, asked in self._flying.values() for pull, _ in asked}
        if self._first in self._free and (asked := self._pack([p for p in self._going if id(p) not in busy])):
            self._free.remove(self._first)
            if len(self._free) == 0 and not self._writes:
                self._free.append(self._first)
                return asked, self._send(self._first, asked)
            self._fly(self._first, asked)
        while self._free and self._first not in self._free:
            asked = self._pack([pull for pull in self._going if isinstance(pull, Overlapping) and pull.parallel])
            if not asked:
                break
            self._fly(self._free.pop(), asked)
        return None

    def _fly(self, client: Client, asked: Asked) -> None:
        self._flying[self._pool.submit(self._send, client, asked)] = (client, asked)

    def _send(self, client: Client, asked: Asked) -> Cost:
        """Send one batch, in whatever thread. Raises LeaseLost."""
        calls = [call for _, some in asked for call in some]
        before, began = client.stats.snapshot(), self._clock.monotonic()
        outcome: Answers | B24SyncError
        try:
            outcome = client.batch(calls)
        except LeaseLost:
            raise
        except B24SyncError as error:
            outcome = error
        spent = client.stats.minus(before)
        self._pace.took(len(calls), self._clock.monotonic() - began - spent.waited_seconds)
        return outcome, spent

    def _land(self) -> tuple[Asked, Cost] | None:
        if not self._flying:
            return None
        done = next(iter(wait(self._flying, return_when=FIRST_COMPLETED).done))
        client, asked = self._flying.pop(done)
        self._free.append(client)
        return asked, done.result()

    def _take(self, asked: Asked, cost: Cost) -> B24SyncError | None:
        """Give a batch's answers to its pulls. Returns what ended all of them."""
        outcome, spent = cost
        _bill(asked, spent)
        if isinstance(outcome, B24SyncError):
            _end([pull for pull in self._going if not pull.done], outcome)
            return outcome
        for pull, calls in asked:
            if pull not in self._going:
                continue  # it has failed meanwhile
            try:
                if isinstance(pull, Overlapping):
                    if write := pull.take(calls, outcome):
                        self._writes.append((pull, write))
                else:
                    pull.apply(outcome)
            except LeaseLost:
                raise
            except B24SyncError as error:
                if self._failed(pull, error):
                    return error
            if pull.report is not None:
                pull.report.seconds = self._clock.monotonic() - self._started
        return None

    def _write(self) -> B24SyncError | None:
        """Write what was taken. Returns what ended all pulls."""
        writes, self._writes = self._writes, []
        for pull, write in writes:
            try:
                write()
            except LeaseLost:
                raise
            except B24SyncError as error:
                if self._failed(pull, error):
                    return error
        return None

    def _failed(self, pull: Pull, error: B24SyncError) -> bool:
        """End the pull. Whether all have ended with it.

        Without the account's own answers nobody's can be read; and some troubles are everybody's.
        """
        everybodys = pull.report is None or isinstance(error, NeedsReauth | PortalClosed)
        _end([each for each in self._going if not each.done] if everybodys else [pull], error)
        self._going.remove(pull)
        return everybodys

    def _pack(self, pulls: Sequence[Pull]) -> Asked:
        """Calls of as many pulls as fit into one batch. A pull that raises has come to its end."""
        asked: Asked = []
        room = min(BATCH_CALLS, self._pace.room)
        for pull in pulls:
            if not room:
                break
            if pull.done:
                continue
            try:
                calls = pull.calls(room)
            except LeaseLost:
                raise
            except B24SyncError as error:
                self._going.remove(pull)
                _end([pull], error)
                continue
            if calls:
                asked.append((pull, calls))
                room -= len(calls)
        return asked


def _bill(asked: Asked, spent: Stats) -> None:
    """A batch's cost is counted for the resource that asked most of it."""
    reports = [(pull.report, calls) for pull, calls in asked if pull.report is not None]
    for report, calls in reports:
        report.calls += len(calls)
    if reports:
        payer = max(reports, key=lambda pair: len(pair[1]))[0]
        payer.http_requests += spent.http_requests
        payer.retries += spent.retries
        payer.refreshes += spent.refreshes
        payer.waited_seconds += spent.waited_seconds


def _end(pulls: Sequence[Pull], error: B24SyncError) -> None:
    for pull in pulls:
        if pull.report is not None:
            pull.report.fail(error)
            # A run tells its worst trouble at its end; this is for who wants to know of each.
            log.debug("%s of portal %s: %s", pull.report.resource, pull.report.portal, error)
