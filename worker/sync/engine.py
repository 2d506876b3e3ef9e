"""Drives the pulls of one account through shared batches until all are done.

A pull gives calls and takes their answers; the engine only packs, sends and hands out. So a quiet cycle of all
resources is one request, and a new resource needs no line here.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from worker.bitrix24.calls import Answers, Call
from worker.bitrix24.client import Client
from worker.clock import Clock
from worker.errors import B24SyncError, IncompleteRun, Interrupted, LeaseLost, NeedsReauth, PortalClosed
from worker.sync.report import Report

log = logging.getLogger(__name__)

BATCH_CALLS = 50
"""A batch runs at most 50 calls (vendor: settings/how-to-call-rest-api/batch.md)."""


class Pull(Protocol):
    """One piece of reading: gives calls, takes their answers, writes what they hold."""

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

    def apply(self, answers: Answers) -> None:
        """Take the answers to the calls given last. Raises what ends this pull only."""
        ...


def drive(client: Client, pulls: Sequence[Pull], clock: Clock, halted: Callable[[], str | None]) -> B24SyncError | None:
    """Run `pulls` to their end, 50 calls a request.

    Args:
        client: The account's client.
        pulls: In the order in which they may fill a batch and take its answers.
        clock: Measures how long each resource took, from the first request to its last answer.
        halted: Says between two batches why the turn must end now (a stop, a deadline), or None.

    A trouble of one pull ends that pull and is told in its report. A trouble of the account (no answer after retries, a
    dead token, a halt) ends all of them, and is returned too. Raises LeaseLost only: then nothing more may be written,
    not even a report.
    """
    going = list(pulls)
    started = clock.monotonic()
    while going := [pull for pull in going if not pull.done]:
        if reason := halted():
            interrupted = Interrupted(reason)
            _end(going, interrupted)
            return interrupted
        asked = _pack(going)
        if not asked:
            waiting = [pull for pull in going if not pull.done]
            _end(waiting, IncompleteRun("waits for a resource that did not come to its end"))
            return None
        try:
            answers = _send(client, asked)
        except LeaseLost:
            raise
        except B24SyncError as error:
            _end(going, error)
            return error
        for pull, _ in asked:
            trouble = _apply(pull, answers)
            if trouble is not None:
                # Without the account's own answers nobody's can be read; and some troubles are everybody's.
                if pull.report is None or isinstance(trouble, NeedsReauth | PortalClosed):
                    _end([each for each in going if not each.done], trouble)
                    return trouble
                going.remove(pull)
                _end([pull], trouble)
            if pull.report is not None:
                pull.report.seconds = clock.monotonic() - started
    return None


def _pack(going: list[Pull]) -> list[tuple[Pull, list[Call]]]:
    """Calls of as many pulls as fit into one batch. A pull that raises has come to its end."""
    asked: list[tuple[Pull, list[Call]]] = []
    room = BATCH_CALLS
    for pull in list(going):
        if not room:
            break
        try:
            calls = pull.calls(room)
        except LeaseLost:
            raise
        except B24SyncError as error:
            going.remove(pull)
            _end([pull], error)
            continue
        if calls:
            asked.append((pull, calls))
            room -= len(calls)
    return asked


def _apply(pull: Pull, answers: Answers) -> B24SyncError | None:
    """What ended the pull, None when it may go on."""
    try:
        pull.apply(answers)
    except LeaseLost:
        raise
    except B24SyncError as error:
        return error
    return None


def _send(client: Client, asked: Sequence[tuple[Pull, list[Call]]]) -> Answers:
    """Send one batch; its cost is counted for the resource that asked most of it."""
    before = client.stats.snapshot()
    try:
        return client.batch([call for _, calls in asked for call in calls])
    finally:
        spent = client.stats.minus(before)
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
