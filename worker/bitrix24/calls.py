"""The values that cross the border to a portal: a Call goes out, an Answer (or a PortalError) comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from worker.errors import BadAnswer, PortalError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that an earlier call of the same batch will have produced.

    Written as `$result[key][path]...`. Allowed as a whole parameter value only: where the path is missing the portal
    silently uses whatever it reached so far, so the reader of the answers must know when not to believe them.
    """

    key: str
    path: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One REST method call. `key` names it inside its batch: a string that starts with a letter, unique there.

    `params` nests dicts and lists of str, int, float, bool and None; a value may be a Ref.
    """

    key: str
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Time:
    """The `time` block of an answer, as far as anything is built on it (vendor: limits.md).

    Args:
        portal_now: `date_start`: the portal's clock when the call began, aware, with the portal server's offset.
        operating: Seconds of operating time this method has used up in the running ten minutes; optional.
        operating_reset_at: When the oldest minute of them is forgotten, UTC; optional.
    """

    portal_now: datetime | None = None
    operating: float | None = None
    operating_reset_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One successful call. `result` and `raw_time` are still the JSON texts that the portal sent."""

    method: str
    result: msgspec.Raw
    total: int | None = None
    next: int | None = None
    time: Time = field(default_factory=Time)
    raw_time: msgspec.Raw = field(default_factory=msgspec.Raw, compare=False)

    def decode(self, into: type[T]) -> T:
        """The result as `into`. Raises BadAnswer when it has another shape."""
        try:
            return msgspec.json.decode(self.result, type=into)
        except msgspec.MsgspecError as error:
            raise BadAnswer(f"the answer has another shape than expected: {error}", method=self.method) from error


Outcome = Answer | PortalError
"""What became of one call of a batch."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of a batch. A call without any outcome is not in `outcomes` at all (a halted or shortened batch).

    Args:
        outcomes: Call key to Answer or PortalError.
        time: The time block of the batch itself: its `portal_now` was taken before the first call ran.
    """

    outcomes: Mapping[str, Outcome]
    time: Time

    def get(self, call: Call) -> Outcome:
        """The outcome of `call`; a BadAnswer (not raised) where the portal left it out."""
        return self.outcomes.get(call.key) or BadAnswer("the portal left this call unanswered", method=call.method)
