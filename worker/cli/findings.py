"""What `b24sync doctor` finds: one line each, and an examination that fails is itself a finding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from worker.cli.program import sentences
from worker.errors import B24SyncError
from worker.storage.trouble import UNUSABLE, database_sentence


class Verdict(StrEnum):
    """How a line begins. Only a problem makes the exit code 1."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line; that of a problem names the cure."""

    verdict: Verdict
    text: str


def guarded(examination: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of an examination; what it raises is one more, and the next examination goes on."""
    try:
        yield from examination()
    except B24SyncError as error:
        for sentence in sentences(error):
            yield Finding(Verdict.PROBLEM, sentence)
    except UNUSABLE as error:
        yield Finding(Verdict.PROBLEM, database_sentence(error))
